//! Validation of the specs of all kinds without a server.

use kube_client::core::cel::{ErrorKind, Validator};
use serde_json::{Value, json};

use super::{all_and_modelled_kinds, kind_name, kinds, schema_of};

/// The number of properties in a schema.
fn count_fields(schema: &Value) -> usize {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let own: usize = properties.map(|(_, schema)| 1 + count_fields(schema)).sum();
    own + count_fields_below(schema, "items") + count_fields_below(schema, "additionalProperties")
}

fn count_fields_below(schema: &Value, key: &str) -> usize {
    if schema[key].is_object() { count_fields(&schema[key]) } else { 0 }
}

#[test]
fn good_values_are_valid_and_bad_values_are_violations() {
    let mut cases = 0;
    for derived in all_and_modelled_kinds() {
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
fn the_modelled_kinds_have_more_than_60_fields() {
    for derived in kinds::modelled::all() {
        let fields = count_fields(&schema_of(&derived)["properties"]["spec"]);
        assert!(fields > 60, "{} has {fields}", kind_name(&derived));
    }
}

#[track_caller]
fn check(schema: &Value, value: &Value, expected: &[&str]) {
    let errors = Validator::new(schema).validate_schema(value, None);
    let texts: Vec<_> = errors.err().into_iter().flatten().map(|error| error.to_string()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn violations_name_the_field_and_the_bound() {
    let schema = json!({"type": "object", "required": ["r"], "properties": {
        "r": {"type": "string"},
        "n": {"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2},
        "x": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
        "s": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^a"},
        "l": {"type": "array", "maxItems": 1, "items": {"type": "string", "enum": ["a", "b"]}},
        "m": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object"}},
        "f": {"type": "object", "properties": {"a": {}}, "additionalProperties": false},
        "d": {"type": "string", "format": "date-time"},
        "i": {"x-kubernetes-int-or-string": true},
        "e": {"type": "object", "x-kubernetes-embedded-resource": true},
    }});
    let valid = |name: &str, value: Value| json!({"r": "", name: value});
    check(&schema, &json!({}), &["r: required value"]);
    check(&schema, &json!({"r": null}), &["r: required value"]);
    check(&schema, &valid("n", json!(0)), &["n: should be greater than or equal to 1"]);
    check(
        &schema,
        &valid("n", json!(11)),
        &["n: should be less than or equal to 9", "n: should be a multiple of 2"],
    );
    check(&schema, &valid("n", json!(2.0)), &[]);
    check(&schema, &valid("n", json!(u64::MAX)), &["n: must be within the range of int64"]);
    check(&schema, &valid("n", json!("2")), &["n: must be of type integer: \"string\""]);
    check(&schema, &valid("x", json!(0)), &["x: should be greater than 0"]);
    check(
        &schema,
        &valid("s", json!("b")),
        &["s: should have at least 2 characters", "s: should match '^a'"],
    );
    check(&schema, &valid("s", json!("aäää")), &["s: must have at most 3 characters"]);
    let items = ["l: must have at most 1 items", "l[1]: unsupported value: supported values: \"a\", \"b\""];
    check(&schema, &valid("l", json!(["a", "c"])), &items);
    check(&schema, &valid("m", json!([{"k": 1}, {"k": 2}, {"k": 1.0}])), &["m[2]: duplicate value"]);
    check(&schema, &valid("f", json!({"a": 1, "b": 2})), &["f.b: forbidden property"]);
    for time in ["2024-02-03T04:05:06Z", "2024-02-03t04:05:06.7z", "2024-02-03T04:05:06+99:99"] {
        check(&schema, &valid("d", json!(time)), &[]);
    }
    for time in
        ["2024-02-03T04:05Z", "2024-02-03 04:05:06Z", "2024-02-30T04:05:06Z", "2024-02-03T24:05:06Z", "é"]
    {
        check(&schema, &valid("d", json!(time)), &["d: must be of type date-time"]);
    }
    check(&schema, &valid("i", json!(1.5)), &["i: must be of type integer,string: \"number\""]);
    check(&schema, &valid("e", json!({"kind": "a"})), &["e.apiVersion: required value"]);
}

#[test]
fn rules_are_evaluated_unless_the_schema_is_violated() {
    let schema = json!({"type": "object", "x-kubernetes-validations": [{"rule": "self.a > 1"}], "properties": {
        "a": {"type": "integer", "default": 1}, "b": {"type": "string", "minLength": 1},
    }});
    check(
        &schema,
        &json!({"a": 0, "b": ""}),
        &["b: should have at least 1 characters", "failed rule: self.a > 1"],
    );
    check(&schema, &json!({"a": "0"}), &["a: must be of type integer: \"string\""]);
    check(&schema, &json!({}), &["failed rule: self.a > 1"]);
    check(&schema, &json!({"a": null}), &["failed rule: self.a > 1"]);
}

#[test]
fn combinations_are_counted() {
    let of = |key: &str| json!({"type": "object", key: [{"required": ["a"]}, {"required": ["b"]}]});
    check(&of("oneOf"), &json!({"a": 1, "b": 1}), &["must validate one and only one schema (oneOf)"]);
    check(&of("anyOf"), &json!({}), &["must validate at least one schema (anyOf)"]);
    check(&of("allOf"), &json!({"a": 1}), &["b: required value"]);
    check(
        &json!({"type": "object", "not": {"required": ["a"]}}),
        &json!({"a": 1}),
        &["must not validate the schema (not)"],
    );
}

#[test]
fn a_pattern_that_is_not_supported_is_not_evaluated() {
    let schema = json!({"type": "string", "pattern": "(?=a)"});
    let errors = Validator::new(&schema).validate_schema(&json!("a"), None).unwrap_err();
    assert_eq!(errors.as_slice()[0].kind, ErrorKind::NotEvaluated);
    assert_eq!(errors.violations().count(), 0);
}
