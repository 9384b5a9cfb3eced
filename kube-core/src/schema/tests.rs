//! Tests of the structural schemas that the rewriter generates from Rust types and from JSON schemas.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::{StructuralSchemaRewriter, try_schema_for};

/// Asserts that `schema` is rewritten to `expected` without a problem.
#[track_caller]
fn check_rewritten(schema: Value, expected: &Value) {
    let mut schema = Schema::try_from(schema).unwrap();
    StructuralSchemaRewriter.try_transform(&mut schema).unwrap();
    assert_eq!(schema.as_value(), expected);
}

/// Asserts the path of the first problem in `schema`, and the rewritten schema.
#[track_caller]
fn check_reported_problem(schema: Value, path: &str, expected: &Value) {
    let mut schema = Schema::try_from(schema).unwrap();
    let error = StructuralSchemaRewriter.try_transform(&mut schema).unwrap_err();
    assert_eq!(error.problems()[0].path, path, "{error}");
    assert_eq!(schema.as_value(), expected);
}

/// Asserts the structural schema of `T`, without its title.
#[track_caller]
fn check_schema_of<T: JsonSchema>(expected: &Value) {
    let schema = try_schema_for::<T>().unwrap();
    let mut schema = serde_json::to_value(schema).unwrap();
    schema.as_object_mut().unwrap().remove("title");
    assert_eq!(&schema, expected);
}

fn any_value_schema() -> Value {
    json!({ "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}

#[test]
fn documented_unit_variants_become_an_enumeration() {
    /// The direction.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Direction {
        /// Towards the top.
        Up,
        Down,
    }
    check_schema_of::<Direction>(&json!({
        "type": "string",
        "enum": ["Down", "Up"],
        "description": "The direction.\n\n- `Up`: Towards the top.",
    }));
}

#[test]
fn internally_tagged_variants_become_an_object_with_the_keyword_one_of() {
    #[derive(JsonSchema)]
    #[serde(tag = "type")]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Source {
        Http { url: String },
        File { path: String },
    }
    check_schema_of::<Source>(&json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "enum": ["Http", "File"] },
            "url": { "type": "string" },
            "path": { "type": "string" },
        },
        "required": ["type"],
        "oneOf": [
            { "properties": { "type": { "enum": ["Http"] } }, "required": ["url"] },
            { "properties": { "type": { "enum": ["File"] } }, "required": ["path"] },
        ],
    }));
}

#[test]
fn defaults_that_only_one_variant_has_are_dropped() {
    #[derive(JsonSchema)]
    #[serde(tag = "type")]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Source {
        Http {
            #[serde(default)]
            retries: bool,
        },
        Nothing,
    }
    let schema = serde_json::to_value(try_schema_for::<Source>().unwrap()).unwrap();
    assert_eq!(schema["properties"]["retries"], json!({ "type": "boolean" }));
}

#[test]
fn externally_tagged_enums_require_exactly_one_property() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Action {
        /// Waits.
        Wait(i64),
        Run {
            command: String,
        },
    }
    check_schema_of::<Action>(&json!({
        "type": "object",
        "properties": {
            "Wait": { "type": "integer", "format": "int64", "description": "Waits." },
            "Run": { "type": "object", "properties": { "command": { "type": "string" } }, "required": ["command"] },
        },
        "oneOf": [{ "required": ["Wait"] }, { "required": ["Run"] }],
    }));
}

#[test]
fn overlapping_variants_get_the_keyword_any_of() {
    check_rewritten(
        json!({ "oneOf": [
            { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
            { "type": "object", "properties": { "b": { "type": "string" } }, "required": ["b"] },
        ] }),
        &json!({
            "type": "object",
            "properties": { "a": { "type": "string" }, "b": { "type": "string" } },
            "anyOf": [{ "required": ["a"] }, { "required": ["b"] }],
        }),
    );
}

#[test]
fn any_of_is_dropped_if_a_variant_has_no_validations() {
    check_rewritten(
        json!({ "anyOf": [
            { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
            { "type": "object", "properties": { "b": { "type": "string" } } },
        ] }),
        &json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "string" } } }),
    );
}

#[test]
fn the_union_has_the_looser_bounds_and_each_variant_keeps_its_own() {
    check_rewritten(
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 5 },
            { "type": "integer", "minimum": 10, "maximum": 20 },
        ] }),
        &json!({
            "type": "integer", "minimum": 1, "maximum": 20,
            "anyOf": [{ "maximum": 5 }, { "minimum": 10 }],
        }),
    );
}

