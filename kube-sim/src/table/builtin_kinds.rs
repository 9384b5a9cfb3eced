//! The `Table` columns and rows of built-in kinds.

use jiff::Timestamp;
use serde_json::Value;

use super::{ColumnDefinition, Objects};
use crate::builtin;
use crate::registry::Resource;
use crate::strategy::Row;

/// The columns of a resource, as recorded from an API server.
pub(super) fn columns(resource: &Resource) -> Vec<ColumnDefinition> {
    let recorded = builtin::columns(&resource.group, &resource.version, &resource.plural);
    let column = |column: &builtin::Column| ColumnDefinition {
        name: column.name.to_owned(),
        kind: column.kind.to_owned(),
        format: column.format.to_owned(),
        description: column.description.clone(),
        priority: column.priority,
    };
    recorded.iter().map(column).collect()
}

/// The rows of the objects.
pub(super) fn rows(resource: &Resource, objects: Objects<'_>, now: Timestamp) -> Vec<Row> {
    let printer = resource.strategy.printer;
    let row = |object: &Value| Row { cells: (printer.cells)(object, now), object: object.clone() };
    match objects {
        Objects::One(object) => vec![row(object)],
        Objects::List(objects) => {
            let mut rows: Vec<Row> = objects.iter().map(row).collect();
            (printer.arrange)(&mut rows);
            rows
        }
    }
}
