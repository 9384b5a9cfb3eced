//! The `Table` columns and cells of built-in kinds, from the [`Printer`] of the strategy.

use jiff::Timestamp;
use serde_json::Value;

use super::{CellsOf, ColumnDefinition};
use crate::strategy::{Printer, string_or_empty};

/// The columns of a kind, and the function that returns the cells of an object.
pub(crate) fn columns_and_cells(
    printer: &Printer,
    now: Timestamp,
) -> (Vec<ColumnDefinition>, CellsOf<'static>) {
    let Printer { columns, cells } = *printer;
    if columns.first() != Some(&"Name") {
        return (parse_columns(columns), Box::new(move |object| cells(object, now)));
    }
    let with_name = move |object: &Value| {
        let mut row = vec![Value::from(string_or_empty(&object["metadata"]["name"]))];
        row.extend(cells(object, now));
        row
    };
    (parse_columns(columns), Box::new(with_name))
}

/// Parses column names in the notation of [`Printer::columns`].
fn parse_columns(names: &[&str]) -> Vec<ColumnDefinition> {
    let definition = |name: &&str| {
        let kind = if name.ends_with('#') { "integer" } else { "string" };
        let plain = name.trim_start_matches('+').trim_end_matches('#');
        if name.starts_with('+') {
            ColumnDefinition::wide(plain, kind)
        } else {
            ColumnDefinition::shown(plain, kind)
        }
    };
    names.iter().map(definition).collect()
}