#[test]
fn null_types_become_nullable_and_null_defaults_are_dropped() {
    check_rewritten(json!({ "type": ["string", "null"] }), &json!({ "type": "string", "nullable": true }));
    check_rewritten(
        json!({ "anyOf": [{ "type": "integer" }, { "type": "null" }] }),
        &json!({ "type": "integer", "nullable": true }),
    );
    check_rewritten(
        json!({ "anyOf": [{ "type": "string", "enum": ["A"] }, { "enum": [null], "nullable": true }] }),
        &json!({ "type": "string", "nullable": true, "allOf": [{ "enum": ["A", null] }] }),
    );
    check_rewritten(json!({ "type": "boolean", "default": null }), &json!({ "type": "boolean" }));
}

#[test]
fn keywords_of_json_schema_become_keywords_of_structural_schemas() {
    check_rewritten(
        json!({ "type": "integer", "format": "uint16", "exclusiveMinimum": 3 }),
        &json!({ "type": "integer", "minimum": 3, "exclusiveMinimum": true, "maximum": 65535 }),
    );
    check_rewritten(
        json!({ "const": "a", "examples": ["a"], "readOnly": true }),
        &json!({ "type": "string", "enum": ["a"] }),
    );
    check_rewritten(json!(true), &any_value_schema());
    check_rewritten(json!({}), &any_value_schema());
    check_rewritten(
        json!({ "type": "array", "uniqueItems": true, "items": { "type": "string" } }),
        &json!({ "type": "array", "items": { "type": "string" }, "x-kubernetes-list-type": "set" }),
    );
    check_rewritten(
        json!({ "type": "object", "additionalProperties": false, "patternProperties": { "^\\d+$": { "type": "string" } } }),
        &json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    );
    check_rewritten(
        json!({ "type": "array", "prefixItems": [{ "type": "string" }, { "type": "integer" }], "minItems": 2, "maxItems": 2 }),
        &json!({ "type": "array", "items": { "x-kubernetes-int-or-string": true }, "minItems": 2, "maxItems": 2 }),
    );
    check_rewritten(json!({ "type": ["integer", "string"] }), &json!({ "x-kubernetes-int-or-string": true }));
}

#[test]
fn references_are_inlined_but_recursive_or_external_references_are_reported() {
    check_rewritten(
        json!({
            "$defs": { "Name": { "type": "string", "description": "A name." } },
            "type": "object",
            "properties": { "a": { "$ref": "#/$defs/Name", "description": "The name." } },
        }),
        &json!({ "type": "object", "properties": { "a": { "type": "string", "description": "The name." } } }),
    );
    check_reported_problem(
        json!({
            "$defs": { "Node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/Node" } } } },
            "$ref": "#/$defs/Node",
        }),
        ".next.next",
        &json!({ "type": "object", "properties": {
            "next": { "type": "object", "properties": { "next": any_value_schema() } },
        } }),
    );
    check_reported_problem(json!({ "$ref": "https://example.com/schema" }), "", &any_value_schema());
}

#[test]
fn nodes_without_a_structural_schema_are_reported_with_their_path() {
    let in_a = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
    let mixed =
        json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    check_reported_problem(in_a(mixed), ".a", &in_a(any_value_schema()));
    check_reported_problem(in_a(json!({ "type": ["string", "boolean"] })), ".a", &in_a(any_value_schema()));
    check_reported_problem(in_a(json!(false)), ".a", &in_a(any_value_schema()));
    check_reported_problem(
        in_a(json!({ "type": "string", "if": {} })),
        ".a",
        &in_a(json!({ "type": "string" })),
    );
    check_reported_problem(
        in_a(json!({ "type": "array", "uniqueItems": true, "items": { "type": "object" } })),
        ".a",
        &in_a(json!({ "type": "array", "items": { "type": "object" } })),
    );
    check_reported_problem(
        in_a(json!({ "type": "integer", "default": "three" })),
        ".a",
        &in_a(json!({ "type": "integer" })),
    );
    check_reported_problem(
        json!({
            "type": "object",
            "properties": { "a": { "type": "string" } },
            "additionalProperties": { "type": "string" },
        }),
        "",
        &json!({
            "type": "object",
            "properties": { "a": { "type": "string" } },
            "x-kubernetes-preserve-unknown-fields": true,
        }),
    );
}

