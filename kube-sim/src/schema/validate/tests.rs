//! The expected error texts were recorded from kube-apiserver 1.37.2.

use serde_json::{Value, json};

use super::super::Schema;
use super::validate;

/// Asserts the errors of an object with the required field `spec.x`. `field` is the schema of this field, and `value`
/// is its value. For the value `<absent>`, the object does not have the field.
#[track_caller]
fn assert_errors(field: &Value, value: &Value, expected: &[&str]) {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"x": field}, "required": ["x"]},
    }});
    let object = match value {
        Value::String(text) if text == "<absent>" => json!({"spec": {}}),
        value => json!({"spec": {"x": value}}),
    };
    let found: Vec<String> =
        validate(&Schema::of_custom_resource(&schema), &object).iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn values_must_have_the_specified_type() {
    let wrong = |expected: &str, found: &str| {
        format!("spec.x: Invalid value: \"{found}\": spec.x in body must be of type {expected}: \"{found}\"")
    };
    assert_errors(&json!({"type": "integer"}), &json!("3"), &[&wrong("integer", "string")]);
    assert_errors(&json!({"type": "integer"}), &json!(3.0), &[]);
    let not_an_integer =
        "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.x";
    assert_errors(&json!({"type": "integer"}), &json!(3.5), &[&wrong("integer", "number"), not_an_integer]);
    assert_errors(&json!({"type": "number"}), &json!(3), &[]);
    assert_errors(&json!({"type": "string"}), &json!(3), &[&wrong("string", "integer")]);
    assert_errors(&json!({"type": "boolean"}), &json!("true"), &[&wrong("boolean", "string")]);
    assert_errors(
        &json!({"type": "array", "items": {"type": "string"}}),
        &json!({}),
        &[&wrong("array", "object")],
    );
    assert_errors(&json!({"type": "object"}), &json!([]), &[&wrong("object", "array")]);
    assert_errors(&json!({"type": "string"}), &json!(null), &[&wrong("string", "null")]);
    assert_errors(&json!({"type": "string", "nullable": true}), &json!(null), &[]);
    assert_errors(&json!({"x-kubernetes-int-or-string": true}), &json!("5"), &[]);
    assert_errors(&json!({"x-kubernetes-int-or-string": true}), &json!(5), &[]);
    assert_errors(
        &json!({"x-kubernetes-int-or-string": true}),
        &json!(true),
        &[&wrong("integer,string", "boolean")],
    );
    assert_errors(
        &json!({"type": "integer", "format": "int64"}),
        &json!(true),
        &["spec.x: Invalid value: \"\": spec.x in body must be of type int64: \"\""],
    );
}

#[test]
fn values_outside_an_enum_and_missing_fields_are_rejected() {
    assert_errors(&json!({"type": "string"}), &json!("<absent>"), &["spec.x: Required value"]);
    assert_errors(
        &json!({"type": "string", "enum": ["a", "b"]}),
        &json!("c"),
        &["spec.x: Unsupported value: \"c\": supported values: \"a\", \"b\""],
    );
    assert_errors(
        &json!({"type": "integer", "enum": [1, 2]}),
        &json!(3),
        &["spec.x: Unsupported value: 3: supported values: \"1\", \"2\""],
    );
}

#[test]
fn numbers_must_respect_bounds_and_multiple_of() {
    let field = json!({"type": "integer", "minimum": 1, "maximum": 10, "multipleOf": 3});
    assert_errors(&field, &json!(3), &[]);
    assert_errors(
        &field,
        &json!(0),
        &["spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1"],
    );
    assert_errors(
        &field,
        &json!(12),
        &["spec.x: Invalid value: 12: spec.x in body should be less than or equal to 10"],
    );
    assert_errors(&field, &json!(4), &["spec.x: Invalid value: 4: spec.x in body should be a multiple of 3"]);
    assert_errors(
        &json!({"type": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 1, "exclusiveMaximum": true}),
        &json!(1.5),
        &["spec.x: Invalid value: 1.5: spec.x in body should be less than 1"],
    );
    assert_errors(
        &json!({"type": "integer", "format": "int32"}),
        &json!(3_000_000_000_u64),
        &["<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec.x"],
    );
}

