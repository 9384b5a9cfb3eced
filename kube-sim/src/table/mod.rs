//! Server-side `Table` responses: the columns that `kubectl get` prints.

mod builtin;
mod custom;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::handler::accept::RowObject;
use crate::registry::Resource;

/// A column of a `Table`.
#[derive(Clone, Debug)]
pub(crate) struct ColumnDefinition {
    name: String,
    kind: String,
    format: String,
    description: String,
    priority: i64,
}

impl ColumnDefinition {
    /// A column that `kubectl get` always shows.
    fn shown(name: &str, kind: &str) -> Self {
        let format = if name == "Name" { "name" } else { "" };
        Self {
            name: name.into(),
            kind: kind.into(),
            format: format.into(),
            description: String::new(),
            priority: 0,
        }
    }

    /// A column that only `-o wide` shows.
    fn wide(name: &str, kind: &str) -> Self {
        Self { priority: 1, ..Self::shown(name, kind) }
    }
}

/// Builds a `Table` with one row for each object.
pub(crate) fn of(
    resource: &Resource,
    objects: &[Value],
    row_object: RowObject,
    metadata: &Value,
    with_columns: bool,
    now: Timestamp,
) -> Value {
    let (definitions, cells): (Vec<ColumnDefinition>, CellsOf<'_>) = match resource.custom() {
        Some(custom) => (custom::columns(custom), Box::new(move |o| custom::cells(custom, o, now))),
        None => builtin::columns_and_cells(&resource.strategy.printer, now),
    };
    let object_of = |o: &Value| match row_object {
        RowObject::None => Value::Null,
        RowObject::Metadata => partial_object_metadata(o),
        RowObject::Object => o.clone(),
    };
    let rows: Vec<Value> =
        objects.iter().map(|o| json!({"cells": cells(o), "object": object_of(o)})).collect();
    let columns: Vec<Value> =
        if with_columns { definitions.iter().map(column_json).collect() } else { Vec::new() };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

pub(crate) fn partial_object_metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

/// A function that returns the cells of an object.
type CellsOf<'a> = Box<dyn Fn(&Value) -> Vec<Value> + 'a>;

fn column_json(column: &ColumnDefinition) -> Value {
    json!({
        "name": column.name, "type": column.kind, "format": column.format,
        "description": column.description, "priority": column.priority,
    })
}
