//! The OpenAPI documents of the built-in resources, assembled from recorded components and paths. A [`CustomResource`]
//! adds its paths and schemas to a document.

mod custom_resource;
mod paths;
mod version_2;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::descriptions;
use crate::schema::component_source;

pub(crate) use self::custom_resource::CustomResource;
pub(crate) use self::version_2::document as open_api_2_document;

/// The name of the OpenAPI 3 document that contains `path`: `apis/apps/v1` for `/apis/apps/v1/deployments`.
fn document_name(path: &str) -> &str {
    let trimmed = path.trim_matches('/');
    let segments = match trimmed.split('/').next() {
        Some("api") => 2,
        Some("apis") => 3,
        _ => return trimmed,
    };
    trimmed.match_indices('/').nth(segments - 1).map_or(trimmed, |(end, _)| &trimmed[..end])
}

/// The names of the OpenAPI 3 documents.
pub(crate) fn open_api_document_names() -> BTreeSet<&'static str> {
    paths::all().map(document_name).collect()
}

/// The OpenAPI 3 document with this name; `None` if it does not exist.
pub(crate) fn open_api_document(name: &str) -> Option<Value> {
    let mut items = Map::new();
    for path in paths::all().filter(|path| document_name(path) == name) {
        items.insert(path.to_owned(), paths::to_open_api_3(&paths::path_item(path)));
    }
    if items.is_empty() {
        return None;
    }
    let items = Value::Object(items);
    let mut schemas = Map::new();
    collect_components(&items, &mut schemas);
    for schema in schemas.values_mut() {
        retain_group_version_kinds(name, schema);
    }
    let token = json!({
        "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
    });
    let mut components = json!({"securitySchemes": {"BearerToken": token}});
    if !schemas.is_empty() {
        components["schemas"] = schemas.into();
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "1.37"},
        "paths": items,
        "components": components,
    }))
}

/// Adds to `schemas` all components to which `value` refers, directly or indirectly, with their descriptions.
fn collect_components(value: &Value, schemas: &mut Map<String, Value>) {
    let mut waiting = BTreeSet::new();
    collect_references(value, &mut waiting);
    while let Some(name) = waiting.pop_first() {
        if schemas.contains_key(&name) {
            continue;
        }
        let Some(source) = described_component(&name) else { continue };
        collect_references(&source, &mut waiting);
        schemas.insert(name, source);
    }
}

/// The schema of a component with its descriptions.
fn described_component(name: &str) -> Option<Value> {
    let mut source = component_source(name)?;
    descriptions::add_descriptions(name, &mut source);
    Some(source)
}

/// Keeps only the `x-kubernetes-group-version-kind` entries of core `v1` and of the document's group version, if `schema`
/// has several entries. The schema of a kind that many groups have, such as `DeleteOptions`, has an entry for each group
/// version.
fn retain_group_version_kinds(document: &str, schema: &mut Value) {
    let Some(kinds) = schema.get_mut("x-kubernetes-group-version-kind").and_then(Value::as_array_mut) else {
        return;
    };
    if kinds.len() > 1 {
        kinds.retain(|kind| {
            let [group, version] = ["group", "version"].map(|key| kind[key].as_str().unwrap_or_default());
            group.is_empty() && version == "v1" || document == format!("apis/{group}/{version}")
        });
    }
}

/// Adds to `found` the names of the components to which `value` refers.
fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(target) = map.get("$ref").and_then(Value::as_str) {
                found.insert(target.trim_start_matches("#/components/schemas/").to_owned());
            }
            map.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_referenced_components_with_descriptions() {
        let document = open_api_document("apis/apps/v1").unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in [
            "io.k8s.api.apps.v1.Deployment",
            "io.k8s.api.apps.v1.DeploymentList",
            "io.k8s.api.core.v1.PodSpec",
        ] {
            assert!(schemas[name]["description"].is_string(), "{name}");
        }
        assert!(!schemas.contains_key("io.k8s.api.batch.v1.Job"));
        let options = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"];
        let kinds = options["x-kubernetes-group-version-kind"].as_array().unwrap();
        assert_eq!(
            kinds.iter().map(|kind| kind["group"].as_str().unwrap()).collect::<Vec<_>>(),
            ["", "apps"]
        );
    }

    #[test]
    fn a_document_has_the_operations_and_their_parameters() {
        let document = open_api_document("apis/apps/v1").unwrap();
        let paths = &document["paths"];
        let patch = &paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        let names: Vec<_> =
            patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
        assert!(paths["/apis/apps/v1/watch/deployments"].is_object());
    }

    #[test]
    fn discovery_paths_and_the_version_path_have_documents() {
        let names = open_api_document_names();
        for name in ["api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "version"] {
            assert!(names.contains(name) && open_api_document(name).is_some(), "{name}");
        }
        assert!(open_api_document("apis/apps/v2").is_none());
    }
}
