//! Evaluates a structural schema in the same way as the API server, but only the keywords that `kinds` uses.
//!
//! Like the server, this evaluator accepts null for a `nullable` schema without evaluating `oneOf`, `anyOf`, `allOf`
//! and `not`. The evaluator ignores patterns, formats and validation rules.

use serde_json::{Map, Value};

/// Whether the server accepts `value`.
pub(crate) fn accepts(schema: &Value, value: &Value) -> bool {
    let Some(node) = schema.as_object() else { return false };
    if value.is_null() {
        return node.get("nullable") == Some(&Value::Bool(true));
    }
    has_type(node, value)
        && is_within_bounds(node, value)
        && has_allowed_values(node, value)
        && has_allowed_fields(node, value)
        && satisfies_combinations(node, value)
}

/// Whether `value` has the type in `type`, or is an int-or-string.
fn has_type(node: &Map<String, Value>, value: &Value) -> bool {
    match node.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some(_) => false,
        None if node.contains_key("x-kubernetes-int-or-string") => value.is_i64() || value.is_string(),
        None => true,
    }
}

/// Whether a number, the length of a string or list, and the number of properties are within the schema's limits.
fn is_within_bounds(node: &Map<String, Value>, value: &Value) -> bool {
    let bound = |key: &str| node.get(key).and_then(Value::as_f64);
    let exclusive = |key: &str| node.get(key) == Some(&Value::Bool(true));
    let within = |size: f64, min: &str, max: &str| {
        bound(min).is_none_or(|min| size >= min) && bound(max).is_none_or(|max| size <= max)
    };
    #[expect(clippy::cast_precision_loss, reason = "test values are short")]
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            within(number, "minimum", "maximum")
                && !(exclusive("exclusiveMinimum") && bound("minimum") == Some(number))
                && !(exclusive("exclusiveMaximum") && bound("maximum") == Some(number))
        }
        Value::String(text) => within(text.chars().count() as f64, "minLength", "maxLength"),
        Value::Array(items) => within(items.len() as f64, "minItems", "maxItems"),
        Value::Object(fields) => within(fields.len() as f64, "minProperties", "maxProperties"),
        _ => true,
    }
}

/// Whether `enum` contains `value`, the elements of `value` match `items`, and the elements of a set, or the keys of
/// the elements of a list of type `map`, are unique. A missing keyword allows all values.
fn has_allowed_values(node: &Map<String, Value>, value: &Value) -> bool {
    let listed = node.get("enum").and_then(Value::as_array);
    let items = value.as_array();
    let is_set = node.get("x-kubernetes-list-type").is_some_and(|kind| kind != "atomic");
    let keys = node.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    let identity = |item: &Value| match keys {
        Some(keys) => keys.iter().map(|key| item[key.as_str().unwrap()].clone()).collect(),
        None => vec![item.clone()],
    };
    listed.is_none_or(|listed| listed.contains(value))
        && items.is_none_or(|items| {
            (!is_set
                || (1..items.len())
                    .all(|i| items[..i].iter().all(|earlier| identity(earlier) != identity(&items[i]))))
                && node
                    .get("items")
                    .is_none_or(|schema| items.iter().all(|item| accepts_in(node, schema, item)))
        })
}

/// Whether `value` has all required fields, and each field matches its schema.
fn has_allowed_fields(node: &Map<String, Value>, value: &Value) -> bool {
    let Some(fields) = value.as_object() else { return true };
    let mut required = node.get("required").and_then(Value::as_array).into_iter().flatten();
    let properties = node.get("properties").and_then(Value::as_object);
    required.all(|name| fields.contains_key(name.as_str().unwrap()))
        && fields.iter().all(|(name, field)| {
            let schema =
                properties.and_then(|all| all.get(name)).or_else(|| node.get("additionalProperties"));
            // The server drops unknown fields, and nulls of fields that are not nullable, before validation.
            schema.is_none_or(|schema| accepts_in(node, schema, field))
        })
}

/// Whether `schema`, a subschema of `node`, accepts `value`. Subschemas inside of `oneOf`, `anyOf`, `allOf` and `not`
/// have no types, so they accept null.
fn accepts_in(node: &Map<String, Value>, schema: &Value, value: &Value) -> bool {
    let inside = !node.contains_key("type") && !node.keys().any(|key| key.starts_with("x-kubernetes-"));
    (inside && value.is_null()) || accepts(schema, value)
}

/// Whether `value` satisfies `oneOf`, `anyOf` and `allOf`. Ignores `not`.
fn satisfies_combinations(node: &Map<String, Value>, value: &Value) -> bool {
    let count = |key: &str| {
        let parts = node.get(key)?.as_array()?;
        Some((parts.iter().filter(|part| accepts(part, value)).count(), parts.len()))
    };
    count("allOf").is_none_or(|(matching, all)| matching == all)
        && count("anyOf").is_none_or(|(matching, _)| matching > 0)
        && count("oneOf").is_none_or(|(matching, _)| matching == 1)
}
