//! After a strategic merge patch, Go converts the patched object into the struct of its kind. Owns the errors of this
//! conversion.

use serde_json::Value;

use super::go_format::{format_value, type_name};
use crate::schema::{FieldError, Kind, Schema};

/// The error for an object that does not convert after the strategic merge patch `change`; `None` if it converts.
pub(crate) fn conversion_error(schema: &Schema, patched: &Value, change: &Value) -> Option<FieldError> {
    let problem = first_mismatch(schema, patched)?;
    Some(FieldError::invalid("patch", format_value(change), problem))
}

/// The error for the first part of a value that does not have the Go type of its schema; `None` if there is no such
/// part.
fn first_mismatch(schema: &Schema, value: &Value) -> Option<String> {
    match (schema.kind(), value) {
        (_, Value::Null) => None,
        (Kind::Object, Value::Object(map)) => {
            map.iter().find_map(|(name, value)| first_mismatch(schema.field(name)?, value))
        }
        (Kind::Array, Value::Array(items)) => {
            items.iter().find_map(|item| first_mismatch(schema.items()?, item))
        }
        (Kind::Object, other) if schema.has_properties() => {
            Some(format!("cannot restore struct from: {}", kind_name(other)))
        }
        (Kind::Object, other) => Some(format!("cannot restore map from {}", kind_name(other))),
        (Kind::Array, other) => Some(format!("cannot restore slice from {}", kind_name(other))),
        (Kind::Boolean, other) if !other.is_boolean() => {
            Some(format!("cannot convert {} to bool", type_name(other)))
        }
        // A field with a format or a reference, such as a time or a quantity, has its own decoder in Go.
        (Kind::String, other) if !other.is_string() && schema.format.is_none() && !schema.is_reference() => {
            Some(format!("cannot convert {} to string", type_name(other)))
        }
        (Kind::Integer, other) if !other.is_number() => {
            let integer = if schema.format.as_deref() == Some("int64") { "int64" } else { "int32" };
            Some(format!("cannot convert {} to {integer}", type_name(other)))
        }
        _ => None,
    }
}

/// The kind of the Go type of a decoded JSON value.
fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        scalar => type_name(scalar),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::component;

    #[track_caller]
    fn check(kind: &str, patched: &Value, expected: Option<&str>) {
        let schema = component(&format!("io.k8s.api.core.v1.{kind}")).unwrap();
        assert_eq!(first_mismatch(&schema, patched).as_deref(), expected);
    }

    #[test]
    fn the_error_names_the_go_types() {
        check("ConfigMap", &json!({"data": 3}), Some("cannot restore map from int64"));
        check("ConfigMap", &json!({"data": {"a": true}}), Some("cannot convert bool to string"));
        check("Pod", &json!({"spec": "x"}), Some("cannot restore struct from: string"));
        check("Pod", &json!({"spec": {"containers": {}}}), Some("cannot restore slice from map"));
        check("Pod", &json!({"spec": {"priority": "x"}}), Some("cannot convert string to int32"));
        check("Pod", &json!({"spec": {"containers": [{"name": "a", "tty": true}]}, "unknown": 1}), None);
    }
}
