//! The columns that `kubectl get` prints for a kind, and the cells that several kinds share.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::age::since;

/// The columns of a `Table`, and the function that returns the cells of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// The names of the columns. A leading `+` marks a column that only `-o wide` shows; a trailing `#` marks an
    /// integer column.
    pub(crate) columns: &'static [&'static str],
    /// Returns the cells of an object, except the cell of the first column if this column is `Name`.
    pub(crate) cells: fn(&Value, Timestamp) -> Vec<Value>,
}

impl Printer {
    /// Prints the name and the age of an object.
    pub(crate) const DEFAULT: Self =
        Self { columns: &["Name", "Age"], cells: |object, now| vec![age_cell(object, now)] };
}

/// The string in `value`; empty if `value` is not a string.
pub(crate) fn string_or_empty(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The cell with this text; `<none>` if the text is empty.
pub(crate) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// The items of `value`; none if `value` is not a list.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The cell with the time since the creation of an object.
pub(super) fn age_cell(object: &Value, now: Timestamp) -> Value {
    since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into()
}

/// The number of entries in a map.
pub(super) fn entry_count(map: &Value) -> usize {
    map.as_object().map_or(0, Map::len)
}

/// The integer in `value`; 0 if `value` is not an integer.
pub(super) fn number_or_zero(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}
