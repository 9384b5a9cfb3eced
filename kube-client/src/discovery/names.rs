//! Reads names, texts and arrays from JSON values of documents, which may have any type.

use serde_json::Value;

/// Whether a name can be a segment of a URL path.
pub(super) fn is_segment(name: &str) -> bool {
    let valid = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '/' | '?' | '#' | '%');
    !matches!(name, "" | "." | "..") && name.chars().all(valid)
}

/// The text of a string; empty for a value of another type.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of an array; none for `null`, which Go writes for a nil slice.
pub(super) fn array(value: &Value) -> Result<&[Value], &'static str> {
    match value {
        Value::Null => Ok(&[]),
        Value::Array(elements) => Ok(elements),
        _ => Err("is not an array"),
    }
}
