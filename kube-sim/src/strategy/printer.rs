//! The columns that `kubectl get` prints for a kind, and the values in them that several kinds share.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::age::since;

/// The columns of a `Table`, and the function that returns the cells of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// The names of the columns. A leading `+` marks a column that only `-o wide` shows; a trailing `#` marks an
    /// integer column.
    pub(crate) columns: &'static [&'static str],
    /// The cells of an object; without its name, if the first column is `Name`.
    pub(crate) cells: fn(&Value, Timestamp) -> Vec<Value>,
}

impl Printer {
    /// The name and the age.
    pub(crate) const DEFAULT: Self =
        Self { columns: &["Name", "Age"], cells: |object, now| vec![age_cell(object, now)] };
}

/// The string, or an empty one for another type.
pub(crate) fn string_or_empty(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The text, or `<none>` for an empty one.
pub(crate) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// The items of a list; none for another type.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The time since the creation of an object.
pub(super) fn age_cell(object: &Value, now: Timestamp) -> Value {
    since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into()
}

/// The number of entries in a map.
pub(super) fn entry_count(map: &Value) -> usize {
    map.as_object().map_or(0, Map::len)
}

pub(super) fn number_or_zero(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}
