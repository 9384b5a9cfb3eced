//! The paths of the OpenAPI documents: recorded in the format of OpenAPI 2, and converted to OpenAPI 3.
//!
//! This module owns the parsing of `data/paths.txt`. Each line is a path or the name of a parameter, then a tab, then
//! JSON. Operations refer to parameters by name.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// The parameters and the paths, as `cargo xtask record` writes them.
static RECORDED_PATHS: &str = include_str!("../data/paths.txt");

/// The lines of [`RECORDED_PATHS`], split into names and unparsed JSON.
struct PathsAndParameters {
    parameters: HashMap<&'static str, &'static str>,
    paths: Vec<(&'static str, &'static str)>,
}

static PATHS_AND_PARAMETERS: LazyLock<PathsAndParameters> = LazyLock::new(|| {
    let lines = RECORDED_PATHS.lines().filter_map(|line| line.split_once('\t'));
    let (paths, parameters) = lines.partition::<Vec<_>, _>(|(name, _)| name.starts_with('/'));
    PathsAndParameters { parameters: parameters.into_iter().collect(), paths }
});

/// Whether the parameter is in the shared `parameters` of the OpenAPI 2 document. The API server adds a hyphen and a
/// hash to the names of shared parameters.
fn is_shared_parameter(name: &str) -> bool {
    name.contains('-')
}

/// All paths.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    PATHS_AND_PARAMETERS.paths.iter().map(|(path, _)| *path)
}

/// The shared `parameters` of the OpenAPI 2 document.
pub(super) fn shared_parameters() -> Map<String, Value> {
    let shared = PATHS_AND_PARAMETERS.parameters.iter().filter(|(name, _)| is_shared_parameter(name));
    shared.map(|(name, text)| ((*name).to_owned(), parse_json(text))).collect()
}

/// The operations of a path in OpenAPI 2; null for an unknown path.
pub(super) fn path_item(path: &str) -> Value {
    let Some((_, text)) = PATHS_AND_PARAMETERS.paths.iter().find(|(known, _)| *known == path) else {
        return Value::Null;
    };
    let mut item = parse_json(text);
    for value in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        let list = if value.is_array() { Some(value) } else { value.get_mut("parameters") };
        for parameter in list.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(name) = parameter.as_str() {
                *parameter = parameter_or_reference(name);
            }
        }
    }
    item
}

/// A reference to the shared parameter whose name begins with `prefix`; the rest of the name is a hash. Null if there is
/// no such parameter.
pub(super) fn shared_parameter_reference(prefix: &str) -> Value {
    let mut names = PATHS_AND_PARAMETERS.parameters.keys();
    names.find(|name| name.starts_with(prefix)).map_or(Value::Null, |name| parameter_or_reference(name))
}

/// The parameter `name` in OpenAPI 2: a reference if the parameter is shared, or else the whole parameter.
fn parameter_or_reference(name: &str) -> Value {
    if is_shared_parameter(name) {
        return json!({"$ref": format!("#/parameters/{name}")});
    }
    PATHS_AND_PARAMETERS.parameters.get(name).map_or(Value::Null, |text| parse_json(text))
}

#[expect(clippy::expect_used, reason = "the data is compiled in, and a test reads all of it")]
fn parse_json(text: &str) -> Value {
    serde_json::from_str(text).expect("the recorded paths are the JSON that `xtask record` writes")
}

/// Converts the operations of a path to OpenAPI 3.
pub(super) fn to_open_api_3(item: &Value) -> Value {
    let convert = |value: &Value| match value.as_array() {
        Some(parameters) => {
            parameters.iter().map(convert_parameter).filter(|found| !found.is_null()).collect()
        }
        None => convert_operation(value),
    };
    let entries = item.as_object().into_iter().flatten();
    let mut converted =
        Value::Object(entries.map(|(method, value)| (method.clone(), convert(value))).collect());
    rename_references(&mut converted, "#/definitions/", "#/components/schemas/");
    converted
}

/// The shared parameter to which `parameter` refers, or `parameter` itself if it is not a reference.
fn resolve_parameter(parameter: &Value) -> Value {
    let name = parameter["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    match name.and_then(|name| PATHS_AND_PARAMETERS.parameters.get(name)) {
        Some(text) => parse_json(text),
        None => parameter.clone(),
    }
}

