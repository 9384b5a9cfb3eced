//! Tests of the schemas and names that `#[derive(KubeSchema)]` and `#[derive(Resource)]` generate.

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube_client::core::{ApiResource, CustomResourceExt, DynamicObject};
use kube_client::{Resource, ResourceExt};
use kube_derive::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A node of a tree.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(group = "example.com", version = "v1", kind = "Tree", namespaced = true, status = TreeStatus)]
#[kube(
    printcolumn = r#"{"name":"Size", "type":"integer", "jsonPath":".spec.maxSize", "priority":1, "format":null}"#
)]
#[kube(scale = r#"{"specReplicasPath":".spec.maxSize", "statusReplicasPath":".status.size"}"#)]
#[serde(rename_all = "camelCase", default)]
#[x_kube(validation = "self.maxSize < 10")]
#[x_kube(validation = ("!has(self.left)", Message::Expression("'no left'".into())))]
struct TreeSpec {
    /// The largest size.
    #[x_kube(validation = "self > 0", validation = Rule::new("self < 9").message("below 9"))]
    max_size: i32,
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    items: Vec<Leaf>,
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    labels: std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = "self.name != 'root'", merge_strategy = StructMerge::Atomic)]
    left: Option<Leaf>,
    shape: Shape,
}

impl Default for TreeSpec {
    fn default() -> Self {
        Self {
            max_size: 3,
            items: Vec::new(),
            labels: std::collections::BTreeMap::new(),
            left: None,
            shape: Shape::Empty {},
        }
    }
}

#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Leaf {
    #[schemars(length(min = 1))]
    #[x_kube(validation = "self != 'x'")]
    name: String,
}

#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Shape {
    Empty {},
    Round {
        #[x_kube(validation = "self >= 1")]
        radius: u8,
    },
}

#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TreeStatus {
    size: i32,
}

/// The entry of the version `v1` in the CRD of `Tree`.
fn version() -> Value {
    serde_json::to_value(Tree::try_crd().unwrap()).unwrap()["spec"]["versions"][0].take()
}

#[test]
fn rules_and_strategies_are_in_the_schema_of_their_type_or_field() {
    let spec = version()["schema"]["openAPIV3Schema"]["properties"]["spec"].take();
    let rules = |schema: &Value| schema["x-kubernetes-validations"].clone();
    assert_eq!(
        rules(&spec),
        json!([{ "rule": "self.maxSize < 10" }, { "rule": "!has(self.left)", "messageExpression": "'no left'" }])
    );
    let fields = &spec["properties"];
    assert_eq!(
        rules(&fields["maxSize"]),
        json!([{ "rule": "self > 0" }, { "rule": "self < 9", "message": "below 9" }])
    );
    assert_eq!(fields["items"]["x-kubernetes-list-type"], "map");
    assert_eq!(fields["items"]["x-kubernetes-list-map-keys"], json!(["name"]));
    assert_eq!(rules(&fields["items"]["items"]["properties"]["name"]), json!([{ "rule": "self != 'x'" }]));
    assert_eq!(fields["labels"]["x-kubernetes-map-type"], "atomic");
    assert_eq!(rules(&fields["left"]), json!([{ "rule": "self.name != 'root'" }]));
    assert_eq!(fields["left"]["x-kubernetes-map-type"], "atomic");
    let radius = &fields["shape"]["properties"]["round"]["properties"]["radius"];
    assert_eq!(rules(radius), json!([{ "rule": "self >= 1" }]));
}

#[test]
fn doc_comments_and_attributes_of_serde_and_schemars_keep_their_effect() {
    let spec = version()["schema"]["openAPIV3Schema"]["properties"]["spec"].take();
    assert_eq!(spec["description"], "A node of a tree.");
    assert_eq!(spec["properties"]["maxSize"]["description"], "The largest size.");
    assert_eq!(spec["properties"]["maxSize"]["default"], 3);
    assert_eq!(spec["properties"]["items"]["items"]["properties"]["name"]["minLength"], 1);
    assert_eq!(spec["required"], Value::Null);
}

/// Values of `T` with a limit.
#[derive(KubeSchema)]
#[serde(default)]
#[allow(dead_code, reason = "only the schema is used")]
struct Bounded<'a, T: Clone, const N: usize>
where
    T: Default,
{
    #[x_kube(validation = "self.size() < 5")]
    values: Vec<T>,
    #[serde(skip)]
    name: std::marker::PhantomData<&'a [(); N]>,
}

impl<T: Clone + Default, const N: usize> Default for Bounded<'_, T, N> {
    fn default() -> Self {
        Self { values: Vec::new(), name: std::marker::PhantomData }
    }
}

#[derive(KubeSchema)]
#[serde(rename = "Other")]
#[allow(dead_code, reason = "only the schema is used")]
struct Renamed<T> {
    #[x_kube(validation = "self")]
    a: bool,
    b: std::marker::PhantomData<T>,
}

