//! `Snapshot`: the counts and resource versions of the objects in the three stores (reflector, informer, controller).
//! This module sends no requests.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube_client::ResourceExt;
use kube_runtime::reflector::Store;

use super::nodes::not_ready_condition;
use super::site::Site;

/// The resource versions of objects, by namespace and name.
pub(super) type Versions = BTreeMap<(String, String), String>;

/// The three stores, and a summary of their contents at the last call of [`Snapshot::refresh`].
pub(super) struct Snapshot {
    pod_store: Store<Pod>,
    node_store: Store<Node>,
    site_store: Store<Site>,
    /// The number of pods by state.
    pub(super) pods: BTreeMap<&'static str, usize>,
    pub(super) pod_versions: Versions,
    /// The number of pods that were added, changed or deleted between two consecutive snapshots, summed over all
    /// snapshots.
    pub(super) pod_changes: u64,
    pub(super) nodes: usize,
    /// The names of the nodes that are not ready.
    pub(super) broken: Vec<String>,
    pub(super) sites: usize,
    /// The sum of `spec.pages` of all sites.
    pub(super) pages_wanted: u32,
    /// The sum of `status.pages` of all sites.
    pub(super) pages_done: u32,
}

impl Snapshot {
    pub(super) fn new(pod_store: Store<Pod>, node_store: Store<Node>, site_store: Store<Site>) -> Self {
        Self {
            pod_store,
            node_store,
            site_store,
            pods: BTreeMap::new(),
            pod_versions: Versions::new(),
            pod_changes: 0,
            nodes: 0,
            broken: Vec::new(),
            sites: 0,
            pages_wanted: 0,
            pages_done: 0,
        }
    }

    /// Computes the counts and versions from the current contents of the stores.
    pub(super) fn refresh(&mut self) {
        let pods = self.pod_store.state();
        self.pods.clear();
        for pod in &pods {
            *self.pods.entry(pod_state(pod)).or_default() += 1;
        }
        let versions: Versions = pods.iter().map(|pod| key_and_version(&**pod)).collect();
        self.pod_changes += count_changes(&self.pod_versions, &versions);
        self.pod_versions = versions;

        let nodes = self.node_store.state();
        self.nodes = nodes.len();
        self.broken = nodes
            .iter()
            .filter(|node| not_ready_condition(node).is_some())
            .map(|node| node.name_any())
            .collect();
        self.broken.sort();

        let sites = self.site_store.state();
        self.sites = sites.len();
        self.pages_wanted = sites.iter().map(|site| site.spec.pages).sum();
        self.pages_done =
            sites.iter().filter_map(|site| site.status.as_ref()).map(|status| status.pages).sum();
    }

    /// The number of pods in all states.
    pub(super) fn pod_count(&self) -> usize {
        self.pod_versions.len()
    }

    /// The number of pods that are running and ready.
    pub(super) fn running_pod_count(&self) -> usize {
        self.pods.get(RUNNING).copied().unwrap_or_default()
    }

    /// The resource versions of the sites that are in the controller's store now.
    pub(super) fn site_versions(&self) -> Versions {
        self.site_store.state().iter().map(|site| key_and_version(&**site)).collect()
    }

    /// The resource versions of the nodes that are in the informer's store now.
    pub(super) fn node_versions(&self) -> Versions {
        self.node_store.state().iter().map(|node| key_and_version(&**node)).collect()
    }
}

/// The state of a pod that is running and ready.
pub(super) const RUNNING: &str = "running";

/// A short name of the state of a pod.
fn pod_state(pod: &Pod) -> &'static str {
    let status = pod.status.as_ref();
    let ready = status.and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
        conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    match status.and_then(|status| status.phase.as_deref()) {
        _ if pod.metadata.deletion_timestamp.is_some() => "stopping",
        Some("Running") if ready => RUNNING,
        Some("Running") => "not ready",
        Some("Succeeded") => "completed",
        Some("Failed") => "failed",
        _ => "pending",
    }
}

/// The namespace and name of an object, and its resource version.
fn key_and_version(object: &impl ResourceExt) -> ((String, String), String) {
    let key = (object.namespace().unwrap_or_default(), object.name_any());
    (key, object.resource_version().unwrap_or_default())
}

/// The number of objects that were added, changed or deleted between `before` and `now`.
fn count_changes(before: &Versions, now: &Versions) -> u64 {
    let different = now.iter().filter(|(key, version)| before.get(*key) != Some(*version)).count();
    let deleted = before.keys().filter(|key| !now.contains_key(*key)).count();
    u64::try_from(different + deleted).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(of: &[(&str, &str)]) -> Versions {
        of.iter()
            .map(|(name, version)| ((String::new(), (*name).to_owned()), (*version).to_owned()))
            .collect()
    }

    #[test]
    fn added_changed_and_deleted_objects_are_counted() {
        let before = versions(&[("same", "1"), ("changed", "2"), ("deleted", "3")]);
        let now = versions(&[("same", "1"), ("changed", "4"), ("new", "5")]);
        assert_eq!(count_changes(&before, &now), 3);
        assert_eq!(count_changes(&now, &now), 0);
    }

    #[track_caller]
    fn check_state(pod: serde_json::Value, expected: &str) {
        assert_eq!(pod_state(&serde_json::from_value(pod).unwrap()), expected);
    }

    #[test]
    fn the_state_of_a_pod_depends_on_its_phase_readiness_and_deletion() {
        use serde_json::json;
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        check_state(json!({ "metadata": {} }), "pending");
        check_state(json!({ "metadata": {}, "status": { "phase": "Running" } }), "not ready");
        check_state(
            json!({ "metadata": {}, "status": { "phase": "Running", "conditions": ready } }),
            RUNNING,
        );
        check_state(json!({ "metadata": {}, "status": { "phase": "Succeeded" } }), "completed");
        let deleted = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        check_state(json!({ "metadata": deleted, "status": { "phase": "Running" } }), "stopping");
    }
}
