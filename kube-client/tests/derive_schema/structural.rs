//! An independent implementation of Kubernetes' rules for structural schemas.
//!
//! This module must not share code with `StructuralSchemaRewriter`.

use serde_json::{Map, Value};

/// Keywords that are allowed inside of `oneOf`, `anyOf`, `allOf` and `not`.
const VALUE_VALIDATION_KEYWORDS: &[&str] = &[
    "enum",
    "required",
    "properties",
    "items",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
];

/// Keywords that are allowed only outside of `oneOf`, `anyOf`, `allOf` and `not`.
const STRUCTURAL_KEYWORDS: &[&str] = &[
    "type",
    "title",
    "description",
    "default",
    "nullable",
    "additionalProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-validations",
];

/// Returns all violations of the rules for structural schemas.
pub(crate) fn violations(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check_structural_schema(schema, "", &mut found);
    found
}

fn is_true(keywords: &Map<String, Value>, key: &str) -> bool {
    keywords.get(key) == Some(&Value::Bool(true))
}

/// Checks a schema that is outside of `oneOf`, `anyOf`, `allOf` and `not`, and all its subschemas.
fn check_structural_schema(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        found.push(format!("{path}: not an object"));
        return;
    };
    for key in keywords.keys() {
        if !VALUE_VALIDATION_KEYWORDS.contains(&key.as_str()) && !STRUCTURAL_KEYWORDS.contains(&key.as_str())
        {
            found.push(format!("{path}: unknown keyword {key}"));
        }
    }
    let open = is_true(keywords, "x-kubernetes-preserve-unknown-fields")
        || is_true(keywords, "x-kubernetes-int-or-string");
    if keywords.get("type").is_none() && !open {
        found.push(format!("{path}: no type"));
    }
    if keywords.get("type").is_some_and(|name| !name.is_string() || name == "null") {
        found.push(format!("{path}: not one type"));
    }
    if keywords.get("type").is_some_and(|name| name == "array")
        && !keywords.get("items").is_some_and(Value::is_object)
    {
        found.push(format!("{path}: an array without items"));
    }
    if is_true(keywords, "x-kubernetes-int-or-string")
        && (keywords.contains_key("type") || is_true(keywords, "x-kubernetes-preserve-unknown-fields"))
    {
        found.push(format!("{path}: int-or-string beside another type"));
    }
    if is_true(keywords, "x-kubernetes-preserve-unknown-fields")
        && keywords.get("type").is_some_and(|name| name != "object")
    {
        found.push(format!("{path}: only objects have unknown fields"));
    }
    let properties = keywords.get("properties").and_then(Value::as_object);
    if keywords.contains_key("additionalProperties") && properties.is_some_and(|p| !p.is_empty()) {
        found.push(format!("{path}: properties beside additionalProperties"));
    }
    if keywords.get("enum").and_then(Value::as_array).is_some_and(|values| values.contains(&Value::Null)) {
        found.push(format!("{path}: null enumerated at the node itself"));
    }
    for (name, property) in properties.into_iter().flatten() {
        check_structural_schema(property, &format!("{path}.{name}"), found);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = keywords.get(key) {
            check_structural_schema(child, &format!("{path}[*]"), found);
        }
    }
    check_combinations(keywords, keywords, path, found);
}

/// Checks the subschemas of `oneOf`, `anyOf`, `allOf` and `not` in `keywords`. These subschemas may contain
/// only [`VALUE_VALIDATION_KEYWORDS`], and only fields that `around` specifies. `around` is the schema of the
/// same value outside of `oneOf`, `anyOf`, `allOf` and `not`.
fn check_combinations(
    keywords: &Map<String, Value>,
    around: &Map<String, Value>,
    path: &str,
    found: &mut Vec<String>,
) {
    for key in ["oneOf", "anyOf", "allOf"] {
        for part in keywords.get(key).and_then(Value::as_array).into_iter().flatten() {
            check_value_validation(part, around, &format!("{path}<{key}>"), found);
        }
    }
    if let Some(part) = keywords.get("not") {
        check_value_validation(part, around, &format!("{path}<not>"), found);
    }
}

/// Checks a subschema of `oneOf`, `anyOf`, `allOf` or `not`. `around` is the schema of the same value outside of these
/// keywords.
fn check_value_validation(part: &Value, around: &Map<String, Value>, path: &str, found: &mut Vec<String>) {
    let Some(part) = part.as_object() else {
        found.push(format!("{path}: not an object"));
        return;
    };
    if part.is_empty() {
        found.push(format!("{path}: validates nothing"));
    }
    for key in part.keys().filter(|key| !VALUE_VALIDATION_KEYWORDS.contains(&key.as_str())) {
        found.push(format!("{path}: {key} is not allowed here"));
    }
    for (name, property) in part.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        if name == "metadata" {
            found.push(format!("{path}: the server forbids validations of a field called metadata here"));
        }
        match around.get("properties").and_then(|all| all.get(name)).and_then(Value::as_object) {
            Some(around) => check_value_validation(property, around, &path, found),
            None => found.push(format!("{path}: is not described outside")),
        }
    }
    if let Some(item) = part.get("items") {
        match around.get("items").and_then(Value::as_object) {
            Some(around) => check_value_validation(item, around, &format!("{path}[*]"), found),
            None => found.push(format!("{path}[*]: is not described outside")),
        }
    }
    check_combinations(part, around, path, found);
}
