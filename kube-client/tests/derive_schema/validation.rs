//! Tests [`Validator::validate_schema`] with the specs of all kinds, and with small schemas. The validation needs no
//! server.

use kube_client::core::cel::{ErrorKind, Validator};
use serde_json::{Value, json};

use super::{all_kinds, kind_name, kinds, schema_of};

/// The number of properties in a schema and in all schemas below it.
fn count_fields(schema: &Value) -> usize {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let own: usize = properties.map(|(_, schema)| 1 + count_fields(schema)).sum();
    own + count_fields_below(schema, "items") + count_fields_below(schema, "additionalProperties")
}

fn count_fields_below(schema: &Value, key: &str) -> usize {
    if schema[key].is_object() { count_fields(&schema[key]) } else { 0 }
}

#[test]
fn good_specs_are_valid_and_bad_specs_have_violations() {
    let mut cases = 0;
    for derived in all_kinds() {
        let kind = kind_name(&derived);
        let validator = Validator::new(&schema_of(&derived));
        let validate =
            |spec: &Value| validator.validate_schema(&json!({"metadata": {"name": "a"}, "spec": spec}), None);
        for good in &derived.good {
            assert_eq!(validate(good), Ok(()), "{kind}: {good}");
        }
        for bad in &derived.bad {
            let errors = validate(bad).err().unwrap_or_else(|| panic!("{kind}: {bad} is valid"));
            assert!(errors.violations().count() > 0, "{kind}: {bad}: {errors}");
        }
        cases += derived.good.len() + derived.bad.len();
    }
    assert!(cases >= 100, "{cases}");
}

#[test]
fn each_modelled_kind_has_more_than_60_fields() {
    for derived in kinds::modelled_on_public_crds::all_kinds() {
        let fields = count_fields(&schema_of(&derived)["properties"]["spec"]);
        assert!(fields > 60, "{} has {fields}", kind_name(&derived));
    }
}

#[track_caller]
fn assert_errors(schema: &Value, value: &Value, expected: &[&str]) {
    let errors = Validator::new(schema).validate_schema(value, None);
    let texts: Vec<_> = errors.err().into_iter().flatten().map(|error| error.to_string()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn error_texts_contain_the_field_and_the_violated_constraint() {
    let schema = json!({"type": "object", "required": ["r"], "properties": {
        "r": {"type": "string"},
        "n": {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2},
        "x": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
        "y": {"type": "number", "multipleOf": 0.1},
        "s": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^a"},
        "l": {"type": "array", "maxItems": 1, "items": {"type": "string", "enum": ["a", "b"]}},
        "m": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object"}},
        "f": {"type": "object", "properties": {"a": {}}, "additionalProperties": false},
        "d": {"type": "string", "format": "date-time"},
        "i": {"x-kubernetes-int-or-string": true},
        "e": {"type": "object", "x-kubernetes-embedded-resource": true},
    }});
    let valid = |name: &str, value: Value| json!({"r": "", name: value});
    assert_errors(&schema, &json!({}), &["r: required value"]);
    assert_errors(&schema, &json!({"r": null}), &["r: required value"]);
    assert_errors(&schema, &valid("n", json!(0)), &["n: should be greater than or equal to 1"]);
    assert_errors(
        &schema,
        &valid("n", json!(11)),
        &["n: should be less than or equal to 9", "n: should be a multiple of 2"],
    );
    assert_errors(&schema, &valid("n", json!(2.0)), &[]);
    assert_errors(&schema, &valid("n", json!(u64::MAX)), &["n: must be within the range of int64"]);
    assert_errors(&schema, &valid("n", json!("2")), &["n: must be of type integer: \"string\""]);
    assert_errors(&schema, &valid("x", json!(0)), &["x: should be greater than 0"]);
    assert_errors(&schema, &valid("y", json!(0.3)), &[]);
    assert_errors(&schema, &valid("y", json!(0.35)), &["y: should be a multiple of 0.1"]);
    assert_errors(
        &schema,
        &valid("s", json!("b")),
        &["s: should have at least 2 characters", "s: should match '^a'"],
    );
    assert_errors(&schema, &valid("s", json!("aäää")), &["s: must have at most 3 characters"]);
    let items = ["l: must have at most 1 items", "l[1]: unsupported value: supported values: \"a\", \"b\""];
    assert_errors(&schema, &valid("l", json!(["a", "c"])), &items);
    assert_errors(&schema, &valid("m", json!([{"k": 1}, {"k": 2}, {"k": 1.0}])), &["m[2]: duplicate value"]);
    assert_errors(&schema, &valid("f", json!({"a": 1, "b": 2})), &["f.b: forbidden property"]);
    for time in ["2024-02-03T04:05:06Z", "2024-02-03t04:05:06.7z", "2024-02-03T04:05:06+99:99"] {
        assert_errors(&schema, &valid("d", json!(time)), &[]);
    }
    for time in
        ["2024-02-03T04:05Z", "2024-02-03 04:05:06Z", "2024-02-30T04:05:06Z", "2024-02-03T24:05:06Z", "é"]
    {
        assert_errors(&schema, &valid("d", json!(time)), &["d: must be of type date-time"]);
    }
    assert_errors(&schema, &valid("i", json!(1.5)), &["i: must be of type integer,string: \"number\""]);
    assert_errors(&schema, &valid("e", json!({"kind": "a"})), &["e.apiVersion: required value"]);
}

#[test]
fn rules_are_evaluated_after_a_length_violation_but_not_after_a_type_error() {
    let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 1"}], "properties": {
        "a": {"type": "integer", "default": 1}, "b": {"type": "string", "minLength": 1},
    }});
    assert_errors(
        &schema,
        &json!({"a": 0, "b": ""}),
        &["b: should have at least 1 characters", "failed rule: self.a > 1"],
    );
    assert_errors(&schema, &json!({"a": "0"}), &["a: must be of type integer: \"string\""]);
    assert_errors(&schema, &json!({}), &["failed rule: self.a > 1"]);
    assert_errors(&schema, &json!({"a": null}), &["failed rule: self.a > 1"]);
}

#[test]
fn schema_combinations_are_validated() {
    let of = |key: &str| json!({"type": "object", key: [{"required": ["a"]}, {"required": ["b"]}]});
    assert_errors(&of("oneOf"), &json!({"a": 1, "b": 1}), &["must validate one and only one schema (oneOf)"]);
    assert_errors(&of("anyOf"), &json!({}), &["must validate at least one schema (anyOf)"]);
    assert_errors(&of("allOf"), &json!({"a": 1}), &["b: required value"]);
    assert_errors(
        &json!({"type": "object", "not": {"required": ["a"]}}),
        &json!({"a": 1}),
        &["must not validate the schema (not)"],
    );
}

#[test]
fn an_unsupported_pattern_is_reported_as_not_evaluated() {
    let schema = json!({"type": "string", "pattern": "(?=a)"});
    let errors = Validator::new(&schema).validate_schema(&json!("a"), None).unwrap_err();
    assert_eq!(errors.as_slice()[0].kind, ErrorKind::NotEvaluated);
    assert_eq!(errors.violations().count(), 0);
}
