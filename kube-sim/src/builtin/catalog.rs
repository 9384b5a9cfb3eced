//! The built-in resources of an API server, with the properties that its discovery documents contain.
//!
//! This module owns the parsing of `data/resources.jsonl`. This module must not depend on the handling of requests.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use crate::schema::Schema;

/// The resources in JSON, one in each line, as `cargo xtask record` writes them.
static RECORDED_RESOURCES: &str = include_str!("data/resources.jsonl");

/// Whether the objects of a resource have a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Objects have no namespace.
    Cluster,
    /// Every object has a namespace.
    Namespaced,
}

/// One resource in one group version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    /// The API group; empty for the core group.
    pub(crate) group: &'static str,
    /// The version within the group.
    pub(crate) version: &'static str,
    /// The kind of the objects.
    pub(crate) kind: &'static str,
    /// The kind of the list of objects; empty if the resource cannot be listed.
    pub(crate) list_kind: &'static str,
    /// The plural name, used in URLs.
    pub(crate) plural: &'static str,
    /// The singular name, such as `pod`.
    pub(crate) singular: &'static str,
    namespaced: bool,
    /// The abbreviations that kubectl accepts instead of the plural name, such as `po`.
    pub(crate) short_names: Vec<&'static str>,
    /// The categories to which the resource belongs, such as `all` (for `kubectl get all`).
    pub(crate) categories: Vec<&'static str>,
    /// The supported RBAC verbs, such as `list`.
    pub(crate) verbs: Vec<&'static str>,
    pub(crate) subresources: Vec<Subresource>,
    /// The storage version hash in discovery; empty if the resource is not stored.
    pub(crate) storage_version_hash: &'static str,
    /// Whether this version is the preferred version of the group.
    preferred: bool,
    /// The `apiVersion` of the stored objects; empty if it equals the `apiVersion` of the resource.
    storage: &'static str,
    /// The name of the OpenAPI component that is the schema of the objects.
    schema: &'static str,
}

/// One subresource of a resource.
#[derive(Debug, Deserialize)]
pub(crate) struct Subresource {
    /// The last segment of the URL, such as `status`.
    pub(crate) name: &'static str,
    /// The group of the kind; empty for the core group.
    pub(crate) group: &'static str,
    /// The version of the kind.
    pub(crate) version: &'static str,
    /// The kind of the subresource in discovery documents, such as `Scale`.
    pub(crate) kind: &'static str,
    /// The supported RBAC verbs, such as `get`.
    pub(crate) verbs: Vec<&'static str>,
}

/// An API group.
#[derive(Debug)]
pub(crate) struct Group {
    /// The group's name; empty for the core group.
    pub(crate) name: &'static str,
    /// The preferred version.
    pub(crate) preferred: &'static str,
    /// All versions; the preferred version is the first.
    pub(crate) versions: Vec<&'static str>,
}

/// All resources and API groups.
struct Catalog {
    resources: Vec<Resource>,
    groups: Vec<Group>,
}

/// The parsed [`RECORDED_RESOURCES`].
static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::parse);

impl Catalog {
    #[expect(clippy::expect_used, reason = "the data is compiled in, and every test reads it")]
    fn parse() -> Self {
        let mut resources = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        for line in RECORDED_RESOURCES.lines() {
            let resource: Resource =
                serde_json::from_str(line).expect("the recorded resources are what `xtask record` writes");
            match groups.iter_mut().find(|group| group.name == resource.group) {
                None => groups.push(Group {
                    name: resource.group,
                    preferred: resource.version,
                    versions: vec![resource.version],
                }),
                Some(group) => {
                    if !group.versions.contains(&resource.version) {
                        group.versions.push(resource.version);
                    }
                    if resource.preferred {
                        group.preferred = resource.version;
                    }
                }
            }
            resources.push(resource);
        }
        Self { resources, groups }
    }
}

/// All resources in the order of discovery. The first access to the catalog parses it, in less than a millisecond.
pub(crate) fn resources() -> &'static [Resource] {
    &CATALOG.resources
}

/// The resource with the given group, version and plural name.
#[cfg(test)]
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
    let wanted = |resource: &&Resource| {
        resource.plural == plural && resource.version == version && resource.group == group
    };
    resources().iter().find(wanted)
}

/// The API groups in the order of discovery.
pub(crate) fn groups() -> &'static [Group] {
    &CATALOG.groups
}

impl Resource {
    /// The `apiVersion` of the objects: `apps/v1`, or `v1` in the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        if self.namespaced { Scope::Namespaced } else { Scope::Cluster }
    }

    /// The `apiVersion` of the stored objects. Two resources of one kind with the same storage version serve the same
    /// objects.
    pub(crate) fn storage_api_version(&self) -> String {
        if self.storage.is_empty() { self.api_version() } else { self.storage.to_owned() }
    }

    /// The schema of the objects.
    pub(crate) fn schema(&self) -> Option<Arc<Schema>> {
        super::schema(self.schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_contains_the_built_in_resources() {
        let deployments = find("apps", "v1", "deployments").unwrap();
        assert_eq!(deployments.kind, "Deployment");
        assert_eq!(deployments.list_kind, "DeploymentList");
        assert_eq!(deployments.scope(), Scope::Namespaced);
        assert_eq!(deployments.short_names, ["deploy"]);
        assert_eq!(deployments.categories, ["all"]);
        assert!(deployments.verbs.contains(&"deletecollection"));
        let scale = deployments.subresources.iter().find(|sub| sub.name == "scale").unwrap();
        assert_eq!((scale.group, scale.version, scale.kind), ("autoscaling", "v1", "Scale"));
        assert_eq!(find("", "v1", "nodes").unwrap().scope(), Scope::Cluster);
        assert!(find("apps", "v1beta1", "deployments").is_none());
    }

    #[test]
    fn two_group_versions_may_serve_the_same_objects() {
        let core = find("", "v1", "events").unwrap();
        let own = find("events.k8s.io", "v1", "events").unwrap();
        assert_eq!(core.storage_api_version(), own.storage_api_version());
        let first = find("autoscaling", "v1", "horizontalpodautoscalers").unwrap();
        assert_eq!(first.storage_api_version(), "autoscaling/v2");
        assert_eq!(find("", "v1", "pods").unwrap().storage_api_version(), "v1");
    }

    #[test]
    fn groups_have_a_preferred_version() {
        let autoscaling = groups().iter().find(|group| group.name == "autoscaling").unwrap();
        assert_eq!((autoscaling.preferred, autoscaling.versions.as_slice()), ("v2", ["v2", "v1"].as_slice()));
        assert_eq!(groups()[0].name, "");
    }

    #[test]
    fn every_listable_resource_has_a_schema_and_a_list_kind() {
        for resource in resources() {
            if resource.verbs.contains(&"list") {
                assert!(resource.schema().is_some(), "{}", resource.plural);
                assert_eq!(resource.list_kind, format!("{}List", resource.kind));
            }
        }
    }
}
