//! Tests of the problems that `try_crd()` reports about a CRD. Also tests that encoding fails if an object has a field with
//! a reserved name.

use std::collections::BTreeMap;

use kube_client::CustomResourceExt;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The schema in the CRD.
fn root_schema<K: CustomResourceExt>() -> Value {
    let crd = serde_json::to_value(K::crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Asserts that `try_crd` reports problems with these paths and texts.
#[track_caller]
fn assert_problems<K: CustomResourceExt>(expected: &[(&str, &str)]) {
    let error = K::try_crd().unwrap_err();
    let problems: Vec<_> =
        error.problems().iter().map(|problem| (problem.path.as_str(), problem.what.as_str())).collect();
    assert_eq!(problems, expected);
}

// A kind whose objects may have any fields as siblings of `metadata`.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "AnyMap", no_spec)]
struct AnyMapFields {
    #[serde(flatten)]
    values: BTreeMap<String, Value>,
}

// A kind whose objects may have any fields with string values as siblings of `metadata`.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "TextMap", no_spec)]
struct TextMapFields {
    #[serde(flatten)]
    values: BTreeMap<String, String>,
}

#[test]
fn flattened_map_at_the_root_preserves_unknown_fields() {
    AnyMap::try_crd().unwrap();
    assert_problems::<TextMap>(&[("", "the values of a flattened map are not validated at the root")]);
    for schema in [root_schema::<AnyMap>(), root_schema::<TextMap>()] {
        assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], true, "{schema}");
        assert_eq!(schema.get("additionalProperties"), None, "{schema}");
    }
}

/// Fields with reserved names (`kind` and `status`). The macro cannot detect these names, because the fields are
/// flattened.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct ReservedFields {
    kind: String,
    status: i32,
}

// A kind with fields whose names are reserved.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Clash", no_spec)]
struct ClashFields {
    own: i32,
    #[serde(flatten)]
    common: ReservedFields,
}

#[test]
fn flattened_field_with_reserved_name_is_reported_and_not_encoded() {
    let what = "every object has a field of this name, so the object would have duplicate keys";
    assert_problems::<Clash>(&[(".kind", what), (".status", what)]);
    let clash =
        Clash::new("a", ClashFields { own: 1, common: ReservedFields { kind: "b".to_owned(), status: 2 } });
    let error = serde_json::to_string(&clash).unwrap_err().to_string();
    assert!(error.contains("a field `kind`"), "{error}");
}

#[test]
fn map_entry_with_reserved_name_is_not_encoded() {
    let map = |key: &str| {
        let values = BTreeMap::from([(key.to_owned(), "a".to_owned())]);
        serde_json::to_string(&TextMap::new("a", TextMapFields { values }))
    };
    for key in ["apiVersion", "kind", "metadata", "status"] {
        let error = map(key).unwrap_err().to_string();
        assert!(error.contains(&format!("a field `{key}`")), "{error}");
    }
    for key in ["", "kin", "kinds", "meta\"data", "Kind"] {
        let text = map(key).unwrap();
        assert_eq!(serde_json::from_str::<TextMap>(&text).unwrap().spec.values[key], "a");
    }
}

// A kind with valid and invalid selectable fields.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Selected",
    selectable = ".spec.text",
    selectable = ".spec.count",
    selectable = ".spec.nothing",
    selectable = ".spec.labels",
    selectable = ".spec.labels.a",
    selectable = ".spec.ratio",
    selectable = ".spec.any",
    selectable = ".spec"
)]
struct SelectedSpec {
    text: String,
    count: Option<i64>,
    labels: BTreeMap<String, String>,
    ratio: f64,
    any: Value,
}

#[test]
fn try_crd_reports_invalid_selectable_fields() {
    let absent = "a selectable field must be in the schema";
    assert_problems::<Selected>(&[
        (".spec.nothing", absent),
        (".spec.labels", "a selectable field cannot be of type object"),
        (".spec.labels.a", absent),
        (".spec.ratio", "a selectable field cannot be of type number"),
        (".spec.any", "a selectable field must have a single type"),
        (".spec", "a selectable field cannot be of type object"),
    ]);
}

// A kind with well-formed and malformed validation rules.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Ruled",
    validation = Rule::new("true").message("one\ntwo"),
    validation = "true &&\ntrue",
    validation = "  ",
    validation = ("true", " "),
    validation = ("true &&\ntrue", "fine")
)]
struct RuledSpec {
    #[schemars(extend("x-kubernetes-validations" = [{ "rule": "self > 0", "message": "a\nb" }]))]
    count: i64,
}

#[test]
fn try_crd_reports_malformed_validation_rules() {
    assert_problems::<Ruled>(&[
        ("", "the message of the validation rule \"true\" contains a line break"),
        ("", "the validation rule \"true &&\\ntrue\" contains a line break, and therefore needs a message"),
        ("", "a validation rule is empty"),
        ("", "the message of the validation rule \"true\" is blank"),
        (".spec.count", "the message of the validation rule \"self > 0\" contains a line break"),
    ]);
}

#[test]
fn embedded_api_objects_keep_their_fields() {
    use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only the schema of this type is used")]
    struct Holder {
        template: RawExtension,
    }
    let schema = kube_client::core::schema::try_schema_for::<Holder>().unwrap();
    let template = &serde_json::to_value(schema).unwrap()["properties"]["template"];
    assert_eq!(template["type"], json!("object"));
    assert_eq!(template["x-kubernetes-preserve-unknown-fields"], true);
}

/// The Rust variant `Other` keeps any field, but its schema does not allow unknown fields: the server prunes them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
enum WithPrunedFields {
    Http { url: String },
    Other(Value),
    Nothing,
}

// The Rust variant `Other` keeps any field, and its schema allows unknown fields: the server keeps them, too.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
enum WithKeptFields {
    Http { url: String },
    Other(BTreeMap<String, Value>),
    Nothing,
}

// A kind with fields that the Rust type keeps and the server prunes.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Pruned")]
struct PrunedSpec {
    size: u8,
    sources: Vec<WithPrunedFields>,
    by_name: BTreeMap<String, WithPrunedFields>,
    kept: Vec<WithKeptFields>,
}

#[test]
fn try_crd_reports_fields_that_the_type_keeps_but_the_server_prunes() {
    let what = "the type preserves fields that the schema does not have, and the server prunes them";
    let error = Pruned::try_crd().map(drop).unwrap_err();
    let found: Vec<_> = error.problems().iter().filter(|problem| problem.what == what).collect();
    let paths: Vec<_> = found.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, [".spec.by_name[*]", ".spec.sources[*]"]);
}

// A kind with a scale subresource and without a status.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Scaled", namespaced)]
#[kube(scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.replicas"))]
struct ScaledSpec {
    replicas: i32,
}

#[test]
fn scale_does_not_need_a_status() {
    let sim = kube_sim::Sim::new();
    let stored = sim.create(&serde_json::to_value(Scaled::try_crd().unwrap()).unwrap()).unwrap();
    let paths = json!({ "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas" });
    assert_eq!(stored["spec"]["versions"][0]["subresources"], json!({ "scale": paths }));
}
