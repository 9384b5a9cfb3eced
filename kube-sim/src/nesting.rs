//! The maximum nesting depth of objects. It is the limit of the JSON parser (`serde_json`). A real API server accepts
//! much deeper objects.

use serde_json::Value;

/// The maximum number of levels of objects and lists that the JSON parser accepts.
pub(crate) const MAX_DEPTH: usize = 127;

/// Whether the value has at most `limit` levels of objects and lists.
pub(crate) fn has_at_most_levels(limit: usize, value: &Value) -> bool {
    match value {
        Value::Array(items) => limit > 0 && items.iter().all(|item| has_at_most_levels(limit - 1, item)),
        Value::Object(map) => limit > 0 && map.values().all(|value| has_at_most_levels(limit - 1, value)),
        _ => true,
    }
}
