//! The served resources: the built-in resources, and the resources of established CustomResourceDefinitions.

pub(crate) mod crd;
pub(crate) mod fields;
mod metrics;
mod resource;
mod validation;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

pub(crate) use metrics::METRICS_GROUP;
pub(crate) use resource::{Column, Conversion, CustomProperties, Resource, go_package};

use crate::builtin;
use crate::json::has_condition;

/// All built-in resources. All simulations of the process share them.
static BUILT_IN: LazyLock<Vec<Arc<Resource>>> =
    LazyLock::new(|| builtin::resources().iter().map(|r| Arc::new(Resource::of_builtin(r))).collect());

/// An API group. The versions have the order of discovery documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) versions: Vec<String>,
    pub(crate) preferred: String,
}

/// The resources of a served CustomResourceDefinition, and the parts of the definition in which [`Registry::serve`]
/// detects a change.
#[derive(Clone, Debug)]
struct ServedDefinition {
    uid: Value,
    generation: Value,
    names: Value,
    is_terminating: bool,
    /// The [`CustomProperties::revision`] of all `resources`.
    revision: Arc<()>,
    resources: Vec<Arc<Resource>>,
}

/// The routing table, which maps a group, version and plural name to a resource.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    /// The served resources by group, version and plural name.
    by_path: BTreeMap<(String, String, String), Arc<Resource>>,
    /// The served resources of each CustomResourceDefinition, by the name of the definition.
    custom: BTreeMap<String, ServedDefinition>,
    /// The resources of the resource metrics API, if it is served.
    metrics: Vec<Arc<Resource>>,
    /// A counter that increases with each change of the registry. It is the hash in the URLs of OpenAPI 3 documents, so that
    /// clients do not use cached documents after a change.
    change_counter: u64,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let by_path = BUILT_IN
            .iter()
            .map(|r| ((r.group.clone(), r.version.clone(), r.plural.clone()), r.clone()))
            .collect();
        Self { by_path, custom: BTreeMap::new(), metrics: Vec::new(), change_counter: 0 }
    }

    /// Restores the resources of `earlier`. The change counter still increases, so that clients do not use cached OpenAPI 3
    /// documents.
    pub(crate) fn restore(&mut self, earlier: Self) {
        *self = Self { change_counter: self.change_counter + 1, ..earlier };
    }

    /// Serves the resource metrics API.
    pub(crate) fn serve_metrics(&mut self) {
        self.metrics = metrics::resources().into_iter().map(Arc::new).collect();
        for r in &self.metrics {
            self.by_path.insert((r.group.clone(), r.version.clone(), r.plural.clone()), r.clone());
        }
        self.change_counter += 1;
    }

    /// The resource with this group, version and plural name.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The resource that stores objects of the given `apiVersion` and kind.
    pub(crate) fn find_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.all_resources()
            .find(|r| r.api_version == api_version && r.kind == kind && r.is_stored())
            .cloned()
    }

    /// Returns a resource whose objects are in the table `storage`. If several API versions share this table, prefers a
    /// version whose objects need no conversion.
    pub(crate) fn find_by_storage(&self, storage: &str) -> Option<Arc<Resource>> {
        let mut all = self.all_resources().filter(|r| &*r.storage == storage).peekable();
        let first = all.peek().copied();
        all.find(|r| r.conversion == Conversion::None).or(first).cloned()
    }

    /// All served resources, in all versions.
    pub(crate) fn all_resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        BUILT_IN.iter().chain(&self.metrics).chain(self.custom_resources())
    }

    /// The resources of one group version.
    pub(crate) fn resources_of_version(&self, group: &str, version: &str) -> Vec<Arc<Resource>> {
        self.all_resources().filter(|r| r.group == group && r.version == version).cloned().collect()
    }

    /// All groups in the order of discovery: the built-in groups, then the other groups by name. The first is the core
    /// group, whose name is empty.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = builtin::groups()
            .iter()
            .map(|g| Group {
                name: g.name.to_string(),
                versions: g.versions.iter().map(ToString::to_string).collect(),
                preferred: g.preferred.to_string(),
            })
            .collect();
        let mut custom: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in self.metrics.iter().chain(self.custom_resources()) {
            let versions = custom.entry(&resource.group).or_default();
            if !versions.contains(&resource.version.as_str()) {
                versions.push(&resource.version);
            }
        }
        for (name, mut versions) in custom {
            versions.sort_by_key(|v| std::cmp::Reverse(version_order(v)));
            match groups.iter_mut().find(|g| g.name == name) {
                Some(group) => {
                    for version in versions {
                        if !group.versions.iter().any(|v| v == version) {
                            group.versions.push(version.to_owned());
                        }
                    }
                }
                None => groups.push(Group {
                    name: name.to_owned(),
                    preferred: versions[0].to_owned(),
                    versions: versions.into_iter().map(str::to_owned).collect(),
                }),
            }
        }
        groups
    }

    /// The resources of all served CustomResourceDefinitions.
    fn custom_resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.custom.values().flat_map(|served| &served.resources)
    }

    /// Serves the resources of a CustomResourceDefinition instead of the resources that the definition previously
    /// defined. Does nothing if the UID, the generation, the served names and the condition `Terminating` of the
    /// definition are unchanged. Returns true if the definition was already served, and its spec or accepted names have
    /// changed.
    pub(crate) fn serve(&mut self, crd: &Value) -> bool {
        let metadata = &crd["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let names = crd::served_names(crd);
        let is_terminating = has_condition(crd, "Terminating", "True");
        let has_same_revision = |served: &ServedDefinition| {
            served.uid == metadata["uid"]
                && served.generation == metadata["generation"]
                && served.names == *names
        };
        let served = self.custom.get(name);
        let is_unchanged = served.is_some_and(has_same_revision);
        if is_unchanged && served.is_some_and(|served| served.is_terminating == is_terminating) {
            return false;
        }
        let revision =
            served.filter(|_| is_unchanged).map(|served| served.revision.clone()).unwrap_or_default();
        let previous = self.withdraw(name);
        let resources: Vec<_> =
            crd::resources_of(crd, &previous, &revision).into_iter().map(Arc::new).collect();
        for r in &resources {
            self.by_path.insert((r.group.clone(), r.version.clone(), r.plural.clone()), r.clone());
        }
        let (uid, generation) = (metadata["uid"].clone(), metadata["generation"].clone());
        let served =
            ServedDefinition { uid, generation, names: names.clone(), is_terminating, revision, resources };
        self.custom.insert(name.to_owned(), served);
        self.change_counter += 1;
        !previous.is_empty() && !is_unchanged
    }

    /// Whether a built-in resource has the group and the plural name of a CustomResourceDefinition.
    pub(crate) fn overlaps_built_in(crd: &Value) -> bool {
        let (group, plural) = (&crd["spec"]["group"], &crd["spec"]["names"]["plural"]);
        BUILT_IN.iter().any(|r| *group == *r.group && *plural == *r.plural)
    }

    /// Stops serving the resources of the CustomResourceDefinition `name`, and returns these resources.
    pub(crate) fn withdraw(&mut self, name: &str) -> Vec<Arc<Resource>> {
        let withdrawn = self.custom.remove(name).map(|served| served.resources).unwrap_or_default();
        for r in &withdrawn {
            self.by_path.remove(&(r.group.clone(), r.version.clone(), r.plural.clone()));
        }
        self.change_counter += 1;
        withdrawn
    }

    pub(crate) fn change_counter(&self) -> u64 {
        self.change_counter
    }
}

/// A sort key for the Kubernetes order of version names: v2 > v1 > v2beta1 > v1alpha1 > any other name.
fn version_order(version: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else { return other };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let Ok(major) = rest[..digits].parse::<u64>() else { return other };
    let rest = &rest[digits..];
    let level = |prefix: &str| rest.strip_prefix(prefix).and_then(|n| n.parse::<u64>().ok());
    let none = || std::cmp::Reverse(String::new());
    if rest.is_empty() {
        (3, major, 0, none())
    } else if let Some(minor) = level("beta") {
        (2, major, minor, none())
    } else if let Some(minor) = level("alpha") {
        (1, major, minor, none())
    } else {
        other
    }
}
