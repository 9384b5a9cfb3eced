//! Tests of the API that `#[derive(CustomResource)]` generates for controllers.

use std::collections::BTreeMap;

use kube_client::{
    CustomResourceExt, Resource, ResourceExt,
    core::{ApiResource, ClusterResourceScope, HasSpec, HasStatus, NamespaceResourceScope, crd::merge_crds},
};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A website to be served.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "web.example.com",
    version = "v1",
    kind = "Website",
    plural = "websites",
    singular = "website",
    namespaced,
    status = "WebsiteStatus",
    shortname = "ws",
    shortname = "site",
    category = "all"
)]
#[kube(
    derive = "PartialEq",
    derive = "Default",
    attr = "must_use",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Address",
        type_ = "string",
        json_path = ".spec.url",
        description = "where it is",
        priority = 1
    ),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas", format = "int32"),
    selectable = ".spec.url",
    annotation("example.com/owner", "the web team"),
    label("team", "web"),
    deprecated = "use v2",
    served = true,
    storage = false,
    validation = "self.spec.replicas <= 10",
    validation = Rule::new("self.spec.url.startsWith('http')")
        .message("must be a web address")
        .reason(Reason::FieldValueInvalid)
        .field_path(".spec.url")
)]
pub(crate) struct WebsiteSpec {
    url: String,
    #[serde(default)]
    replicas: i32,
}

/// The state of the website.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WebsiteStatus {
    replicas: i32,
    selector: Option<String>,
}

// Another version of the kind `Website`.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "web.example.com", version = "v2", kind = "Website", root = "WebsiteV2", namespaced)]
struct WebsiteV2Spec {}

/// A cluster-scoped kind with only the required keys of the attribute `kube`.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "net.example.com", version = "v1alpha1", kind = "NetworkPolicy")]
pub(crate) struct PolicySpec {
    allow: Vec<String>,
}

/// A spec that is an enum.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "net.example.com", version = "v1", kind = "Choice", doc = "One of two.")]
#[serde(rename_all = "camelCase")]
enum ChoiceSpec {
    Left(i32),
    Right { far: bool },
}

// A kind whose fields are siblings of `metadata`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "flat.example.com", version = "v1", kind = "Bucket", status = "WebsiteStatus", no_spec)]
#[serde(rename_all = "camelCase")]
struct BucketFields {
    region_name: String,
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

// A kind without a schema.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "raw.example.com", version = "v1", kind = "Raw", schema = "disabled")]
struct RawSpec {
    anything: Value,
}

// A kind with a schema from the implementation of `JsonSchema` below.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "raw.example.com", version = "v1", kind = "Manual", schema = "manual")]
struct ManualSpec {
    anything: Value,
}

impl JsonSchema for Manual {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Manual".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "properties": { "spec": { "type": "object", "maxProperties": 3 } },
        })
    }
}

mod renamed_crates {
    //! A kind with the paths of renamed crates in `crates(..)`.
    pub(super) mod dependencies {
        pub(crate) use {k8s_openapi as openapi, kube_client as client, schemars as schema, serde as codec};
    }

    #[derive(
        kube_derive::CustomResource, Clone, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
    )]
    #[kube(
        group = "x.example.com",
        version = "v1",
        kind = "Renamed",
        crates(
            kube_client = "dependencies::client",
            k8s_openapi = "dependencies::openapi",
            schemars = "dependencies::schema",
            serde = "dependencies::codec"
        )
    )]
    pub(super) struct RenamedSpec {}
}

fn website() -> Website {
    Website::new("home", WebsiteSpec { url: "http://a".to_owned(), replicas: 2 })
}

/// The error of decoding a value. Asserts that decoding the text of the value fails with the same error, which may also
/// contain a position in the text.
#[track_caller]
fn decode_error<T: DeserializeOwned + std::fmt::Debug>(object: &Value) -> String {
    let from_value = serde_json::from_value::<T>(object.clone()).unwrap_err().to_string();
    let from_text = serde_json::from_str::<T>(&object.to_string()).unwrap_err().to_string();
    assert!(from_text.starts_with(&from_value), "{from_text} should start with {from_value}");
    from_value
}

