//! The OpenAPI documents of the served resources: one document for each group version below `/openapi/v3`, and one document
//! for all resources at `/openapi/v2`.

mod protobuf;

use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::builtin;
use crate::handler::accept;
use crate::handler::reply::{Reply, Request};
use crate::registry::{CustomProperties, Registry, Resource};
use crate::status::SimError;

/// The media type of the OpenAPI 2 document in Protobuf.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The media type [`PROTOBUF`], as the `Accept` header of clients in Go spells it.
const PROTOBUF_OF_GO_CLIENTS: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// The response of `/openapi/v3`: the URLs of all documents.
pub(crate) fn index_reply(registry: &Registry) -> Reply {
    let mut paths = Map::new();
    let mut add = |name: &str| {
        paths.insert(name.to_owned(), json!({"serverRelativeURL": url_of(registry, name)}));
    };
    builtin::open_api_document_names().into_iter().for_each(&mut add);
    for resource in registry
        .all_resources()
        .filter(|resource| resource.is_stored() && resource.custom_properties().is_some())
    {
        add(&format!("apis/{}/{}", resource.group, resource.version));
    }
    // The API server does not set the media type; Go's HTTP server detects `text/plain`.
    Reply::whole(StatusCode::OK, "text/plain; charset=utf-8", json!({"paths": paths}).to_string())
}

/// The URL of an OpenAPI 3 document. The hash in the URL changes with the served resources.
fn url_of(registry: &Registry, name: &str) -> String {
    format!("/openapi/v3/{name}?hash={:016X}", registry.change_counter())
}

/// The response for an OpenAPI 3 document, such as `apis/apps/v1`: the document; a redirect if the hash in the
/// query is not the current one; 404 if there is no such document.
pub(crate) fn v3_reply(registry: &Registry, request: &Request, name: &str) -> Reply {
    let Some(document) = document(registry, name) else {
        return Reply::empty(StatusCode::NOT_FOUND);
    };
    let url = url_of(registry, name);
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

/// The OpenAPI 3 document `name`, such as `apis/apps/v1`; `None` if the server has no such document.
fn document(registry: &Registry, name: &str) -> Option<Value> {
    let mut document = builtin::open_api_document(name);
    if let Some((group, version)) = name.strip_prefix("apis/").and_then(|name| name.split_once('/')) {
        for resource in registry.resources_of_version(group, version) {
            let Some(custom) = resource.custom_properties().filter(|_| resource.is_stored()) else {
                continue;
            };
            let document = document.get_or_insert_with(|| {
                json!({
                    "openapi": "3.0.0",
                    "info": {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"},
                    "paths": {},
                    "components": {},
                })
            });
            with_custom_resource(&resource, custom, |resource| resource.add_to_open_api_3(document));
        }
    }
    document
}

/// Calls `add` with the properties of a custom resource.
fn with_custom_resource(
    resource: &Resource,
    custom: &CustomProperties,
    add: impl FnOnce(&builtin::CustomResource<'_>),
) {
    let schema = custom.open_api.clone().unwrap_or_else(|| json!({"type": "object"}));
    let subresources: Vec<_> = resource.subresources.iter().map(|sub| sub.name.as_str()).collect();
    let selectable_fields: Vec<_> = resource.fields.iter().map(|field| field.label.as_str()).collect();
    add(&builtin::CustomResource {
        group: &resource.group,
        version: &resource.version,
        plural: &resource.plural,
        kind: &resource.kind,
        list_kind: &resource.list_kind,
        namespaced: resource.namespaced,
        subresources: &subresources,
        selectable_fields: &selectable_fields,
        schema: &schema,
    });
}

/// The response of `/openapi/v2`, in JSON or Protobuf.
///
/// # Errors
/// 406 if the client accepts neither.
pub(crate) fn v2_reply(registry: &Registry, request: &Request) -> Result<Reply, SimError> {
    let content_type = negotiate_media_type(&request.accept)?;
    let mut document = builtin::open_api_2_document();
    for resource in registry.all_resources() {
        let Some(custom) = resource.custom_properties().filter(|_| resource.is_stored()) else { continue };
        with_custom_resource(resource, custom, |resource| resource.add_to_open_api_2(&mut document));
    }
    Ok(if content_type == PROTOBUF {
        Reply::cacheable(request, content_type, protobuf::encode(&document))
    } else {
        Reply::cacheable(request, content_type, document.to_string())
    })
}

/// The media type that a client prefers for the OpenAPI 2 document.
fn negotiate_media_type(header: &str) -> Result<&'static str, SimError> {
    if header.trim().is_empty() {
        return Ok("application/json");
    }
    let mut preferred = accept::header_entries(header).filter_map(|(media, _)| match media.as_str() {
        "application/json" | "application/*" | "*/*" => Some("application/json"),
        PROTOBUF | PROTOBUF_OF_GO_CLIENTS => Some(PROTOBUF),
        _ => None,
    });
    preferred.next().ok_or_else(|| SimError::not_acceptable(&format!("application/json,{PROTOBUF}")))
}