/// Converts a parameter to OpenAPI 3; null for a body, which is not a parameter in OpenAPI 3.
fn convert_parameter(parameter: &Value) -> Value {
    let parameter = resolve_parameter(parameter);
    if parameter["in"] == "body" {
        return Value::Null;
    }
    let (schema, mut rest) = (parameter.as_object().cloned().unwrap_or_default())
        .into_iter()
        .partition::<Map<_, _>, _>(|(key, _)| matches!(key.as_str(), "type" | "uniqueItems" | "format"));
    rest.insert("schema".to_owned(), schema.into());
    rest.into()
}

/// Converts an operation to OpenAPI 3.
fn convert_operation(source: &Value) -> Value {
    let strings = |key: &str| -> Vec<String> {
        let list = source[key].as_array().into_iter().flatten();
        list.filter_map(|media| media.as_str().map(ToOwned::to_owned)).collect()
    };
    let content = |media: Vec<String>, schema: &Value| -> Value {
        media.into_iter().map(|media| (media, json!({"schema": schema}))).collect::<Map<_, _>>().into()
    };
    let mut operation = source.as_object().cloned().unwrap_or_default();
    operation.retain(|key, _| !matches!(key.as_str(), "consumes" | "produces" | "schemes" | "parameters"));
    let parameters: Vec<_> =
        source["parameters"].as_array().into_iter().flatten().map(resolve_parameter).collect();
    if let Some(body) = parameters.iter().find(|parameter| parameter["in"] == "body") {
        let mut request = json!({"content": content(strings("consumes"), &body["schema"])});
        if body["required"] == true {
            request["required"] = true.into();
        }
        operation.insert("requestBody".to_owned(), request);
    }
    let parameters: Vec<_> =
        parameters.iter().map(convert_parameter).filter(|parameter| !parameter.is_null()).collect();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    for response in operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(schema) = response.1.as_object_mut().and_then(|response| response.remove("schema")) {
            response.1["content"] = content(strings("produces"), &schema);
        }
    }
    operation.into()
}

/// Replaces the prefix `from` of each `$ref` with `to`.
pub(super) fn rename_references(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref")
                && let Some(name) = reference.strip_prefix(from)
            {
                *reference = format!("{to}{name}");
            }
            map.values_mut().for_each(|value| rename_references(value, from, to));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename_references(value, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPLOYMENT_PATH: &str = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";

    #[test]
    fn every_path_parses_and_every_shared_parameter_exists() {
        assert!(PATHS_AND_PARAMETERS.paths.len() > 400);
        for path in all() {
            let item = path_item(path);
            assert!(item.is_object(), "{path}");
            assert!(!to_open_api_3(&item).to_string().contains("#/parameters/"), "{path}");
        }
    }

    #[test]
    fn open_api_2_references_shared_parameters_and_inlines_other_parameters() {
        let patch = &path_item(DEPLOYMENT_PATH)["patch"];
        let parameters = patch["parameters"].as_array().unwrap();
        assert!(parameters[0]["$ref"].as_str().unwrap().starts_with("#/parameters/body-"));
        assert!(parameters.iter().any(|parameter| parameter["name"] == "dryRun"));
        assert_eq!(shared_parameters().keys().filter(|name| name.starts_with("body-")).count(), 2);
    }

    #[test]
    fn open_api_3_has_request_bodies_and_response_contents_and_parameter_schemas() {
        let patch = &to_open_api_3(&path_item(DEPLOYMENT_PATH))["patch"];
        let body = &patch["requestBody"];
        assert_eq!(body["required"], true);
        let reference = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
        assert_eq!(body["content"]["application/apply-patch+yaml"]["schema"]["$ref"], reference);
        let content = &patch["responses"]["200"]["content"];
        let reference = "#/components/schemas/io.k8s.api.apps.v1.Deployment";
        assert_eq!(content["application/json"]["schema"]["$ref"], reference);
        let force =
            patch["parameters"].as_array().unwrap().iter().find(|parameter| parameter["name"] == "force");
        assert_eq!(force.unwrap()["schema"], json!({"type": "boolean", "uniqueItems": true}));
        assert_eq!(patch.get("consumes"), None);
    }
}
