//! The errors of a conversion in the API server: after a strategic merge patch, the API server converts the
//! patched object into the Go struct of its kind.

use serde_json::Value;

use super::go_format::{format_value, type_name};
use crate::schema::{FieldError, Kind, Schema};

/// Returns the error if `patched` cannot be converted. `patched` is the object after the strategic merge patch
/// `change`.
pub(crate) fn conversion_error(schema: &Schema, patched: &Value, change: &Value) -> Option<FieldError> {
    let problem = first_mismatch(schema, patched)?;
    Some(FieldError::invalid("patch", format_value(change), problem))
}

/// Searches `value` for the first field or item with a JSON type that cannot be converted into the Go type of its
/// schema. Returns the error text for this field or item.
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
            Some(format!("cannot restore struct from: {}", go_kind(other)))
        }
        (Kind::Object, other) => Some(format!("cannot restore map from {}", go_kind(other))),
        (Kind::Array, other) => Some(format!("cannot restore slice from {}", go_kind(other))),
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

/// The kind of the Go type (`reflect.Kind`) of a decoded JSON value, as error messages print it.
fn go_kind(value: &Value) -> &'static str {
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
    fn check_conversion_error(kind: &str, patched: &Value, expected: Option<&str>) {
        let schema = component(&format!("io.k8s.api.core.v1.{kind}")).unwrap();
        assert_eq!(first_mismatch(&schema, patched).as_deref(), expected);
    }

    #[test]
    fn the_error_contains_the_go_types() {
        check_conversion_error("ConfigMap", &json!({"data": 3}), Some("cannot restore map from int64"));
        check_conversion_error(
            "ConfigMap",
            &json!({"data": {"a": true}}),
            Some("cannot convert bool to string"),
        );
        check_conversion_error("Pod", &json!({"spec": "x"}), Some("cannot restore struct from: string"));
        check_conversion_error(
            "Pod",
            &json!({"spec": {"containers": {}}}),
            Some("cannot restore slice from map"),
        );
        check_conversion_error(
            "Pod",
            &json!({"spec": {"priority": "x"}}),
            Some("cannot convert string to int32"),
        );
        check_conversion_error(
            "Pod",
            &json!({"spec": {"containers": [{"name": "a", "tty": true}]}, "unknown": 1}),
            None,
        );
    }
}
