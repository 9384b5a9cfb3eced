//! Formats values as Go's `%v` does, for error messages of the API server.
//!
//! This module owns the formats of values and the names of Go types.

use serde_json::Value;

use crate::schema::format_go_float;

/// Formats maps and lists as `map[a:1 b:[x y]]`, null as `<nil>`, and scalars without quotes.
pub(crate) fn format_value(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", join_with_spaces(items.iter().map(format_value))),
        Value::Object(map) => {
            format!(
                "map[{}]",
                join_with_spaces(map.iter().map(|(name, value)| format!("{name}:{}", format_value(value))))
            )
        }
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(|| number.to_string(), format_go_float)
        }
        scalar => scalar.to_string(),
    }
}

/// The Go type of a decoded JSON value, as error messages print it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Joins texts with spaces.
fn join_with_spaces(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_formatted_as_in_go() {
        let value = json!({"b": [1, "x", null, 2.0, 1e7], "a": {"c": true}});
        assert_eq!(format_value(&value), "map[a:map[c:true] b:[1 x <nil> 2 1e+07]]");
        assert_eq!(type_name(&value), "map[string]interface {}");
        assert_eq!(type_name(&json!(1.5)), "float64");
    }
}