#[test]
fn the_keyword_all_of_becomes_an_intersection() {
    check_rewritten(
        json!({
            "type": "object",
            "properties": { "own": { "type": "string" } },
            "allOf": [
                { "oneOf": [
                    { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
                    { "type": "object", "properties": { "b": { "type": "string" } }, "required": ["b"] },
                ] },
                { "oneOf": [
                    { "type": "object", "properties": { "c": { "type": "string" } }, "required": ["c"] },
                    { "type": "object", "properties": { "d": { "type": "string" } }, "required": ["d"] },
                ] },
            ],
        }),
        &json!({
            "type": "object",
            "properties": {
                "own": { "type": "string" },
                "a": { "type": "string" }, "b": { "type": "string" },
                "c": { "type": "string" }, "d": { "type": "string" },
            },
            "anyOf": [{ "required": ["a"] }, { "required": ["b"] }],
            "allOf": [{ "anyOf": [{ "required": ["c"] }, { "required": ["d"] }] }],
        }),
    );
}

#[test]
fn a_keyword_that_does_not_decode_is_reported() {
    #[derive(JsonSchema)]
    #[schemars(extend("x-kubernetes-validations" = ["not a rule"]))]
    #[expect(dead_code, reason = "only its schema matters")]
    struct MalformedRule {
        a: String,
    }
    let error = try_schema_for::<MalformedRule>().unwrap_err();
    assert!(error.to_string().contains("does not decode"), "{error}");
    let schema = serde_json::to_value(super::schema_for::<MalformedRule>()).unwrap();
    assert_eq!(schema, json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }));
}

#[test]
fn variants_of_a_flattened_optional_enum_become_properties() {
    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Source {
        Git { url: String },
        File { path: String },
    }
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Spec {
        name: String,
        #[serde(flatten)]
        source: Option<Source>,
    }
    check_schema_of::<Spec>(&json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "git": { "type": "object", "properties": { "url": { "type": "string" } }, "required": ["url"] },
            "file": { "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] },
        },
        "required": ["name"],
    }));
}

#[test]
fn a_flattened_value_preserves_unknown_fields() {
    #[derive(JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Extra {
        Known { a: i32 },
        Any(Value),
    }
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Spec {
        name: String,
        #[serde(flatten)]
        extra: Extra,
    }
    check_schema_of::<Spec>(&json!({
        "type": "object",
        "properties": { "name": { "type": "string" } },
        "required": ["name"],
        "x-kubernetes-preserve-unknown-fields": true,
    }));
}

#[test]
fn schemas_of_any_value_and_of_an_optional_int_or_string_are_nullable() {
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Spec {
        value: Value,
        option: Option<Value>,
        values: std::collections::BTreeMap<String, Value>,
        port: IntOrString,
        target: Option<IntOrString>,
        ports: Vec<Option<IntOrString>>,
    }
    let mut schema = serde_json::to_value(try_schema_for::<Spec>().unwrap()).unwrap();
    let port = schema["properties"]["port"].as_object_mut().unwrap();
    let description = port.remove("description").unwrap();
    let nullable =
        json!({ "description": description, "nullable": true, "x-kubernetes-int-or-string": true });
    assert_eq!(
        schema["properties"],
        json!({
            "value": any_value_schema(),
            "option": any_value_schema(),
            "values": { "type": "object", "additionalProperties": any_value_schema() },
            "port": { "x-kubernetes-int-or-string": true },
            "target": nullable,
            "ports": { "type": "array", "items": nullable },
        })
    );
}

#[test]
fn a_maximum_or_default_that_is_too_large_for_the_server_is_dropped() {
    check_rewritten(
        json!({ "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX }),
        &json!({ "type": "integer", "format": "int64", "minimum": i64::MIN }),
    );
    check_rewritten(
        json!({ "type": "number", "maximum": i64::MAX }),
        &json!({ "type": "number", "maximum": i64::MAX }),
    );
    check_rewritten(
        json!({ "type": "integer", "maximum": i64::MAX - 1024, "default": i64::MAX - 2048 }),
        &json!({ "type": "integer", "maximum": i64::MAX - 1024, "default": i64::MAX - 2048 }),
    );
    check_reported_problem(
        json!({ "type": "integer", "exclusiveMaximum": i64::MAX }),
        "",
        &json!({ "type": "integer" }),
    );
    check_reported_problem(
        json!({ "type": "integer", "default": u64::MAX }),
        "",
        &json!({ "type": "integer" }),
    );
}
