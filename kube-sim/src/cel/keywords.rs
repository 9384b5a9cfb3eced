//! Access to the keywords of a schema in JSON, such as `properties`.

use serde_json::{Map, Value};

/// The entries of a keyword whose value is a map; none if the keyword is absent.
pub(super) fn entries<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let map = schema.get(key).and_then(Value::as_object);
    map.into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

/// The items of a keyword whose value is a list; empty if the keyword is absent.
pub(super) fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The value of a keyword that is a string; empty if the keyword is absent.
pub(super) fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The value of a keyword that is a boolean; false if the keyword is absent.
pub(super) fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The value of a limit such as `maxItems`, or 0 if it is negative; `None` if the keyword is absent.
pub(super) fn count(schema: &Value, key: &str) -> Option<u64> {
    let value = schema.get(key)?;
    value.as_u64().or_else(|| value.as_i64().map(|_| 0))
}
