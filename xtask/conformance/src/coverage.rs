//! Checks that `data/objects.yaml` has a sample of each resource that the real API server stores.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::endpoint::{Call, Endpoint};

/// The media type of an aggregated discovery document.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The resources that need no sample: a create stores no object. The server answers a review in the response, and a
/// `Binding` changes a pod.
const NOT_STORED: [&str; 7] = [
    "/bindings",
    "authentication.k8s.io/selfsubjectreviews",
    "authentication.k8s.io/tokenreviews",
    "authorization.k8s.io/localsubjectaccessreviews",
    "authorization.k8s.io/selfsubjectaccessreviews",
    "authorization.k8s.io/selfsubjectrulesreviews",
    "authorization.k8s.io/subjectaccessreviews",
];

/// Checks that each resource that accepts a create has a sample, except those in [`NOT_STORED`]. `collections` are the
/// paths of the samples.
///
/// # Errors
/// When a resource has no sample, or the server does not respond with a discovery document.
pub(crate) async fn check(real: &Endpoint, collections: &BTreeSet<String>) -> anyhow::Result<()> {
    let sampled: BTreeSet<String> = collections.iter().filter_map(|path| resource_of(path)).collect();
    let mut missing = Vec::new();
    for path in ["/api", "/apis"] {
        let mut call = Call::get(path);
        call.headers.push(("accept".to_owned(), AGGREGATED.to_owned()));
        let document = real.send(&call).await?.body;
        let created = created(&document).with_context(|| format!("{path} is no discovery document"))?;
        let needed = created.into_iter().filter(|name| !NOT_STORED.contains(&name.as_str()));
        missing.extend(needed.filter(|name| !sampled.contains(name)));
    }
    ensure!(missing.is_empty(), "data/objects.yaml has no sample of {}", missing.join(", "));
    Ok(())
}

/// The group and the resource of a collection, such as `apps/deployments`. The core group is the empty string.
fn resource_of(path: &str) -> Option<String> {
    let mut segments = path.split('/').skip(1);
    let group = if segments.next()? == "apis" { segments.next()? } else { "" };
    Some(format!("{group}/{}", segments.last()?))
}

/// The resources of a discovery document that accept a create, in the form of [`resource_of`]. `None` if the document
/// has another form.
fn created(document: &Value) -> Option<BTreeSet<String>> {
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
    fn a_collection_has_a_group_and_a_resource() {
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
    fn only_resources_with_the_verb_create_are_needed() {
        let resource = |name: &str, verb: &str| json!({"resource": name, "verbs": ["get", verb]});
        let document = json!({"items": [
            {"metadata": {"name": "a"}, "versions": [
                {"version": "v1", "resources": [resource("x", "create"), resource("y", "list")]},
                {"version": "v2", "resources": [resource("x", "create")]},
            ]},
            {"metadata": {}, "versions": [{"version": "v1", "resources": [resource("pods", "create")]}]},
        ]});
        assert_eq!(created(&document), Some(BTreeSet::from(["/pods".to_owned(), "a/x".to_owned()])));
        assert_eq!(created(&json!({"kind": "Status"})), None);
    }
}
