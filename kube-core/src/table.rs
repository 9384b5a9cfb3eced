//! `Table`: objects as rows of cells, as `kubectl get` shows them.

use super::{ListMeta, PartialObjectMeta, TypeMeta};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Objects as the rows of a table (`meta/v1 Table`). The server defines the columns: the columns of `kubectl get` for
/// built-in kinds, and the `additionalPrinterColumns` of the CRD for custom resources.
#[derive(Deserialize, Serialize, Debug, Clone)]
#[serde(rename_all = "camelCase", bound = "")]
pub struct Table<K> {
    /// `apiVersion` and `kind` of the table.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// The resource version of the list, and the token for the next page.
    #[serde(default)]
    pub metadata: ListMeta,
    /// The columns, in the order of the cells of each row.
    #[serde(default)]
    pub column_definitions: Vec<TableColumnDefinition>,
    /// The rows, one for each object.
    #[serde(default = "Vec::new")]
    pub rows: Vec<TableRow<K>>,
}

/// A column of a [`Table`].
#[derive(Deserialize, Serialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TableColumnDefinition {
    /// The heading of the column.
    pub name: String,
    /// The OpenAPI type of the cells, such as `string` or `integer`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The OpenAPI format of the cells, such as `name` for the name of the object; empty if there is none.
    #[serde(default)]
    pub format: String,
    /// A description for users.
    #[serde(default)]
    pub description: String,
    /// 0 for a column of the default output; larger for a column that `kubectl get` shows only with `-o wide`.
    #[serde(default)]
    pub priority: i32,
}

/// A row of a [`Table`].
#[derive(Deserialize, Serialize, Debug, Clone)]
#[serde(bound = "")]
pub struct TableRow<K> {
    /// The cells, in the order of the columns.
    pub cells: Vec<Value>,
    /// The metadata of the object; `None` if the server omitted it.
    #[serde(default = "no_object")]
    pub object: Option<PartialObjectMeta<K>>,
}

fn no_object<K>() -> Option<PartialObjectMeta<K>> {
    None
}

impl<K> TableRow<K> {
    /// The cells as text, as kubectl prints them: `<none>` for null.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.cells.iter().map(|cell| match cell {
            Value::String(text) => text.clone(),
            Value::Null => "<none>".to_owned(),
            other => other.to_string(),
        })
    }
}
