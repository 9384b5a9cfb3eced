//! Checks that a default is valid for its schema. The server rejects a `CustomResourceDefinition` with an invalid
//! default.
//!
//! This module does not check patterns, formats, `multipleOf` or validation rules: the server checks these keywords.

use serde_json::Value;

use super::{
    JsonObject,
    keywords::{accepts_any_type, has_flag, type_of, type_of_value},
    nullable,
};

/// Checks a default, or a value inside of a default, against `node`, the schema of the value. The error describes the
/// mismatch.
pub(super) fn check_default(value: &Value, node: &JsonObject) -> Result<(), String> {
    if value.is_null() {
        return if nullable::is_nullable(node) { Ok(()) } else { Err("the default is null".to_owned()) };
    }
    if value.as_i64().is_none() && value.is_u64() {
        return Err(format!(
            "the default {value} is above {}, the largest integer of the API server",
            i64::MAX
        ));
    }
    let found = type_of_value(value);
    let fits = match type_of(node) {
        Some("number") => matches!(found, "number" | "integer"),
        Some(expected) => found == expected,
        None => accepts_any_type(node) || matches!(found, "integer" | "string"),
    };
    if !fits {
        let expected = type_of(node).unwrap_or("integer or string");
        return Err(format!("the default is of type {found}, but the schema requires {expected}"));
    }
    check_value_validations(value, node)?;
    match value {
        Value::Object(fields) => check_fields_of_default(fields, node),
        Value::Array(items) => match node.get("items") {
            Some(Value::Object(schema)) => items.iter().try_for_each(|item| check_default(item, schema)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Checks every field of a default against the schema of the field. `node` is the schema of the default. A
/// field without a schema is an error, unless `node` preserves unknown fields.
fn check_fields_of_default(fields: &JsonObject, node: &JsonObject) -> Result<(), String> {
    let properties = node.get("properties").and_then(Value::as_object);
    let values = node.get("additionalProperties").and_then(Value::as_object);
    for (name, field) in fields {
        match (properties.and_then(|properties| properties.get(name)), values) {
            (Some(Value::Object(schema)), _) | (None, Some(schema)) => check_default(field, schema)?,
            _ if has_flag(node, "x-kubernetes-preserve-unknown-fields") => {}
            _ => return Err(format!("the default has a field {name:?} that is not in the schema")),
        }
    }
    Ok(())
}

/// Checks a value against the keywords `enum`, `required`, `allOf`, `anyOf`, `oneOf` and `not` of the node, and against
/// the node's bounds.
fn check_value_validations(value: &Value, node: &JsonObject) -> Result<(), String> {
    if let Some(Value::Array(values)) = node.get("enum")
        && !values.contains(value)
    {
        return Err(format!("the default {value} is not one of the enumerated values"));
    }
    check_bounds(value, node)?;
    if let Some(fields) = value.as_object() {
        let mut required = node.get("required").and_then(Value::as_array).into_iter().flatten();
        if let Some(name) = required.find(|name| name.as_str().is_some_and(|name| !fields.contains_key(name)))
        {
            return Err(format!("the default lacks the required field {name}"));
        }
    }
    check_subschemas(value, node)
}

/// Checks a number, or the length of a string, list or map, against the bounds of the node.
fn check_bounds(value: &Value, node: &JsonObject) -> Result<(), String> {
    let (size, min, max) = match value {
        Value::Number(number) => (number.as_f64(), "minimum", "maximum"),
        Value::String(text) => (length_as_f64(text.chars().count()), "minLength", "maxLength"),
        Value::Array(items) => (length_as_f64(items.len()), "minItems", "maxItems"),
        Value::Object(fields) => (length_as_f64(fields.len()), "minProperties", "maxProperties"),
        Value::Null | Value::Bool(_) => return Ok(()),
    };
    let Some(size) = size else { return Ok(()) };
    let bound = |key: &str| node.get(key).and_then(Value::as_f64);
    let low = bound(min).is_some_and(|min| size < min || (size <= min && has_flag(node, "exclusiveMinimum")));
    let high =
        bound(max).is_some_and(|max| size > max || (size >= max && has_flag(node, "exclusiveMaximum")));
    if low || high { Err(format!("the default {value} is out of bounds")) } else { Ok(()) }
}

/// Converts a length to a float; `None` if the length exceeds `u32::MAX`.
fn length_as_f64(count: usize) -> Option<f64> {
    u32::try_from(count).ok().map(f64::from)
}

/// Checks a value against `allOf`, `anyOf`, `oneOf` and `not`.
fn check_subschemas(value: &Value, node: &JsonObject) -> Result<(), String> {
    let count = |key: &str| {
        let parts = node.get(key)?.as_array()?;
        Some((parts.iter().filter(|part| is_valid_for_subschema(value, part)).count(), parts.len()))
    };
    let all = count("allOf").is_none_or(|(matching, all)| matching == all);
    let any = count("anyOf").is_none_or(|(matching, _)| matching > 0);
    let one = count("oneOf").is_none_or(|(matching, _)| matching == 1);
    let not = node.get("not").is_none_or(|part| !is_valid_for_subschema(value, part));
    if all && any && one && not {
        Ok(())
    } else {
        Err(format!("the default {value} violates `allOf`, `anyOf`, `oneOf` or `not`"))
    }
}

/// Whether a value is valid for a subschema of `allOf`, `anyOf`, `oneOf` or `not`. Null is always valid.
fn is_valid_for_subschema(value: &Value, part: &Value) -> bool {
    let Some(part) = part.as_object() else { return false };
    if value.is_null() {
        return true;
    }
    let fields = || {
        let properties = part.get("properties").and_then(Value::as_object).into_iter().flatten();
        properties.filter_map(|(name, schema)| Some((value.get(name)?, schema)))
    };
    let items = || match (value.as_array(), part.get("items")) {
        (Some(items), Some(schema)) => items.iter().all(|item| is_valid_for_subschema(item, schema)),
        _ => true,
    };
    check_value_validations(value, part).is_ok()
        && fields().all(|(field, schema)| is_valid_for_subschema(field, schema))
        && items()
}
