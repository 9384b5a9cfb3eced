//! Whether a default is a value of its schema: the server refuses a definition where it is not.

use serde_json::Value;

use super::{
    Object,
    keywords::{flag, is_anything, type_of, type_of_value},
    nullable,
};

/// Checks type, enumeration, required and unknown fields; says what is wrong.
pub(super) fn check(value: &Value, node: &Object) -> Result<(), String> {
    if value.is_null() {
        return if nullable::is_nullable(node) { Ok(()) } else { Err("the default is null".to_owned()) };
    }
    if is_anything(node) {
        return Ok(());
    }
    let found = type_of_value(value);
    let fits = match type_of(node) {
        Some("number") => matches!(found, "number" | "integer"),
        Some(expected) => found == expected,
        None => matches!(found, "integer" | "string"),
    };
    if !fits {
        let expected = type_of(node).unwrap_or("integer or string");
        return Err(format!("the default is of type {found}, the schema says {expected}"));
    }
    if let Some(Value::Array(values)) = node.get("enum")
        && !values.contains(value)
    {
        return Err(format!("the default {value} is not one of the enumerated values"));
    }
    match value {
        Value::Object(fields) => object(fields, node),
        Value::Array(items) => match node.get("items") {
            Some(Value::Object(schema)) => items.iter().try_for_each(|item| check(item, schema)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn object(fields: &Object, node: &Object) -> Result<(), String> {
    let properties = node.get("properties").and_then(Value::as_object);
    let values = node.get("additionalProperties").and_then(Value::as_object);
    for (name, field) in fields {
        match (properties.and_then(|properties| properties.get(name)), values) {
            (Some(Value::Object(schema)), _) | (None, Some(schema)) => check(field, schema)?,
            _ if flag(node, "x-kubernetes-preserve-unknown-fields") => {}
            _ => return Err(format!("the default has a field {name:?} that the schema has not")),
        }
    }
    let required = node.get("required").and_then(Value::as_array);
    let missing =
        required.into_iter().flatten().filter_map(Value::as_str).find(|name| !fields.contains_key(*name));
    match missing {
        Some(name) => Err(format!("the default lacks the required field {name:?}")),
        None => Ok(()),
    }
}
