//! The labels of a request in the metric `apiserver_request_total`.

use http::Method;

use crate::counters::RequestLabels;
use crate::handler::reply::Request;
use crate::handler::target::Path;
use crate::registry::Registry;

/// The subresources whose requests have the label `verb="CONNECT"`.
const CONNECT_SUBRESOURCES: [&str; 4] = ["attach", "exec", "portforward", "proxy"];

/// The possible values of the label `subresource` for a request without a resource: the known first segments of paths.
/// For any other first segment, the label is empty, so that the label has a limited number of values.
const FIRST_SEGMENTS: [&str; 8] =
    ["api", "apis", "healthz", "livez", "metrics", "openapi", "readyz", "version"];

/// The labels of a request, without the status of its response. `verb` is the RBAC verb of the request.
pub(super) fn labels_of(request: &Request, path: &Path, verb: &str) -> RequestLabels {
    let mut queries = form_urlencoded::parse(request.query.as_bytes());
    let dry_run = queries.any(|(key, value)| key == "dryRun" && value == "All");
    if path.resource.is_empty() {
        let first = request.path.split('/').nth(1).unwrap_or_default();
        let known = FIRST_SEGMENTS.into_iter().find(|known| *known == first).unwrap_or_default();
        return RequestLabels {
            subresource: known.to_owned(),
            verb: method_label(&request.method),
            ..RequestLabels::default()
        };
    }
    let scope = match () {
        () if verb == "create" || !path.name.is_empty() => "resource",
        () if !path.namespace.is_empty() => "namespace",
        () => "cluster",
    };
    let verb = match verb {
        _ if CONNECT_SUBRESOURCES.contains(&path.subresource.as_str()) => "CONNECT",
        "list" => "LIST",
        "watch" => "WATCH",
        "deletecollection" => "DELETECOLLECTION",
        "patch" if request.content_type.starts_with("application/apply-patch") => "APPLY",
        _ => method_label(&request.method),
    };
    RequestLabels {
        group: path.group.clone(),
        version: path.version.clone(),
        resource: path.resource.clone(),
        subresource: path.subresource.clone(),
        scope,
        verb,
        dry_run,
        code: 0,
    }
}

/// If the resource or subresource is not served, removes all labels except the verb and the code. Without this limit,
/// clients could create any number of label values.
pub(super) fn remove_labels_if_unserved(labels: &mut RequestLabels, registry: &Registry) {
    if labels.resource.is_empty() {
        return;
    }
    let resource = registry.find(&labels.group, &labels.version, &labels.resource);
    let is_served = resource.is_some_and(|resource| {
        labels.subresource.is_empty() || resource.subresource(&labels.subresource).is_some()
    });
    if !is_served {
        *labels = RequestLabels { verb: labels.verb, code: labels.code, ..RequestLabels::default() };
    }
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