/// Go parses an integer outside of int64 as a float64.
#[test]
fn integer_fields_reject_numbers_outside_int64() {
    let wrong = "spec.x: Invalid value: \"number\": spec.x in body must be of type integer: \"number\"";
    let not_an_integer =
        "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec.x";
    let plain = json!({"type": "integer"});
    assert_errors(&plain, &json!(i64::MAX), &[]);
    assert_errors(&plain, &json!(i64::MIN), &[]);
    assert_errors(&plain, &json!(u64::MAX), &[wrong, not_an_integer]);
    assert_errors(&plain, &json!(9_223_372_036_854_775_808_u64), &[wrong, not_an_integer]);
    assert_errors(&plain, &json!(1e19), &[wrong, not_an_integer]);
    assert_errors(&plain, &json!(3.5), &[wrong, not_an_integer]);
    assert_errors(&plain, &json!(3e10), &[]);
    let of = |format: &str| {
        [
            format!(
                "spec.x: Invalid value: \"float64\": spec.x in body must be of type {format}: \"float64\""
            ),
            format!(
                "<nil>: Invalid value: \"\": Checked value must be of type integer with format {format} in spec.x"
            ),
        ]
    };
    let [wrong, not_an_integer] = of("int64");
    assert_errors(
        &json!({"type": "integer", "format": "int64"}),
        &json!(u64::MAX),
        &[&wrong, &not_an_integer],
    );
    let [wrong, not_an_integer] = of("int32");
    let int32 = json!({"type": "integer", "format": "int32"});
    assert_errors(&int32, &json!(u64::MAX), &[&wrong, &not_an_integer]);
    assert_errors(&int32, &json!(i64::MAX), &[&not_an_integer]);
    assert_errors(&int32, &json!(3.0), &[]);
    assert_errors(&json!({"type": "number"}), &json!(u64::MAX), &[]);
    let int_or_string =
        "spec.x: Invalid value: \"number\": spec.x in body must be of type integer,string: \"number\"";
    assert_errors(&json!({"x-kubernetes-int-or-string": true}), &json!(u64::MAX), &[int_or_string]);
}

#[test]
fn minimum_maximum_and_multiple_of_must_fit_the_integer_type() {
    let out_of_range = |what: &str, format: &str| {
        format!("<nil>: Invalid value: \"\": {what} value must be of type integer {format} in spec.x")
    };
    let default = "(default format)";
    let max = json!({"type": "integer", "maximum": i64::MAX});
    assert_errors(&max, &json!(5), &[&out_of_range("Maximum boundary", default)]);
    let max = json!({"type": "integer", "format": "int64", "maximum": i64::MAX});
    assert_errors(&max, &json!(5), &[&out_of_range("Maximum boundary", "with format int64")]);
    let max = json!({"type": "integer", "format": "int32", "maximum": 4_294_967_296_i64});
    assert_errors(&max, &json!(5), &[&out_of_range("Maximum boundary", "with format int32")]);
    assert_errors(&json!({"type": "integer", "maximum": 9_223_372_036_854_773_760_i64}), &json!(5), &[]);
    assert_errors(
        &json!({"type": "integer", "minimum": i64::MIN}),
        &json!(5),
        &[&out_of_range("Minimum boundary", default)],
    );
    assert_errors(
        &json!({"type": "integer", "minimum": 1.5}),
        &json!(5),
        &[&out_of_range("Minimum boundary", default)],
    );
    assert_errors(
        &json!({"type": "integer", "multipleOf": 1.5}),
        &json!(3),
        &[&out_of_range("MultipleOf", default)],
    );
    assert_errors(
        &json!({"type": "integer", "multipleOf": 1.5}),
        &json!(5),
        &[
            &out_of_range("MultipleOf", default),
            "spec.x: Invalid value: 5: spec.x in body should be a multiple of 1.5",
        ],
    );
}

