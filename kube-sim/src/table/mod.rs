//! Server-side `Table` responses: the columns that `kubectl get` prints.

mod builtin_kinds;
mod custom_resources;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::handler::accept::RowObject;
use crate::registry::Resource;
use crate::strategy::{Row, TEMPLATE_GENERATION_ANNOTATION};

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
    /// The column `Name`, which shows the names of the objects.
    fn name_column(description: &str) -> Self {
        Self {
            name: "Name".into(),
            kind: "string".into(),
            format: "name".into(),
            description: description.into(),
            priority: 0,
        }
    }
}

/// The objects of a `Table`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Objects<'a> {
    One(&'a Value),
    List(&'a [Value]),
}

/// The form of a `Table`, as the request selects it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) row_object: RowObject,
    /// The `apiVersion` of the table.
    pub(crate) version: &'static str,
    pub(crate) with_columns: bool,
}

/// Builds a `Table` with one row for each object.
pub(crate) fn build(
    resource: &Resource,
    objects: Objects<'_>,
    options: Options,
    metadata: &Value,
    now: Timestamp,
) -> Value {
    let Options { row_object, version, with_columns } = options;
    let (definitions, rows) = match resource.custom_properties() {
        Some(custom) => (custom_resources::columns(custom), custom_resources::rows(custom, objects, now)),
        None => (builtin_kinds::columns(resource), builtin_kinds::rows(resource, objects, now)),
    };
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|Row { cells, object }| {
            let conditions = (resource.strategy.printer.conditions)(&object);
            let shown = match row_object {
                RowObject::None => Value::Null,
                RowObject::Metadata => partial_object_metadata(&object, version),
                RowObject::Object => object,
            };
            let mut row = json!({"cells": cells, "object": shown});
            if !conditions.is_empty() {
                row["conditions"] = conditions.into();
            }
            row
        })
        .collect();
    let columns: Vec<Value> =
        if with_columns { definitions.iter().map(column_json).collect() } else { Vec::new() };
    json!({
        "kind": "Table",
        "apiVersion": version,
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    })
}

/// The `PartialObjectMetadata` of an object, with `version` as its `apiVersion`.
pub(crate) fn partial_object_metadata(object: &Value, version: &str) -> Value {
    let mut metadata = object["metadata"].clone();
    // The API server takes the metadata of a daemon set from the internal version. The internal version has no template
    // generation annotation.
    if object["kind"] == "DaemonSet"
        && let Some(annotations) = metadata["annotations"].as_object_mut()
    {
        annotations.remove(TEMPLATE_GENERATION_ANNOTATION);
        if annotations.is_empty() {
            metadata.as_object_mut().map(|metadata| metadata.remove("annotations"));
        }
    }
    json!({"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": metadata})
}

fn column_json(column: &ColumnDefinition) -> Value {
    json!({
        "name": column.name, "type": column.kind, "format": column.format,
        "description": column.description, "priority": column.priority,
    })
}
