//! Creates the texts of `descriptions.txt` (the descriptions of the component schemas) and `paths.txt` (the paths and
//! parameters of the OpenAPI v2 document).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::{Map, Value};

/// If more than this number of operations have the same parameter, the parameter gets a line of its own.
const MAX_INLINE_USES: usize = 50;

/// The text of `descriptions.txt`.
pub(super) fn description_lines(documents: &BTreeMap<String, Value>) -> String {
    let mut all: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    for document in documents.values() {
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            collect_descriptions(schema, "", all.entry(name).or_default());
        }
    }
    let mut lines = String::new();
    // Writing to a string is infallible: the result of `writeln!` is ignored.
    for (name, descriptions) in all.into_iter().filter(|(_, descriptions)| !descriptions.is_empty()) {
        lines.push_str(name);
        lines.push('\n');
        for (pointer, text) in descriptions {
            let _ = writeln!(lines, "\t{pointer}\t{}", Value::String(text));
        }
    }
    lines
}

/// Adds the description of a schema, and the descriptions in its `properties`, `items` and `additionalProperties`, to
/// `found`. Each description has the JSON pointer of the schema that it describes.
fn collect_descriptions(schema: &Value, pointer: &str, found: &mut BTreeSet<(String, String)>) {
    if let Some(text) = schema["description"].as_str() {
        found.insert((pointer.to_owned(), text.to_owned()));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect_descriptions(property, &format!("{pointer}/properties/{name}"), found);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(nested) = schema.get(key) {
            collect_descriptions(nested, &format!("{pointer}/{key}"), found);
        }
    }
}

/// The text of `paths.txt`, from the document `/openapi/v2`. The first lines are parameters: each shared
/// parameter and each often repeated parameter has a line with its name and definition. The other lines are
/// the paths with their operations. For a parameter that has a line, a path contains only the name of this
/// line. A path contains the whole definition of every other parameter.
///
/// # Errors
/// When the document has no paths.
pub(super) fn path_lines(document: &Value) -> anyhow::Result<String> {
    let mut parameters: BTreeMap<String, &Value> = BTreeMap::new();
    for (name, parameter) in document["parameters"].as_object().into_iter().flatten() {
        parameters.insert(name.clone(), parameter);
    }
    let paths = document["paths"].as_object().context("/openapi/v2 lists no paths")?;
    let mut uses: HashMap<String, (&Value, usize)> = HashMap::new();
    for parameter in paths.values().flat_map(path_item_values).flat_map(parameters_of) {
        uses.entry(parameter.to_string()).or_insert((parameter, 0)).1 += 1;
    }
    for (parameter, _) in
        uses.values().filter(|(parameter, count)| *count > MAX_INLINE_USES && is_inline(parameter))
    {
        parameters.insert(parameter["name"].as_str().unwrap_or_default().to_owned(), parameter);
    }
    let mut lines = String::new();
    for (name, parameter) in &parameters {
        let _ = writeln!(lines, "{name}\t{parameter}");
    }
    for (path, item) in paths {
        let mut item = item.clone();
        for value in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            let list = if value.is_array() { value } else { &mut value["parameters"] };
            for parameter in list.as_array_mut().into_iter().flatten() {
                if let Some(name) = line_name_of(parameter, &parameters) {
                    *parameter = name.into();
                }
            }
        }
        remove_nulls(&mut item);
        let _ = writeln!(lines, "{path}\t{item}");
    }
    Ok(lines)
}

/// The values of a path item: its operations, and its list of common parameters.
fn path_item_values(item: &Value) -> impl Iterator<Item = &Value> {
    item.as_object().into_iter().flat_map(Map::values)
}

/// The parameters in `operation`, which is an operation or a list of parameters.
fn parameters_of(operation: &Value) -> impl Iterator<Item = &Value> {
    operation.as_array().or_else(|| operation["parameters"].as_array()).into_iter().flatten()
}

fn is_inline(parameter: &Value) -> bool {
    parameter.get("$ref").is_none()
}

/// The name of the line of `paths.txt` that defines a parameter; `None` if no line defines this parameter.
fn line_name_of(parameter: &Value, lines: &BTreeMap<String, &Value>) -> Option<String> {
    if let Some(reference) = parameter["$ref"].as_str() {
        return reference.rsplit('/').next().map(ToOwned::to_owned);
    }
    let name = parameter["name"].as_str()?;
    lines.get(name).filter(|line| **line == parameter).map(|_| name.to_owned())
}

/// Removes the members that are null from each operation. `path_lines` has inserted such a member into each
/// operation without `parameters`.
fn remove_nulls(item: &mut Value) {
    for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(map) = operation.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_description_line_contains_the_json_pointer_of_the_schema() {
        let schema = json!({
            "description": "A\n\"b\"",
            "properties": {"list": {"items": {"description": "c"}}, "description": {"type": "string"}},
        });
        let document = json!({"components": {"schemas": {"x.Y": schema, "x.None": {}}}});
        let lines = description_lines(&BTreeMap::from([("api/v1".to_owned(), document)]));
        assert_eq!(lines, "x.Y\n\t\t\"A\\n\\\"b\\\"\"\n\t/properties/list/items\t\"c\"\n");
    }

    #[test]
    fn operations_refer_to_shared_and_repeated_parameters() {
        let dry_run = json!({"name": "dryRun", "in": "query"});
        let own = json!({"name": "name", "in": "path"});
        let limit = json!({"$ref": "#/parameters/limit-1"});
        let mut paths = Map::new();
        for index in 0..=MAX_INLINE_USES {
            let second = if index == 0 { own.clone() } else { json!({"name": format!("own{index}")}) };
            paths.insert(format!("/{index}"), json!({"get": {"parameters": [dry_run, second, limit]}}));
        }
        let shared = json!({"limit-1": {"name": "limit"}});
        let lines = path_lines(&json!({"parameters": shared, "paths": paths})).unwrap();
        assert!(lines.starts_with(
            "dryRun\t{\"in\":\"query\",\"name\":\"dryRun\"}\nlimit-1\t{\"name\":\"limit\"}\n/0\t"
        ));
        assert!(
            lines.contains("\"parameters\":[\"dryRun\",{\"in\":\"path\",\"name\":\"name\"},\"limit-1\"]")
        );
    }
}
