//! OpenAPI documents with the paths and schemas that kubectl reads.

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::builtin;
use crate::handler::reply::{Reply, Request};
use crate::registry::{Registry, Resource};
use crate::status::SimError;

/// The response of `/openapi/v3`: the URLs of the documents of all group versions.
pub(crate) fn index_reply(registry: &Registry) -> Reply {
    let mut paths = Map::new();
    for group in registry.groups() {
        for version in &group.versions {
            let path = path_of(&group.name, version);
            let url = url_of(registry, &path);
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    // The API server does not set the media type, so that Go detects it.
    Reply::whole(StatusCode::OK, "text/plain; charset=utf-8", json!({"paths": paths}).to_string())
}

/// The path of the document of a group version, relative to `/openapi/v3`.
fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The URL of the current state of a document.
fn url_of(registry: &Registry, path: &str) -> String {
    format!("/openapi/v3/{path}?hash={:016X}", registry.generation())
}

/// The response of a group version: its document, a redirection for the hash of another state, or 404.
pub(crate) fn reply(registry: &Registry, request: &Request, group: &str, version: &str) -> Reply {
    let Some(document) = document(registry, group, version) else {
        return Reply::empty(StatusCode::NOT_FOUND);
    };
    let url = url_of(registry, &path_of(group, version));
    let mut parameters = form_urlencoded::parse(request.query.as_bytes());
    if let Some((_, hash)) = parameters.find(|(key, _)| key == "hash")
        && !url.ends_with(&format!("={hash}"))
    {
        let mut reply = Reply::whole(StatusCode::MOVED_PERMANENTLY, "application/json", "");
        reply.headers.extend(HeaderValue::from_str(&url).map(|url| (header::LOCATION, url)));
        return reply;
    }
    Reply::cacheable(request, "application/json", document.to_string())
}

/// The document of one group version; `None` if no resource of the version is served.
fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let resources = registry.of_version(group, version);
    if resources.is_empty() {
        return None;
    }
    let mut document = builtin::open_api(group, version).unwrap_or_else(|| json!({"paths": {}}));
    document["openapi"] = "3.0.0".into();
    document["info"] = json!({"title": "Kubernetes", "version": format!("1.{}", super::MINOR)});
    for resource in &resources {
        let Some(custom) = resource.custom() else { continue };
        let (path, operations) = path_item(resource);
        document["paths"][path] = operations;
        let schema = custom.open_api.clone().unwrap_or_else(|| json!({"type": "object"}));
        add_schema(&mut document, resource, schema);
    }
    Some(document)
}

/// The path of one object, and the OpenAPI path item for this path. The operations contain the kind and the query
/// parameters of write requests.
fn path_item(resource: &Resource) -> (String, Value) {
    let root =
        if resource.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", resource.group) };
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let path = format!("{root}/{}{scope}/{}/{{name}}", resource.version, resource.plural);
    let operation = |action: &str, parameters: &[&str]| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        json!({
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind":
                {"group": resource.group, "version": resource.version, "kind": resource.kind},
        })
    };
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let operations = json!({
        "get": operation("get", &[]),
        "put": operation("put", &write),
        "patch": operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]),
        "delete": operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
    });
    (path, operations)
}

/// Adds the schema of a custom resource, with the fields that every object has.
fn add_schema(document: &mut Value, resource: &Resource, mut schema: Value) {
    let mut reversed: Vec<&str> = resource.group.split('.').collect();
    reversed.reverse();
    let name = format!("{}.{}.{}", reversed.join("."), resource.version, resource.kind);
    if schema.is_object() {
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": resource.group, "version": resource.version, "kind": resource.kind}]);
        if !schema["properties"].is_object() {
            schema["properties"] = json!({});
        }
        let properties = &mut schema["properties"];
        properties["apiVersion"] = json!({"type": "string"});
        properties["kind"] = json!({"type": "string"});
        if !properties["metadata"].is_object() {
            properties["metadata"] = json!({"type": "object"});
        }
    }
    if !document["components"]["schemas"].is_object() {
        document["components"] = json!({"schemas": {}});
    }
    document["components"]["schemas"][name] = schema;
}

/// The response of `/openapi/v2`: a document without paths and schemas, in JSON. Current clients read `/openapi/v3`
/// instead.
pub(crate) fn v2_reply(accept: &str) -> Result<Reply, SimError> {
    let accepts_json = accept.is_empty()
        || accept.contains("json") && !accept.contains("protobuf")
        || accept.contains("*/*");
    if !accepts_json {
        return Err(SimError::not_acceptable("application/json"));
    }
    let document = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": super::RELEASE},
        "paths": {},
        "definitions": {},
    });
    Ok(Reply::whole(StatusCode::OK, "application/json", document.to_string()))
}
