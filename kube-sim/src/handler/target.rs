//! Parses URL paths and resolves them to served resources.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::registry::{Registry, Resource};

/// The parsed path of a request for a resource. The server does not necessarily serve the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// The path after the subresource, for example in requests for the subresource `proxy`.
    pub(crate) rest: String,
    /// Whether the path has the deprecated prefix `watch/`.
    pub(crate) watch: bool,
}

impl Path {
    /// Parses a path. Returns `None` for a path without a resource (`/version`, `/apis/apps`, ...).
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path
            .split('/')
            .filter(|p| !p.is_empty())
            .map(|p| percent_decode_str(p).decode_utf8_lossy().into_owned())
            .collect();
        let mut rest = parts.as_slice();
        let mut found = Self::default();
        match rest {
            [api, version, more @ ..] if api == "api" => {
                found.version.clone_from(version);
                rest = more;
            }
            [apis, group, version, more @ ..] if apis == "apis" => {
                found.group.clone_from(group);
                found.version.clone_from(version);
                rest = more;
            }
            _ => return None,
        }
        if let [watch, more @ ..] = rest
            && watch == "watch"
        {
            found.watch = true;
            rest = more;
        }
        // `/namespaces/x/pods` is a collection in namespace x; `/namespaces/x/status` and `/finalize` are subresources
        // of x.
        if let [namespaces, namespace, resource, more @ ..] = rest
            && namespaces == "namespaces"
            && !(found.group.is_empty() && matches!(resource.as_str(), "status" | "finalize"))
        {
            found.namespace.clone_from(namespace);
            found.resource.clone_from(resource);
            rest = more;
        } else {
            let (resource, more) = rest.split_first()?;
            found.resource.clone_from(resource);
            rest = more;
        }
        if let Some((name, more)) = rest.split_first() {
            found.name.clone_from(name);
            rest = more;
        }
        if let Some((subresource, more)) = rest.split_first() {
            found.subresource.clone_from(subresource);
            found.rest = more.join("/");
        }
        Some(found)
    }

    /// Returns the target of the path; `None` if the server has no resource with this name and scope.
    pub(crate) fn resolve(self, registry: &Registry) -> Option<Target> {
        let resource = registry.find(&self.group, &self.version, &self.resource)?.clone();
        if !self.namespace.is_empty() && !resource.namespaced {
            return None;
        }
        if !self.name.is_empty() && self.namespace.is_empty() && resource.namespaced {
            return None;
        }
        Some(Target { resource, namespace: self.namespace, name: self.name, subresource: self.subresource })
    }
}

/// The resource, object or subresource of a request.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) resource: Arc<Resource>,
    /// Empty if the request is for all namespaces, or the resource is cluster-scoped.
    pub(crate) namespace: String,
    /// Empty for collections.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_path(path: &str, expected: [&str; 6]) {
        let p = Path::parse(path).unwrap();
        assert_eq!([&p.group, &p.version, &p.namespace, &p.resource, &p.name, &p.subresource], expected);
    }

    #[test]
    fn parse_accepts_only_paths_that_name_a_resource() {
        check_path("/api/v1/pods", ["", "v1", "", "pods", "", ""]);
        check_path("/api/v1/namespaces", ["", "v1", "", "namespaces", "", ""]);
        check_path("/api/v1/namespaces/x", ["", "v1", "", "namespaces", "x", ""]);
        check_path("/api/v1/namespaces/x/status", ["", "v1", "", "namespaces", "x", "status"]);
        check_path("/api/v1/namespaces/x/pods/p/log", ["", "v1", "x", "pods", "p", "log"]);
        check_path(
            "/apis/apps/v1/namespaces/x/deployments/d/scale",
            ["apps", "v1", "x", "deployments", "d", "scale"],
        );
        check_path("/apis/a.b/v1/namespaces/x/status", ["a.b", "v1", "x", "status", "", ""]);
        check_path("/api/v1/namespaces/x/pods/a%20b", ["", "v1", "x", "pods", "a b", ""]);
        assert!(Path::parse("/api/v1/watch/pods").unwrap().watch);
        assert_eq!(Path::parse("/version"), None);
        assert_eq!(Path::parse("/apis/apps/v1"), None);
    }
}
