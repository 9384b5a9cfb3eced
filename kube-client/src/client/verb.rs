//! Derives the verb of a request, for traces, from the HTTP method, the path and the query. The verb is the
//! name of a function of `Api`, such as `list`, or else `request`.

use http::{Method, Uri};

use super::long_running::is_parameter_true;

/// The verb of a request. `uri` must not contain the path prefix of the cluster's address. A request for a subresource has
/// the same verb as a request for the object itself. The verb is `request` if the path does not belong to a resource, or if
/// the HTTP method is not GET, POST, PUT, PATCH or DELETE.
pub(super) fn verb(method: &Method, uri: &Uri) -> &'static str {
    let Some(has_name) = is_object_path(uri.path()) else { return "request" };
    match (method.as_str(), has_name) {
        ("GET", _) if is_parameter_true(uri, "watch") => "watch",
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "replace",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "delete_collection",
        _ => "request",
    }
}

/// Whether the path addresses an object rather than a collection; `None` if the path does not belong to a resource.
fn is_object_path(path: &str) -> Option<bool> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match parts.next()? {
        "api" => parts.next()?,
        "apis" => parts.nth(1)?,
        _ => return None,
    };
    let parts: Vec<_> = parts.collect();
    match parts.as_slice() {
        [] => None,
        // `namespaces/NAME/finalize` and `namespaces/NAME/status` are subresources of the namespace.
        ["namespaces", _, "finalize" | "status"] => Some(true),
        [_] | ["namespaces", _, _] => Some(false),
        _ => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verb_is_derived_from_method_and_path() {
        for (method, uri, expected) in [
            ("GET", "/api/v1/pods", "list"),
            ("GET", "/api/v1/pods?watch=true&x=1", "watch"),
            ("GET", "/api/v1/pods?watch", "watch"),
            ("GET", "/api/v1/pods?limit=1&watch=false", "list"),
            ("GET", "/api/v1/namespaces", "list"),
            ("GET", "/api/v1/namespaces/n", "get"),
            ("PUT", "/api/v1/namespaces/n/finalize", "replace"),
            ("GET", "/api/v1/namespaces/n/pods", "list"),
            ("GET", "/api/v1/namespaces/n/pods/p", "get"),
            ("GET", "/api/v1/namespaces/n/pods/p/log", "get"),
            ("POST", "/api/v1/namespaces/n/pods", "create"),
            ("POST", "/api/v1/namespaces/n/pods/p/eviction", "create"),
            ("PATCH", "/apis/apps/v1/namespaces/n/deployments/d/scale", "patch"),
            ("DELETE", "/apis/apps/v1/namespaces/n/deployments/d", "delete"),
            ("DELETE", "/apis/apps/v1/namespaces/n/deployments", "delete_collection"),
            ("GET", "/apis/x.io/v1/things/t", "get"),
            ("GET", "/apis/x.io/v1", "request"),
            ("GET", "/apis", "request"),
            ("GET", "/version", "request"),
            ("OPTIONS", "/api/v1/pods", "request"),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(verb(&method, &Uri::from_static(uri)), expected, "{method} {uri}");
        }
    }
}