/// If the value of a `number` field is an integer, the server truncates `minimum`, `maximum` and `multipleOf`
/// to int64. A `minimum` or `maximum` outside of int64 becomes `i64::MIN`.
#[test]
fn number_fields_compare_integers_with_truncated_bounds() {
    let should =
        |value: &str, what: &str| format!("spec.x: Invalid value: {value}: spec.x in body should be {what}");
    let max = json!({"type": "number", "maximum": 3.5});
    assert_errors(&max, &json!(3), &[]);
    assert_errors(&max, &json!(4), &[&should("4", "less than or equal to 3")]);
    assert_errors(&max, &json!(3.7), &[&should("3.7", "less than or equal to 3.5")]);
    let below = json!({"type": "number", "maximum": 3.5, "exclusiveMaximum": true});
    assert_errors(&below, &json!(3), &[&should("3", "less than 3")]);
    let min = json!({"type": "number", "minimum": 1.5});
    assert_errors(&min, &json!(1), &[]);
    assert_errors(&min, &json!(1.2), &[&should("1.2", "greater than or equal to 1.5")]);
    let max = json!({"type": "number", "maximum": i64::MAX});
    assert_errors(&max, &json!(5), &[&should("5", "less than or equal to -9223372036854775808")]);
    assert_errors(&max, &json!(4.5), &[]);
    let half = json!({"type": "number", "multipleOf": 0.5});
    let factor = "spec.x: Invalid value: 0: factor MultipleOf declared for spec.x must be positive: 0";
    assert_errors(&half, &json!(1), &[factor]);
    assert_errors(&half, &json!(4.5), &[]);
    assert_errors(&half, &json!(1.2), &[&should("1.2", "a multiple of 0.5")]);
    assert_errors(&json!({"type": "number", "multipleOf": 1.5}), &json!(5), &[]);
}

