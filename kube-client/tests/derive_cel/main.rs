//! Evaluation of validation rules in the client, compared with the answers of an API server.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![cfg(feature = "cel")]

use kube_client::core::{
    Reason,
    cel::{ErrorKind, ValidationErrors, Validator, validate_cel},
};
use kube_derive::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "example.com", version = "v1", kind = "Pool", cel)]
#[kube(validation = Rule::new("self.metadata.name.size() < 9").field_path(".metadata.name").message("too long"))]
#[x_kube(cel, validation = ("self.min <= self.max", Message::Expression("string(self.min) + ' is above max'".into())))]
#[serde(rename_all = "camelCase")]
struct PoolSpec {
    min: u32,
    #[serde(default = "ten")]
    max: u32,
    #[x_kube(validation = Rule::new("self == oldSelf").reason(Reason::FieldValueForbidden).message("immutable"))]
    host_name: String,
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    ports: Vec<Port>,
    #[x_kube(validation = "self != 'x'")]
    note: Option<String>,
}

fn ten() -> u32 {
    10
}

#[derive(KubeSchema, Clone, Debug, Serialize, Deserialize)]
struct Port {
    name: String,
    #[x_kube(validation = "self >= oldSelf")]
    number: i32,
}

#[derive(KubeSchema, Serialize)]
#[x_kube(cel)]
struct Generic<T> {
    #[x_kube(validation = "self.size() < 2")]
    items: Vec<T>,
}

fn pool(ports: &[(&str, i32)]) -> Pool {
    let ports = ports.iter().map(|&(name, number)| Port { name: name.into(), number }).collect();
    Pool::new("pool", PoolSpec { min: 1, max: 2, host_name: "a".into(), ports, note: None })
}

/// The text of each error: the path of the field, and the message.
fn error_texts(result: Result<(), ValidationErrors>) -> Vec<String> {
    result.err().into_iter().flatten().map(|error| error.to_string()).collect()
}

#[test]
fn a_new_object_must_satisfy_all_rules_that_do_not_use_old_self() {
    let mut object = pool(&[("a", 80)]);
    assert_eq!(object.validate_cel(), Ok(()));
    object.metadata.name = Some("a-long-name".to_owned());
    object.spec.min = 3;
    object.spec.note = Some("x".to_owned());
    let expected = ["metadata.name: too long", "spec: 3 is above max", "spec.note: failed rule: self != 'x'"];
    assert_eq!(error_texts(object.validate_cel()), expected);
    assert_eq!(error_texts(validate_cel(&object)), expected);
    let errors = object.validate_cel().unwrap_err();
    assert_eq!(errors.to_string(), expected.join("; "));
    assert_eq!(errors.violations().count(), 3);
}

#[test]
fn an_update_compares_each_list_item_with_the_old_item_of_the_same_key() {
    let old = pool(&[("a", 80), ("b", 90)]);
    let mut object = pool(&[("b", 90), ("a", 79), ("c", 1)]);
    assert_eq!(
        error_texts(object.validate_cel_update(&old)),
        ["spec.ports[1].number: failed rule: self >= oldSelf"]
    );
    object = pool(&[]);
    object.spec.host_name = "b".to_owned();
    let errors = object.validate_cel_update(&old).unwrap_err();
    let error = &errors.as_slice()[0];
    assert_eq!((error.field_path.as_str(), error.message.as_str()), ("spec.hostName", "immutable"));
    assert_eq!((error.reason, error.kind), (Reason::FieldValueForbidden, ErrorKind::ValidationFailure));
}

#[test]
fn in_an_update_an_unchanged_value_does_not_violate_a_rule() {
    let mut old = pool(&[]);
    old.spec.note = Some("x".to_owned());
    let mut object = old.clone();
    object.spec.max = 9;
    assert_eq!(object.validate_cel_update(&old), Ok(()));
    assert_eq!(error_texts(object.validate_cel()), ["spec.note: failed rule: self != 'x'"]);
}