#[test]
fn an_encoded_object_has_api_version_and_kind_and_can_be_decoded() {
    let mut site = website();
    let expected = json!({
        "apiVersion": "web.example.com/v1",
        "kind": "Website",
        "metadata": { "name": "home" },
        "spec": { "url": "http://a", "replicas": 2 },
    });
    assert_eq!(serde_json::to_value(&site).unwrap(), expected);
    site.status = Some(WebsiteStatus { replicas: 1, selector: None });
    let text = serde_json::to_string(&site).unwrap();
    assert!(text.contains(r#""status":{"replicas":1,"selector":null}"#), "{text}");
    assert_eq!(serde_json::from_str::<Website>(&text).unwrap(), site);
    assert_eq!(serde_json::from_reader::<_, Website>(text.as_bytes()).unwrap(), site);
}

#[test]
fn decoding_rejects_another_kind_or_api_version() {
    let object = |api_version: Value, kind: Value| json!({ "apiVersion": api_version, "kind": kind, "metadata": {}, "spec": { "url": "a" } });
    let error = decode_error::<Website>(&object(json!("web.example.com/v1"), json!("Webpage")));
    assert!(error.contains("\"Website\"") && error.contains("\"Webpage\""), "{error}");
    let error = decode_error::<Website>(&object(json!("web.example.com/v2"), json!("Website")));
    assert!(error.contains("\"web.example.com/v1\"") && error.contains("\"web.example.com/v2\""), "{error}");
    let error = decode_error::<Website>(&object(json!("web.example.com/v1"), json!(7)));
    assert!(error.contains("kind \"Website\""), "{error}");
}

#[test]
fn list_items_without_kind_are_decoded() {
    let site: Website =
        serde_json::from_value(json!({ "metadata": { "name": "a" }, "spec": { "url": "a" } })).unwrap();
    assert_eq!(site.name_any(), "a");
    let site: Website =
        serde_json::from_value(json!({ "spec": { "url": "a" }, "status": null, "metadata": null })).unwrap();
    assert_eq!((site.status, site.metadata), (None, kube_client::core::ObjectMeta::default()));
}

#[test]
fn missing_and_duplicate_fields_are_errors() {
    assert!(decode_error::<Website>(&json!({ "metadata": {} })).contains("`spec`"));
    assert!(decode_error::<Website>(&json!({ "spec": {} })).contains("`url`"));
    assert!(decode_error::<Website>(&json!([])).contains("an object of kind Website"));
    let twice = serde_json::from_str::<Website>(r#"{"spec":{"url":"a"},"spec":{"url":"b"}}"#).unwrap_err();
    assert!(twice.to_string().contains("`spec`"), "{twice}");
    for field in ["metadata", "status"] {
        let text = format!(r#"{{"name":"a","{field}":null,"{field}":null}}"#);
        let twice = serde_json::from_str::<Bucket>(&text).unwrap_err();
        assert!(twice.to_string().contains(&format!("duplicate field `{field}`")), "{twice}");
    }
}

#[test]
fn unknown_fields_are_skipped() {
    let site: Website = serde_json::from_value(json!({
        "other": [{ "deep": { "er": 1 } }], "spec": { "url": "a", "unknown": {} }, "metadata": { "name": "a" },
    }))
    .unwrap();
    assert_eq!(site.spec.url, "a");
}

#[test]
fn generated_names_and_url_paths_follow_the_attributes() {
    assert_eq!(Website::kind(&()), "Website");
    assert_eq!(Website::group(&()), "web.example.com");
    assert_eq!(Website::version(&()), "v1");
    assert_eq!(Website::api_version(&()), "web.example.com/v1");
    assert_eq!(Website::plural(&()), "websites");
    assert_eq!(Website::url_path(&(), Some("ns")), "/apis/web.example.com/v1/namespaces/ns/websites");
    assert_eq!(NetworkPolicy::plural(&()), "networkpolicies");
    assert_eq!(NetworkPolicy::url_path(&(), None), "/apis/net.example.com/v1alpha1/networkpolicies");
    assert_eq!(NetworkPolicy::new("a", PolicySpec { allow: vec![] }).spec.allow, [""; 0]);
    assert_eq!(Website::api_resource(), ApiResource::erase::<Website>(&()));
    assert_eq!(Website::shortnames(), ["ws", "site"]);
    assert_eq!(Website::crd_name(), "websites.web.example.com");
    assert_eq!(<renamed_crates::Renamed as Resource>::plural(&()), "renameds");
    assert_eq!(renamed_crates::Renamed::new("a", renamed_crates::RenamedSpec {}).name_any(), "a");
}

#[test]
fn the_attribute_key_namespaced_selects_the_scope_type() {
    fn assert_namespaced<K: Resource<Scope = NamespaceResourceScope>>() {}
    fn assert_cluster_scoped<K: Resource<Scope = ClusterResourceScope>>() {}
    assert_namespaced::<Website>();
    assert_cluster_scoped::<NetworkPolicy>();
}

#[test]
fn generic_code_accesses_spec_and_status() {
    fn set_replicas<K: HasSpec<Spec = WebsiteSpec> + HasStatus<Status = WebsiteStatus>>(object: &mut K) {
        object.spec_mut().replicas = 5;
        object.status_mut().get_or_insert_default().replicas = 4;
    }
    let mut site = website();
    set_replicas(&mut site);
    assert_eq!((site.spec().replicas, site.status().map(|s| s.replicas)), (5, Some(4)));
    assert_eq!(Website::default().spec, WebsiteSpec::default());
}

#[test]
fn crd_contains_all_attributes() {
    let crd = serde_json::to_value(Website::crd()).unwrap();
    assert_eq!(crd["apiVersion"], "apiextensions.k8s.io/v1");
    assert_eq!(
        crd["metadata"],
        json!({
            "name": "websites.web.example.com",
            "annotations": { "example.com/owner": "the web team" },
            "labels": { "team": "web" },
        })
    );
    assert_eq!(
        (&crd["spec"]["group"], &crd["spec"]["scope"]),
        (&json!("web.example.com"), &json!("Namespaced"))
    );
    assert_eq!(
        crd["spec"]["names"],
        json!({
            "kind": "Website", "plural": "websites", "singular": "website",
            "shortNames": ["ws", "site"], "categories": ["all"],
        })
    );
    let mut version = crd["spec"]["versions"][0].clone();
    let schema = version["schema"]["openAPIV3Schema"].take();
    assert_eq!(
        version,
        json!({
            "name": "v1", "served": true, "storage": false,
            "deprecated": true, "deprecationWarning": "use v2",
            "additionalPrinterColumns": [
                { "name": "Address", "type": "string", "jsonPath": ".spec.url", "description": "where it is", "priority": 1 },
                { "name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "format": "int32" },
            ],
            "selectableFields": [{ "jsonPath": ".spec.url" }],
            "subresources": {
                "status": {},
                "scale": {
                    "specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas",
                    "labelSelectorPath": ".status.selector",
                },
            },
            "schema": { "openAPIV3Schema": null },
        })
    );
    assert_eq!(
        schema,
        json!({
            "title": "Website",
            "description": "A website to be served.",
            "type": "object",
            "properties": {
                "spec": {
                    "description": "A website to be served.",
                    "type": "object",
                    "properties": {
                        "url": { "type": "string" },
                        "replicas": { "type": "integer", "format": "int32", "default": 0 },
                    },
                    "required": ["url"],
                },
                "status": {
                    "description": "The state of the website.",
                    "type": "object",
                    "nullable": true,
                    "properties": {
                        "replicas": { "type": "integer", "format": "int32" },
                        "selector": { "type": "string", "nullable": true },
                    },
                    "required": ["replicas"],
                },
            },
            "required": ["spec"],
            "x-kubernetes-validations": [
                { "rule": "self.spec.replicas <= 10" },
                {
                    "rule": "self.spec.url.startsWith('http')", "message": "must be a web address",
                    "reason": "FieldValueInvalid", "fieldPath": ".spec.url",
                },
            ],
        })
    );
}

#[test]
fn minimal_crd_omits_optional_fields() {
    let crd = serde_json::to_value(NetworkPolicy::crd()).unwrap();
    assert_eq!(crd["spec"]["scope"], "Cluster");
    assert_eq!(
        crd["spec"]["names"],
        json!({ "kind": "NetworkPolicy", "plural": "networkpolicies", "singular": "networkpolicy" })
    );
    let version = crd["spec"]["versions"][0].as_object().unwrap();
    let keys: Vec<_> = version.keys().map(String::as_str).collect();
    assert_eq!(keys, ["name", "schema", "served", "storage"]);
    assert_eq!((&version["served"], &version["storage"]), (&json!(true), &json!(true)));
}

#[test]
fn spec_may_be_an_enum() {
    let choice: Choice =
        serde_json::from_value(json!({ "kind": "Choice", "spec": { "right": { "far": true } } })).unwrap();
    assert_eq!(choice.spec, ChoiceSpec::Right { far: true });
    let schema =
        serde_json::to_value(Choice::try_crd().unwrap()).unwrap()["spec"]["versions"][0]["schema"].take();
    assert_eq!(schema["openAPIV3Schema"]["description"], "One of two.");
    assert_eq!(
        schema["openAPIV3Schema"]["properties"]["spec"]["oneOf"],
        json!([{ "required": ["left"] }, { "required": ["right"] }])
    );
}

#[test]
fn the_fields_of_a_kind_with_no_spec_are_siblings_of_metadata() {
    let wire = json!({
        "apiVersion": "flat.example.com/v1", "kind": "Bucket",
        "metadata": { "name": "a" }, "regionName": "north", "status": { "replicas": 1, "selector": null }, "size": [1],
    });
    let bucket: Bucket = serde_json::from_value(wire.clone()).unwrap();
    assert_eq!(bucket.name_any(), "a");
    assert_eq!(bucket.spec.region_name, "north");
    assert_eq!(bucket.spec.extra, BTreeMap::from([("size".to_owned(), json!([1]))]));
    assert_eq!(bucket.status.as_ref().map(|status| status.replicas), Some(1));
    assert_eq!(serde_json::to_value(&bucket).unwrap(), wire);
    // If a field name contains an escape, serde cannot borrow the name from the text.
    let text = wire.to_string().replace("regionName", "regionN\\u0061me");
    assert_eq!(serde_json::from_str::<Bucket>(&text).unwrap().spec, bucket.spec);
    assert_eq!(serde_json::from_reader::<_, Bucket>(text.as_bytes()).unwrap().spec, bucket.spec);

    let error = decode_error::<Bucket>(&json!({ "kind": "Basket", "regionName": "a" }));
    assert!(error.contains("\"Bucket\"") && error.contains("\"Basket\""), "{error}");
    assert!(decode_error::<Bucket>(&json!({ "metadata": {} })).contains("regionName"));

    let crd = serde_json::to_value(Bucket::try_crd().unwrap()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let properties: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(properties, ["regionName", "status"]);
    assert_eq!(schema["required"], json!(["regionName"]));
}

#[test]
fn schema_modes_select_the_schema() {
    assert_eq!(Raw::crd().spec.versions[0].schema, None);
    assert_eq!(Raw::try_crd().as_ref(), Ok(&Raw::crd()));
    let raw: Raw = serde_json::from_value(json!({ "spec": { "anything": [1] } })).unwrap();
    assert_eq!(raw.spec.anything, json!([1]));
    let manual = serde_json::to_value(Manual::crd()).unwrap();
    let spec = &manual["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(spec, &json!({ "type": "object", "maxProperties": 3 }));
}

#[test]
fn merge_crds_merges_the_versions_of_a_kind() {
    let merged = merge_crds(vec![Website::crd(), WebsiteV2::crd()], "v2").unwrap();
    let versions: Vec<_> = merged.spec.versions.iter().map(|v| (v.name.as_str(), v.storage)).collect();
    assert_eq!(versions, [("v1", false), ("v2", true)]);
    assert_eq!(merged.metadata.labels, Website::crd().metadata.labels);
}
