//! The `Table` columns of the built-in resources.
//!
//! This module owns the parsing of `data/columns.jsonl`.

use std::sync::LazyLock;

use serde::Deserialize;

/// The columns as JSON lines, as `cargo xtask record` writes them. Each line has the columns of one resource.
static RECORDED_COLUMNS: &str = include_str!("data/columns.jsonl");

/// The columns of one resource in one group version.
#[derive(Debug, Deserialize)]
struct ResourceColumns {
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    columns: Vec<Column>,
}

/// A column of a `Table`.
#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) format: &'static str,
    pub(crate) description: String,
    /// 0 for a column that `kubectl get` always shows, 1 for a column that only `-o wide` shows.
    pub(crate) priority: i64,
}

/// The parsed [`RECORDED_COLUMNS`].
static COLUMNS: LazyLock<Vec<ResourceColumns>> = LazyLock::new(parse_columns);

#[expect(clippy::expect_used, reason = "the data is compiled in, and every test of a table reads it")]
fn parse_columns() -> Vec<ResourceColumns> {
    let line =
        |line| serde_json::from_str(line).expect("the recorded columns are what `xtask record` writes");
    RECORDED_COLUMNS.lines().map(line).collect()
}

/// The columns of a resource; none if the resource cannot be listed.
pub(crate) fn columns(group: &str, version: &str, plural: &str) -> &'static [Column] {
    let found = COLUMNS.iter().find(|r| r.plural == plural && r.version == version && r.group == group);
    found.map_or(&[], |resource| &resource.columns)
}

/// The description of the column that contains the name of an object.
pub(crate) fn name_column_description() -> &'static str {
    common_description("Name")
}

/// The description of the column that contains the age of an object.
pub(crate) fn age_column_description() -> &'static str {
    common_description("Age")
}

/// The description of a column that most kinds have.
fn common_description(name: &str) -> &'static str {
    let columns = columns("", "v1", "configmaps");
    columns.iter().find(|column| column.name == name).map_or("", |column| &column.description)
}