#[test]
fn a_transition_rule_ignores_an_old_null_and_item_rules_ignore_an_unchanged_list() {
    let validator = Validator::new(&json!({"type": "object", "properties": {
        "size": {"type": "integer", "nullable": true, "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]},
        "ports": {"type": "array", "items": {
            "type": "integer", "x-kubernetes-validations": [{"rule": "self > 1024"}],
        }},
    }}));
    let validate = |value: Value, old: Value| error_texts(validator.validate(&value, Some(&old)));
    assert_eq!(validate(json!({"size": 3}), json!({"size": null})), Vec::<String>::new());
    assert_eq!(validate(json!({"size": 3}), json!({"size": 4})).len(), 1);
    assert_eq!(validate(json!({"ports": [80], "size": 1}), json!({"ports": [80]})), Vec::<String>::new());
    assert_eq!(validate(json!({"ports": [80, 81]}), json!({"ports": [80]})).len(), 2);
}

#[test]
fn validate_cel_of_a_type_adds_the_defaults_of_its_schema() {
    let value = json!({ "min": 11, "hostName": "a", "ports": [] });
    assert_eq!(error_texts(PoolSpec::validate_cel(&value, None)), ["11 is above max"]);
    let items = json!({ "items": ["a", "b"] });
    assert_eq!(
        error_texts(Generic::<String>::validate_cel(&items, None)),
        ["items: failed rule: self.size() < 2"]
    );
}

const COMMON_SCHEMA: &str = include_str!("../../../xtask/e2e/src/suites/cel/schema.json");
const COMMON_VALUE: &str = include_str!("../../../xtask/e2e/src/suites/cel/value.json");

/// Parses a table of the end-to-end suite `cel`. Each row has rules or a schema, and the causes that kube-apiserver
/// returned.
fn parse_rows(table: &str) -> Vec<Value> {
    serde_json::from_str(table).unwrap()
}

/// The differences between the client's validation errors for a row and the causes that the server returned. For a rule
/// that fails at run time, the messages of the client and the server differ. In this case, the text of the rule is
/// compared instead of the message.
fn differences_from_server(row: &Value, with_old: bool) -> Vec<String> {
    let schema = row.get("schema").cloned().unwrap_or_else(|| {
        let mut schema: Value = serde_json::from_str(COMMON_SCHEMA).unwrap();
        schema["x-kubernetes-validations"] = row["rules"].clone();
        schema
    });
    let common: Value = serde_json::from_str(COMMON_VALUE).unwrap();
    let value = row.get("value").unwrap_or(&common);
    let old = with_old.then(|| row.get("old").unwrap_or(&common));
    let found = Validator::new(&schema).validate(value, old).err().map_or_else(Vec::new, Vec::from_iter);
    let mut causes = row["causes"].as_array().cloned().unwrap_or_default();
    let mut differences = Vec::new();
    for error in found {
        let separator =
            if error.field_path.is_empty() || error.field_path.starts_with('[') { "" } else { "." };
        let field = format!("~{separator}{}", error.field_path);
        let reason = format!("{:?}", error.reason);
        let at = causes.iter().position(|cause| {
            let message = cause["message"].as_str().unwrap();
            let is_same_message = match error.kind {
                ErrorKind::ValidationFailure => {
                    message.ends_with(&error.message) || message == "Duplicate value"
                }
                _ => message.ends_with(&format!("evaluating rule: {}", error.rule)),
            };
            cause["field"] == field && cause["reason"] == reason && is_same_message
        });
        match at {
            Some(at) => drop(causes.remove(at)),
            None => differences.push(format!("only here: {field}: {}", error.message)),
        }
    }
    differences.extend(causes.iter().map(|cause| format!("only on the server: {cause}")));
    differences
}

#[test]
fn the_errors_are_equal_to_those_of_an_api_server_except_for_known_differences() {
    let objects = parse_rows(include_str!("../../../xtask/e2e/src/suites/cel/objects.json"));
    let updates = parse_rows(include_str!("../../../xtask/e2e/src/suites/cel/updates.json"));
    let all = objects.iter().map(|row| (row, false)).chain(updates.iter().map(|row| (row, true)));
    let (mut equal, mut different) = (0, String::new());
    for (row, with_old) in all {
        let found = differences_from_server(row, with_old);
        if found.is_empty() {
            equal += 1;
        } else {
            let rule = row.get("rules").map_or(&row["schema"], |rules| &rules[0]);
            different.extend([&rule.to_string(), "\n    ", &found.join("\n    "), "\n"]);
        }
    }
    assert_eq!(different, include_str!("differences.txt"), "\n{different}");
    assert_eq!(equal, 150);
}
