//! Checks that `data/objects.yaml` has a sample of each resource that the real API server stores.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::endpoint::{Call, Endpoint};

/// The media type of an aggregated discovery document.
const DISCOVERY_MEDIA_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The resources that need no sample, because a create request stores no object: a review is answered in the response,
/// and a `Binding` changes a pod.
const UNSTORED_RESOURCES: [&str; 7] = [
    "/bindings",
    "authentication.k8s.io/selfsubjectreviews",
    "authentication.k8s.io/tokenreviews",
    "authorization.k8s.io/localsubjectaccessreviews",
    "authorization.k8s.io/selfsubjectaccessreviews",
    "authorization.k8s.io/selfsubjectrulesreviews",
    "authorization.k8s.io/subjectaccessreviews",
];

/// Checks that each resource that supports the verb `create` has a sample, except the resources in
/// [`UNSTORED_RESOURCES`]. `collection_paths` contains the path of each sample's collection.
///
/// # Errors
/// When a resource has no sample, or the server does not respond with a discovery document.
pub(crate) async fn check(real: &Endpoint, collection_paths: &BTreeSet<String>) -> anyhow::Result<()> {
    let sampled: BTreeSet<String> = collection_paths.iter().filter_map(|path| resource_of(path)).collect();
    let mut missing = Vec::new();
    for path in ["/api", "/apis"] {
        let mut call = Call::get(path);
        call.headers.push(("accept".to_owned(), DISCOVERY_MEDIA_TYPE.to_owned()));
        let document = real.send(&call).await?.body;
        let creatable =
            creatable_resources(&document).with_context(|| format!("{path} is no discovery document"))?;
        let needed = creatable.into_iter().filter(|name| !UNSTORED_RESOURCES.contains(&name.as_str()));
        missing.extend(needed.filter(|name| !sampled.contains(name)));
    }
    ensure!(missing.is_empty(), "data/objects.yaml has no sample of {}", missing.join(", "));
    Ok(())
}

/// The group and the resource in the path of a collection, in the format `apps/deployments`. The core group is the empty
/// string.
fn resource_of(path: &str) -> Option<String> {
    let mut segments = path.split('/').skip(1);
    let group = if segments.next()? == "apis" { segments.next()? } else { "" };
    Some(format!("{group}/{}", segments.last()?))
}

/// The resources that support the verb `create`, according to a discovery document. Each name has the format of
/// [`resource_of`]. `None` if `document` is no discovery document.
fn creatable_resources(document: &Value) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for group in document["items"].as_array()? {
        let group_name = group["metadata"]["name"].as_str().unwrap_or_default();
        for version in group["versions"].as_array()? {
            for resource in version["resources"].as_array()? {
                if resource["verbs"].as_array()?.iter().any(|verb| verb == "create") {
                    names.insert(format!("{group_name}/{}", resource["resource"].as_str()?));
                }
            }
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_resource_of_a_path_has_its_group_but_no_version_or_namespace() {
        assert_eq!(resource_of("/api/v1/namespaces").as_deref(), Some("/namespaces"));
        assert_eq!(resource_of("/api/v1/namespaces/$NS/pods").as_deref(), Some("/pods"));
        assert_eq!(
            resource_of("/apis/apps/v1/namespaces/$NS/deployments").as_deref(),
            Some("apps/deployments")
        );
        assert_eq!(
            resource_of("/apis/node.k8s.io/v1/runtimeclasses").as_deref(),
            Some("node.k8s.io/runtimeclasses")
        );
    }

    #[test]
    fn only_resources_with_the_verb_create_are_creatable() {
        let resource = |name: &str, verb: &str| json!({"resource": name, "verbs": ["get", verb]});
        let document = json!({"items": [
            {"metadata": {"name": "a"}, "versions": [
                {"version": "v1", "resources": [resource("x", "create"), resource("y", "list")]},
                {"version": "v2", "resources": [resource("x", "create")]},
            ]},
            {"metadata": {}, "versions": [{"version": "v1", "resources": [resource("pods", "create")]}]},
        ]});
        assert_eq!(
            creatable_resources(&document),
            Some(BTreeSet::from(["/pods".to_owned(), "a/x".to_owned()]))
        );
        assert_eq!(creatable_resources(&json!({"kind": "Status"})), None);
    }
}
