//! The OpenAPI v3 document of one group version, assembled from recorded components.
//!
//! The document has only the parts that clients read: the schemas of the kinds, and the parameters of the operations.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::catalog::{Resource, Scope, resources};
use crate::schema::component_source;

/// The document of one group version, without descriptions; `None` if the group version does not exist.
///
/// It contains the components of the group version's kinds, all components that these refer to, and the operations on a
/// single object. kubectl reads the parameters of the operations to find out whether the server supports field
/// validation.
pub(crate) fn open_api(group: &str, version: &str) -> Option<Value> {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for resource in
        resources().iter().filter(|resource| resource.group == group && resource.version == version)
    {
        let list = format!("{}List", resource.component());
        let roots = [resource.component(), &list];
        for root in roots {
            collect_components(root, &mut schemas);
        }
        paths.insert(object_path(resource), operations(resource));
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// Adds the component `root`, and all components that it refers to directly or indirectly.
fn collect_components(root: &str, schemas: &mut Map<String, Value>) {
    let mut waiting = vec![root.to_owned()];
    while let Some(name) = waiting.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        let Some(source) = component_source(&name) else { continue };
        let mut targets = BTreeSet::new();
        collect_references(&source, &mut targets);
        waiting.extend(targets);
        schemas.insert(name, source);
    }
}

/// Adds the names of the components to which `value` refers.
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

/// The URL path of one object, as an OpenAPI path template.
fn object_path(resource: &Resource) -> String {
    let root = if resource.group.is_empty() { "api".to_owned() } else { format!("apis/{}", resource.group) };
    let namespace = if resource.scope() == Scope::Namespaced { "/namespaces/{namespace}" } else { "" };
    format!("/{root}/{}{namespace}/{}/{{name}}", resource.version, resource.plural)
}

/// The operations on one object, by HTTP method.
fn operations(resource: &Resource) -> Value {
    let mut operations = Map::new();
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let verbs = [
        ("get", "get", ""),
        ("put", "update", "write"),
        ("patch", "patch", "apply"),
        ("delete", "delete", ""),
    ];
    for (method, verb, parameters) in verbs {
        if !resource.verbs.contains(&verb) {
            continue;
        }
        let action = if method == "get" { "get" } else { method };
        operations.insert(
            method.to_owned(),
            json!({
                "parameters": parameters_of(parameters),
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": kind,
            }),
        );
    }
    Value::Object(operations)
}

/// The query parameters of an operation. `parameters` is `write` for an update, `apply` for a patch, and empty for any
/// other operation.
fn parameters_of(parameters: &str) -> Value {
    let query = |name: &str, kind: &str| json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}});
    match parameters {
        "" => json!([query("dryRun", "string")]),
        "write" => json!([
            query("dryRun", "string"),
            query("fieldManager", "string"),
            query("fieldValidation", "string")
        ]),
        _ => json!([
            query("dryRun", "string"),
            query("fieldManager", "string"),
            query("fieldValidation", "string"),
            query("force", "boolean"),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_the_referenced_components_and_the_patch_parameters() {
        let document = open_api("apps", "v1").unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in [
            "io.k8s.api.apps.v1.Deployment",
            "io.k8s.api.apps.v1.DeploymentList",
            "io.k8s.api.core.v1.PodSpec",
        ] {
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(!schemas.contains_key("io.k8s.api.batch.v1.Job"));
        let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        let names: Vec<_> =
            patch["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
        assert!(open_api("apps", "v2").is_none());
    }
}
