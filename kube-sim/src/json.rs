//! Access to the strings of JSON values. A value of another type, or an absent value, contains no string.

use serde_json::Value;

/// The string; empty if the value is no string.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The strings in a list.
pub(crate) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
