//! Functions that read the keywords of a schema, such as `properties`. The schema is a JSON value.

use serde_json::{Map, Value};

/// The entries of the map that is the value of a keyword; no entries if the keyword is absent.
pub(super) fn entries<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let map = schema.get(key).and_then(Value::as_object);
    map.into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

/// The list that is the value of a keyword; empty if the keyword is absent.
pub(super) fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The string that is the value of a keyword; empty if the keyword is absent.
pub(super) fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The boolean that is the value of a keyword; false if the keyword is absent.
pub(super) fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The value of a limit such as `maxItems`; 0 if the limit is negative, and `None` if the keyword is absent.
pub(super) fn limit(schema: &Value, key: &str) -> Option<u64> {
    let value = schema.get(key)?;
    value.as_u64().or_else(|| value.as_i64().map(|_| 0))
}