#[test]
fn a_generic_type_has_rules_and_its_schema_name_contains_its_parameters() {
    let schema = kube_client::core::schema::try_schema_for::<Bounded<'_, String, 3>>().unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    assert_eq!(schema["description"], "Values of `T` with a limit.");
    let values = &schema["properties"]["values"];
    assert_eq!(values["items"]["type"], "string");
    assert_eq!(schema["required"], Value::Null);
    assert_eq!(values["x-kubernetes-validations"], json!([{ "rule": "self.size() < 5" }]));
    assert_eq!(Bounded::<u8, 3>::schema_name(), "Bounded_for_uint8_and_3");
    assert_ne!(Bounded::<u8, 3>::schema_id(), Bounded::<u8, 4>::schema_id());
    assert_eq!((TreeSpec::schema_name(), Renamed::<u8>::schema_name()), ("TreeSpec".into(), "Other".into()));
}

#[test]
fn columns_and_scale_may_be_json() {
    let version = version();
    assert_eq!(
        version["additionalPrinterColumns"],
        json!([{ "name": "Size", "type": "integer", "jsonPath": ".spec.maxSize", "priority": 1 }])
    );
    assert_eq!(
        version["subresources"]["scale"],
        json!({ "specReplicasPath": ".spec.maxSize", "statusReplicasPath": ".status.size" })
    );
}

#[test]
fn crate_paths_may_refer_to_reexports() {
    mod facade {
        pub(super) use kube_client as client;
        pub(super) use kube_client::core;
    }
    #[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
    #[kube(group = "example.com", version = "v1", kind = "First", crates(kube = "facade"))]
    #[x_kube(crates(kube_core = "facade::core"))]
    struct FirstSpec {}
    #[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
    #[kube(group = "example.com", version = "v1", kind = "Second", namespaced = false)]
    #[kube(crates(kube_core = "facade::core"))]
    #[x_kube(crates(kube_client = "facade::client"))]
    struct SecondSpec {}
    assert_eq!(First::crd_name(), "firsts.example.com");
    assert_eq!(Second::url_path(&(), None), "/apis/example.com/v1/seconds");
}

#[derive(kube_derive::Resource, Clone, Debug, Deserialize, Serialize)]
#[resource(inherit = ConfigMap)]
struct Settings {
    metadata: ObjectMeta,
    data: SettingsData,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct SettingsData {
    color: String,
}

#[derive(kube_derive::Resource, Clone, Debug)]
#[resource(inherit = "DynamicObject")]
struct Anything<T> {
    metadata: ObjectMeta,
    _data: T,
}

/// Compiles only for namespaced kinds.
fn assert_namespaced<K: Resource<Scope = kube_client::core::NamespaceResourceScope>>() {}

#[test]
fn a_type_inherits_the_names_and_the_scope_of_another_type() {
    assert_eq!((Settings::kind(&()), Settings::api_version(&())), ("ConfigMap".into(), "v1".into()));
    assert_eq!(Settings::url_path(&(), Some("ns")), "/api/v1/namespaces/ns/configmaps");
    let text = json!({ "metadata": { "name": "a" }, "data": { "color": "red" } });
    let settings: Settings = serde_json::from_value(text).unwrap();
    assert_eq!((settings.name_any().as_str(), settings.data.color.as_str()), ("a", "red"));
    assert_namespaced::<Settings>();

    let tree = ApiResource::erase::<Tree>(&());
    assert_eq!(Anything::<u8>::url_path(&tree, Some("ns")), "/apis/example.com/v1/namespaces/ns/trees");
    let mut any = Anything { metadata: ObjectMeta::default(), _data: 1 };
    any.meta_mut().name = Some("b".into());
    assert_eq!(any.name_any(), "b");
}

/// A spec with wrong merge strategies: a list key that is the Rust name of a field instead of the JSON name, a list key
/// that is an optional field, and a map strategy on a number.
#[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "example.com", version = "v1", kind = "Misnamed")]
struct MisnamedSpec {
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host_name".to_owned()]))]
    hosts: Vec<Host>,
    #[x_kube(merge_strategy = ListMerge::Map(vec!["port".to_owned()]))]
    ports: Vec<Host>,
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    number: u8,
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    host_name: String,
    port: Option<u16>,
}

#[test]
fn merge_strategies_that_a_server_refuses_are_errors() {
    let error = Misnamed::try_crd().unwrap_err();
    let problems: Vec<_> = error.problems().iter().map(|p| (p.path.as_str(), p.what.as_str())).collect();
    let expected = [
        (".spec.number", "`x-kubernetes-map-type` has no effect on a value of type integer"),
        (".spec.hosts", "the items of the list have no field \"host_name\": use its name in JSON"),
        (".spec.ports", "the key \"port\" of the list cannot be null"),
        (".spec.ports", "the key \"port\" of the list must be required or have a default"),
    ];
    assert_eq!(problems, expected);
}
