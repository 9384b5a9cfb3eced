//! The `Table` columns and cells of custom resources, from the `additionalPrinterColumns` of the CRD.

use jiff::Timestamp;
use serde_json::Value;

use super::{ColumnDefinition, Objects};
use crate::builtin;
use crate::registry::{Column, CustomProperties};
use crate::strategy::{Row, human_age, string_or_empty};

/// The column `Name`, followed by the columns that the CRD specifies.
pub(crate) fn columns(custom: &CustomProperties) -> Vec<ColumnDefinition> {
    let mut columns = vec![ColumnDefinition::name_column(builtin::name_column_description())];
    columns.extend(custom.columns.iter().map(|c| ColumnDefinition {
        name: c.name.clone(),
        kind: c.kind.clone(),
        format: c.format.clone(),
        description: c.description.clone(),
        priority: c.priority,
    }));
    columns
}

/// The rows of the objects.
pub(super) fn rows(custom: &CustomProperties, objects: Objects<'_>, now: Timestamp) -> Vec<Row> {
    let objects = match objects {
        Objects::One(object) => std::slice::from_ref(object),
        Objects::List(objects) => objects,
    };
    objects.iter().map(|object| Row { cells: cells(custom, object, now), object: object.clone() }).collect()
}

/// The cells of one object, in the order of [`columns`].
fn cells(custom: &CustomProperties, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![Value::from(string_or_empty(&object["metadata"]["name"]))];
    cells.extend(custom.columns.iter().map(|c| cell(c, object, now)));
    cells
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let found = select_json_path(object, &column.json_path);
    let Some(first) = found.first() else { return Value::Null };
    match (column.kind.as_str(), first) {
        ("date", Value::String(stamp)) => human_age(stamp, now).into(),
        ("integer", Value::Number(n)) => n.as_i64().map_or(Value::Null, Value::from),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => (*first).clone(),
        ("string", Value::String(_)) if found.len() == 1 => (*first).clone(),
        ("string", _) => {
            let shown: Vec<String> =
                found.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
            shown.join(" ").into()
        }
        _ => Value::Null,
    }
}

/// The values that a simple JSONPath selects. The supported forms are fields, `['quoted fields']`, indexes, `[*]` and
/// `[?(@.a=="b")]`.
pub(crate) fn select_json_path<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut at = vec![object];
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() && !at.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let Some(end) = closing_bracket(after) else { return Vec::new() };
            at = select_in_brackets(&at, &after[..end]);
            rest = &after[end + 1..];
        } else {
            rest = rest.trim_start_matches('.');
            let end = field_end(rest);
            let name = rest[..end].replace("\\.", ".");
            rest = &rest[end..];
            if name.is_empty() {
                if rest.is_empty() {
                    break;
                }
                continue;
            }
            at = at.into_iter().filter_map(|v| v.get(&name)).collect();
        }
    }
    at.retain(|v| !v.is_null());
    at
}

/// The index of the first dot or opening bracket that is not escaped; the length of `text` if there is none.
fn field_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '.' | '[' => return at,
            _ => {}
        }
    }
    text.len()
}

/// The index of the first closing bracket that is not in quotes.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == ']' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Selects items or fields of the values in `at`. `inner` is the text between two brackets of a JSONPath, such as `0`,
/// `*` or `'name'`.
fn select_in_brackets<'a>(at: &[&'a Value], inner: &str) -> Vec<&'a Value> {
    let inner = inner.trim();
    let quoted = |q: char| inner.strip_prefix(q).and_then(|t| t.strip_suffix(q));
    if let Some(name) = quoted('\'').or_else(|| quoted('"')) {
        return at.iter().filter_map(|v| v.get(name)).collect();
    }
    if inner == "*" {
        return at.iter().flat_map(|v| v.as_array().into_iter().flatten()).collect();
    }
    if let Some(test) = inner.strip_prefix("?(").and_then(|t| t.strip_suffix(')')) {
        let Some((path, wanted)) = test.split_once("==") else { return Vec::new() };
        let wanted = wanted.trim().trim_matches(|c| c == '"' || c == '\'');
        let path = path.trim().trim_start_matches('@');
        return at
            .iter()
            .flat_map(|v| v.as_array().into_iter().flatten())
            .filter(|v| {
                select_json_path(v, path)
                    .first()
                    .is_some_and(|f| f.as_str().map_or_else(|| f.to_string(), str::to_owned) == wanted)
            })
            .collect();
    }
    let Ok(number) = inner.parse::<i64>() else { return Vec::new() };
    at.iter()
        .filter_map(|v| {
            let list = v.as_array()?;
            let from_end = usize::try_from(number.unsigned_abs()).ok()?;
            list.get(if number < 0 { list.len().checked_sub(from_end)? } else { from_end })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn assert_selected(object: &Value, path: &str, expected: &[Value]) {
        let got: Vec<Value> = select_json_path(object, path).into_iter().cloned().collect();
        assert_eq!(got, expected, "{path}");
    }

    #[test]
    fn json_paths_select_fields_indexes_and_filtered_items() {
        let object = json!({
            "spec": {"a.b": 1, "list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        assert_selected(&object, ".spec.list[1].n", &[json!("y")]);
        assert_selected(&object, ".spec.list[-1].v", &[json!(2)]);
        assert_selected(&object, ".spec.list[*].v", &[json!(1), json!(2)]);
        assert_selected(&object, ".status.conditions[?(@.type==\"Ready\")].status", &[json!("True")]);
        assert_selected(&object, ".spec['a.b']", &[json!(1)]);
        assert_selected(&object, ".spec.a\\.b", &[json!(1)]);
        assert_selected(&object, ".nothing.here", &[]);
        assert_selected(&object, ".spec.list[9]", &[]);
        assert_selected(&object, ".spec.list[", &[]);
    }
}
