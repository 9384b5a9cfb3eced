//! Handles requests for paths without a resource: discovery, version, health, metrics and OpenAPI.

mod aggregated;
mod legacy;
mod metrics;
mod open_api;

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::handler::accept::{self, Encoding};
use crate::handler::reply::{Reply, Request};
use crate::shared_state::Inner;
use crate::status::SimError;

/// The minor version of the simulated Kubernetes release.
const MINOR_VERSION: &str = "37";
/// The simulated Kubernetes release.
const RELEASE: &str = "v1.37.2";

/// The response for a resource or version that is not served: a `Status` if the group is built in, otherwise plain
/// text.
pub(crate) fn unknown_resource_reply(group: &str) -> Result<Reply, SimError> {
    if crate::builtin::groups().iter().any(|g| g.name == group) {
        return Err(SimError::no_such_resource());
    }
    Ok(Reply::page_not_found())
}

/// Handles a request for a path without a resource.
pub(crate) fn serve(inner: &Arc<Inner>, request: &Request) -> Result<Reply, SimError> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let first = request.path.split('/').nth(1).unwrap_or_default();
        let known = ["api", "apis", "version", "healthz", "livez", "metrics", "readyz", "openapi", ""]
            .contains(&first);
        return if known { Err(SimError::method_not_allowed()) } else { Ok(Reply::page_not_found()) };
    }
    if request.path == "/metrics" {
        let mut reply = Reply::text(StatusCode::OK, metrics::text(inner));
        reply.content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
        return Ok(reply);
    }
    let parts: Vec<&str> = request.path.split('/').filter(|p| !p.is_empty()).collect();
    let state = inner.lock();
    let registry = &state.registry;
    Ok(match parts.as_slice() {
        [] => Reply::json(&json!({"paths": [
            "/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version",
        ]})),
        ["version"] => Reply::json(&version_document()),
        ["healthz" | "readyz" | "livez", ..] => Reply::text(StatusCode::OK, "ok"),
        [root @ ("api" | "apis")] => match negotiate_format(&request.accept)? {
            DiscoveryFormat::Aggregated(content_type) => {
                let is_beta = content_type.contains("v2beta1");
                let document = aggregated::document(registry, *root == "api", is_beta);
                Reply::cacheable(request, content_type, document.to_string())
            }
            DiscoveryFormat::Legacy(encoding) if *root == "api" => {
                encoded_reply(&legacy::core_versions_document(), encoding)
            }
            DiscoveryFormat::Legacy(encoding) => {
                encoded_reply(&legacy::group_list_document(registry), encoding)
            }
        },
        ["api", version] => match legacy::resource_list_document(registry, "", version) {
            Some(list) => negotiated_reply(request, &list)?,
            None => unknown_resource_reply("")?,
        },
        ["apis", group] => match legacy::group_document(registry, group) {
            Some(group) => negotiated_reply(request, &group)?,
            None => Reply::page_not_found(),
        },
        ["apis", group, version] => match legacy::resource_list_document(registry, group, version) {
            Some(list) => negotiated_reply(request, &list)?,
            None => unknown_resource_reply(group)?,
        },
        ["openapi", "v2"] => open_api::v2_reply(registry, request)?,
        ["openapi", "v3"] => open_api::index_reply(registry),
        ["openapi", "v3", name @ ..] => open_api::v3_reply(registry, request, &name.join("/")),
        _ => Reply::page_not_found(),
    })
}

/// The response with an unaggregated discovery document, in the encoding that the client prefers. If the client prefers
/// aggregated discovery, the encoding is JSON.
fn negotiated_reply(request: &Request, document: &Value) -> Result<Reply, SimError> {
    match negotiate_format(&request.accept)? {
        DiscoveryFormat::Legacy(encoding) => Ok(encoded_reply(document, encoding)),
        DiscoveryFormat::Aggregated(_) => Ok(Reply::json(document)),
    }
}

fn encoded_reply(document: &Value, encoding: Encoding) -> Reply {
    match encoding {
        // `negotiate_format` does not select Protobuf.
        Encoding::Json | Encoding::Protobuf => Reply::json(document),
        Encoding::Yaml => {
            let text = yaml_serde::to_string(document).unwrap_or_default();
            Reply::whole(StatusCode::OK, "application/yaml", text)
        }
    }
}

/// The document of `/version`.
fn version_document() -> Value {
    json!({
        "major": "1",
        "minor": MINOR_VERSION,
        "emulationMajor": "1",
        "emulationMinor": MINOR_VERSION,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "36",
        "gitVersion": RELEASE,
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

/// The form of a discovery document that the `Accept` header selects.
enum DiscoveryFormat {
    /// Aggregated discovery; contains the media type of the response.
    Aggregated(&'static str),
    /// Unaggregated discovery.
    Legacy(Encoding),
}

/// Selects the form of a discovery document from the `Accept` header.
fn negotiate_format(header: &str) -> Result<DiscoveryFormat, SimError> {
    if header.trim().is_empty() {
        return Ok(DiscoveryFormat::Legacy(Encoding::Json));
    }
    for (media, parameters) in accept::header_entries(header) {
        let encoding = match media.as_str() {
            "application/json" | "*/*" | "application/*" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        let find = |key: &str| parameters.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
        match (find("as"), find("g"), find("v")) {
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => {
                return Ok(DiscoveryFormat::Aggregated(
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                ));
            }
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => {
                return Ok(DiscoveryFormat::Aggregated(
                    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
                ));
            }
            (None, ..) => return Ok(DiscoveryFormat::Legacy(encoding)),
            _ => {}
        }
    }
    Err(SimError::not_acceptable(accept::MEDIA_TYPES))
}
