//! The cells that `kubectl get` prints for an object of a kind. The recorded data of `builtin` contains the columns.
//!
//! The submodules contain the cells of many kinds, for example of persistent volumes and claims. The cells of
//! most other kinds are next to the strategy of the kind: for example, the file `core/node.rs` contains the cells
//! of nodes.

pub(super) mod autoscaler;
pub(super) mod cluster;
pub(super) mod networking;
pub(super) mod storage;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::age::human_age;

/// A row of a `Table`: the object and its cells.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) object: Value,
    pub(crate) cells: Vec<Value>,
}

/// The functions that build the rows of a `Table`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    /// Returns the cells of an object, one for each column.
    pub(crate) cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// Changes the rows of a list: their order, or the cells that depend on other objects of the list.
    pub(crate) arrange: fn(&mut [Row]),
    /// Returns the `conditions` of the row of an object; none for most kinds.
    pub(crate) conditions: fn(&Value) -> Vec<Value>,
}

impl Printer {
    /// Prints the name and the creation time of an object.
    pub(crate) const DEFAULT: Self =
        Self::new(|object, _| vec![name_cell(object), object["metadata"]["creationTimestamp"].clone()]);

    /// A printer that calls `cells` for each object, keeps the order of the rows, and adds no conditions.
    pub(crate) const fn new(cells: fn(&Value, Timestamp) -> Vec<Value>) -> Self {
        Self { cells, arrange: |_| {}, conditions: |_| Vec::new() }
    }
}

/// The cell with the name of an object.
pub(super) fn name_cell(object: &Value) -> Value {
    string_or_empty(&object["metadata"]["name"]).into()
}

/// The cell with the string in `value`; empty if `value` is not a string.
pub(super) fn text_cell(value: &Value) -> Value {
    string_or_empty(value).into()
}

/// The cell with the text in `value`; `fallback` if `value` is absent.
pub(super) fn text_cell_or(value: &Value, fallback: &str) -> Value {
    value.as_str().unwrap_or(fallback).into()
}

/// The text of an `IntOrString` or a quantity; empty if `value` is absent.
pub(super) fn number_or_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The cell with the entries of a map as `a=b,c=d`; `<none>` if the map is empty.
pub(super) fn pairs_cell(map: &Value) -> Value {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", string_or_empty(value)))
        .collect();
    text_cell_or_none(&pairs.join(","))
}

/// The first `most` texts, joined by commas, and the number of the other texts: `a,b,c + 2 more...`.
pub(super) fn join_first(texts: &[String], most: usize) -> String {
    match texts.get(..most) {
        Some(first) if texts.len() > most => format!("{} + {} more...", first.join(","), texts.len() - most),
        _ => texts.join(","),
    }
}

/// The string in `value`; empty if `value` is not a string.
pub(crate) fn string_or_empty(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The cell with this text; `<none>` if the text is empty.
pub(crate) fn text_cell_or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// The items of `value`; none if `value` is not a list.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The cell with the time since the creation of an object.
pub(super) fn age_cell(object: &Value, now: Timestamp) -> Value {
    human_age(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into()
}

/// The number of entries in a map.
pub(super) fn entry_count(map: &Value) -> usize {
    map.as_object().map_or(0, Map::len)
}

/// The integer in `value`; 0 if `value` is not an integer.
pub(super) fn number_or_zero(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}
