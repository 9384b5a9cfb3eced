//! Reads names, strings and arrays from discovery documents. A value in a document may have an unexpected type.

use serde_json::Value;

/// Whether a name can be a segment of a URL path.
pub(super) fn is_path_segment(name: &str) -> bool {
    let valid = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '/' | '?' | '#' | '%');
    !matches!(name, "" | "." | "..") && name.chars().all(valid)
}

/// The string in a value; empty for a value of another type.
pub(super) fn string_or_empty(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of an array; none for `null`, which Go writes for a nil slice.
pub(super) fn elements(value: &Value) -> Result<&[Value], &'static str> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(elements) => Ok(elements),
        _ => Err("is not an array"),
    }
}