#[test]
fn lists_in_a_set_are_compared_in_serialized_form() {
    let numbers = json!({"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "number"}});
    let set = |items: &Value| json!({"type": "array", "x-kubernetes-list-type": "set", "items": items});
    assert_errors(&set(&numbers), &json!([[1], [1.0]]), &["spec.x[1]: Duplicate value: [1]"]);
    assert_errors(&set(&numbers), &json!([[1, 2], [2, 1]]), &[]);
    assert_errors(&set(&json!({"type": "number"})), &json!([1, 1.0]), &[]);
}

#[test]
fn denied_additional_properties_are_rejected() {
    assert_errors(
        &json!({"type": "object", "additionalProperties": false}),
        &json!({"a": {"b": 1}}),
        &["spec.x: Invalid value: \"a\": spec.x.a in body is a forbidden property"],
    );
    assert_errors(&json!({"type": "object", "additionalProperties": false}), &json!({}), &[]);
}

#[test]
fn an_enum_without_null_rejects_null() {
    assert_errors(
        &json!({"type": "string", "nullable": true, "enum": ["a"]}),
        &json!(null),
        &["spec.x: Unsupported value: null: supported values: \"a\""],
    );
    assert_errors(&json!({"type": "string", "nullable": true, "enum": ["a", null]}), &json!(null), &[]);
}

#[test]
fn strings_must_respect_length_pattern_and_format() {
    assert_errors(
        &json!({"type": "string", "maxLength": 2}),
        &json!("abc"),
        &["spec.x: Too long: may not be more than 2 bytes"],
    );
    assert_errors(&json!({"type": "string", "maxLength": 3}), &json!("äöü"), &[]);
    assert_errors(
        &json!({"type": "string", "minLength": 2}),
        &json!("a"),
        &["spec.x: Invalid value: \"a\": spec.x in body should be at least 2 chars long"],
    );
    assert_errors(
        &json!({"type": "string", "pattern": "^a+$"}),
        &json!("b"),
        &["spec.x: Invalid value: \"b\": spec.x in body should match '^a+$'"],
    );
    assert_errors(
        &json!({"type": "string", "format": "date-time"}),
        &json!("yesterday"),
        &["spec.x: Invalid value: \"yesterday\": spec.x in body must be of type date-time: \"yesterday\""],
    );
    assert_errors(&json!({"type": "string", "format": "made-up"}), &json!("x"), &[]);
}

#[test]
fn lists_and_maps_must_respect_size_limits_and_list_types() {
    let list = |more: Value| {
        let mut list = json!({"type": "array", "items": {"type": "integer"}});
        list.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        list
    };
    assert_errors(
        &list(json!({"minItems": 2})),
        &json!([1]),
        &["spec.x: Invalid value: 1: spec.x in body should have at least 2 items"],
    );
    assert_errors(
        &list(json!({"maxItems": 1})),
        &json!([1, 2]),
        &["spec.x: Too many: 2: must have at most 1 item"],
    );
    assert_errors(
        &list(json!({})),
        &json!([1, "a"]),
        &["spec.x[1]: Invalid value: \"string\": spec.x[1] in body must be of type integer: \"string\""],
    );
    assert_errors(
        &list(json!({"x-kubernetes-list-type": "set"})),
        &json!([1, 2, 1, 1]),
        &["spec.x[2]: Duplicate value: 1"],
    );
    let map = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "properties": {"name": {"type": "string"}, "v": {"type": "integer"}}}});
    assert_errors(
        &map,
        &json!([{"name": "a", "v": 1}, {"name": "a", "v": 2}]),
        &["spec.x[1]: Duplicate value: {\"name\":\"a\"}"],
    );
    let object = json!({"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}});
    assert_errors(
        &object,
        &json!({"a": "1", "b": 2}),
        &[
            "spec.x: Too many: 2: must have at most 1 item",
            "spec.x.b: Invalid value: \"integer\": spec.x.b in body must be of type string: \"integer\"",
        ],
    );
}

#[test]
fn values_must_match_logical_junctors() {
    assert_errors(
        &json!({"type": "string", "anyOf": [{"enum": ["a"]}, {"maxLength": 1}]}),
        &json!("abc"),
        &[
            "<nil>: Invalid value: \"\": \"spec.x\" must validate at least one schema (anyOf)",
            "spec.x: Unsupported value: \"abc\": supported values: \"a\"",
        ],
    );
    assert_errors(
        &json!({"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]}),
        &json!(3),
        &[
            "<nil>: Invalid value: \"\": \"spec.x\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
        ],
    );
    assert_errors(
        &json!({"type": "integer", "not": {"minimum": 5}}),
        &json!(6),
        &["<nil>: Invalid value: \"\": \"spec.x\" must not validate the schema (not)"],
    );
    assert_errors(
        &json!({"type": "integer", "allOf": [{"minimum": 5}]}),
        &json!(1),
        &[
            "spec.x: Invalid value: 1: spec.x in body should be greater than or equal to 5",
            "<nil>: Invalid value: \"\": \"spec.x\" must validate all the schemas (allOf). None validated",
        ],
    );
}

#[test]
fn schema_restricts_the_metadata_name() {
    let schema = json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}},
    }});
    let schema = Schema::of_custom_resource(&schema);
    assert!(validate(&schema, &json!({"metadata": {"name": "abc", "labels": {"a": "b"}}})).is_empty());
    let errors = validate(&schema, &json!({"metadata": {"name": "abcd"}}));
    assert_eq!(errors[0].to_string(), "metadata.name: Too long: may not be more than 3 bytes");
}
