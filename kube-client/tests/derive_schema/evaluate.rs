//! Evaluates a structural schema in the same way as the API server. Supports the keywords in the schemas of `kinds`,
//! except patterns, formats, `not` and validation rules: the evaluator ignores these keywords.
//!
//! If a value is null, the evaluator checks only `nullable`, like the server: `oneOf`, `anyOf` and `allOf` have no effect.

use serde_json::{Map, Value};

/// Whether a server with this schema accepts `value`.
pub(crate) fn schema_accepts(schema: &Value, value: &Value) -> bool {
    let Some(keywords) = schema.as_object() else { return false };
    if value.is_null() {
        return keywords.get("nullable") == Some(&Value::Bool(true));
    }
    has_type(keywords, value)
        && is_within_bounds(keywords, value)
        && matches_enum_and_items(keywords, value)
        && has_allowed_fields(keywords, value)
        && satisfies_combinations(keywords, value)
}

/// Whether `value` has the type that the keyword `type` requires. Without this keyword, an int-or-string schema allows
/// integers and strings, and any other schema allows all types.
fn has_type(keywords: &Map<String, Value>, value: &Value) -> bool {
    match keywords.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some(_) => false,
        None if keywords.contains_key("x-kubernetes-int-or-string") => value.is_i64() || value.is_string(),
        None => true,
    }
}

/// Whether `value` is within the limits of the schema. The limits apply to a number, to the length of a string or list,
/// and to the number of fields of an object.
fn is_within_bounds(keywords: &Map<String, Value>, value: &Value) -> bool {
    let bound = |key: &str| keywords.get(key).and_then(Value::as_f64);
    let exclusive = |key: &str| keywords.get(key) == Some(&Value::Bool(true));
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

/// Whether `enum` contains `value`, and the elements of `value` match `items` and the list type. A list of type `set`
/// must have unique elements. A list of type `map` must have elements with unique keys. A missing keyword allows all
/// values.
fn matches_enum_and_items(keywords: &Map<String, Value>, value: &Value) -> bool {
    let listed = keywords.get("enum").and_then(Value::as_array);
    let items = value.as_array();
    let requires_unique_items = keywords.get("x-kubernetes-list-type").is_some_and(|kind| kind != "atomic");
    let keys = keywords.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
    let identity = |item: &Value| match keys {
        Some(keys) => keys.iter().map(|key| item[key.as_str().unwrap()].clone()).collect(),
        None => vec![item.clone()],
    };
    listed.is_none_or(|listed| listed.contains(value))
        && items.is_none_or(|items| {
            (!requires_unique_items
                || (1..items.len())
                    .all(|i| items[..i].iter().all(|earlier| identity(earlier) != identity(&items[i]))))
                && keywords
                    .get("items")
                    .is_none_or(|schema| items.iter().all(|item| subschema_accepts(keywords, schema, item)))
        })
}

/// Whether `value` has all required fields, and each field matches its schema. Returns `true` for a value
/// that is not an object.
fn has_allowed_fields(keywords: &Map<String, Value>, value: &Value) -> bool {
    let Some(fields) = value.as_object() else { return true };
    let mut required = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
    let properties = keywords.get("properties").and_then(Value::as_object);
    required.all(|name| fields.contains_key(name.as_str().unwrap()))
        && fields.iter().all(|(name, field)| {
            let schema =
                properties.and_then(|all| all.get(name)).or_else(|| keywords.get("additionalProperties"));
            // The server drops unknown fields before validation, so that a field without a schema is allowed.
            schema.is_none_or(|schema| subschema_accepts(keywords, schema, field))
        })
}

/// Whether `schema` accepts `value`. `keywords` are the keywords of the schema that contains `schema`. If
/// `keywords` have neither `type` nor an extension (`x-kubernetes-*`), the containing schema is inside of
/// `oneOf`, `anyOf`, `allOf` or `not`. In this case, `schema` also has no type, and accepts null.
fn subschema_accepts(keywords: &Map<String, Value>, schema: &Value, value: &Value) -> bool {
    let inside =
        !keywords.contains_key("type") && !keywords.keys().any(|key| key.starts_with("x-kubernetes-"));
    (inside && value.is_null()) || schema_accepts(schema, value)
}

/// Whether `value` satisfies `oneOf`, `anyOf` and `allOf`. Ignores `not`.
fn satisfies_combinations(keywords: &Map<String, Value>, value: &Value) -> bool {
    let count = |key: &str| {
        let parts = keywords.get(key)?.as_array()?;
        Some((parts.iter().filter(|part| schema_accepts(part, value)).count(), parts.len()))
    };
    count("allOf").is_none_or(|(matching, all)| matching == all)
        && count("anyOf").is_none_or(|(matching, _)| matching > 0)
        && count("oneOf").is_none_or(|(matching, _)| matching == 1)
}
