//! The daemon set controller: runs one pod of each daemon set on each eligible node.

mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::controller_revisions::{REVISION_LABEL, Revisions};
use super::objects::{NODES, PODS, is_terminating, name, number, scaled_value};
use super::owned_objects::{self, OwnerKind};
use super::pods::{Availability, availability, is_finished, is_ready};
use super::scheduler::matches_node;
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, is_deletion, object_of, own_key, requeue};
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

const DAEMON_SETS: &str = "apps/daemonsets";
const COMPONENT: &str = "daemonset-controller";
const KIND: OwnerKind = OwnerKind { storage: DAEMON_SETS, api_version: "apps/v1", kind: "DaemonSet" };

/// Returns the keys of a changed daemon set, and of the daemon sets that own or may adopt a changed pod. If a
/// node is created or deleted, or if its labels or its spec change, returns the keys of all daemon sets.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        DAEMON_SETS if !is_deletion(event) => own_key(storage, event),
        PODS => KIND.keys_of_owners(state, event),
        NODES => {
            let relevant = |node: &Value| json!([node["metadata"]["labels"], node["spec"]]);
            let before = event.previous.as_ref().map(|previous| relevant(&previous.value()));
            if !is_deletion(event) && before == Some(relevant(&event.object.value())) {
                return Keys::new();
            }
            let sets = state.objects(DAEMON_SETS, "");
            let key = |set: Arc<crate::store::object::StoredObject>| {
                ((Arc::from(DAEMON_SETS), set.key.clone()), set.uid.clone(), std::time::Duration::ZERO)
            };
            sets.into_iter().map(key).collect()
        }
        _ => Keys::new(),
    }
}

/// The state of one reconcile: a daemon set, and its pods by node.
struct DaemonSet<'a> {
    state: &'a mut State,
    object: Value,
    revisions: Revisions,
    nodes: Vec<Value>,
    /// The pods of the daemon set, by the name of their node.
    pods_by_node: BTreeMap<String, Vec<Value>>,
}

/// Creates and deletes pods, replaces the pods of old revisions, and writes the status.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key) else { return };
    let object = stored.value();
    let pods = KIND.claim_objects(state, &object, PODS);
    let Some(revisions) = Revisions::sync(state, KIND, &object) else { return };
    let mut pods_by_node = BTreeMap::<String, Vec<Value>>::new();
    for pod in pods {
        pods_by_node.entry(pods::node_of(&pod).to_owned()).or_default().push(pod);
    }
    let nodes = super::objects::list(state, NODES, "");
    let mut set = DaemonSet { state, object, revisions, nodes, pods_by_node };
    if !is_terminating(&set.object) {
        set.manage_pods();
        if set.object["spec"]["updateStrategy"]["type"] == "RollingUpdate" {
            set.update_pods();
        }
    }
    set.write_status(key);
    let live: Vec<String> = set.pods_by_node.values().flatten().map(|pod| set.revision_name(pod)).collect();
    let live: Vec<&str> = live.iter().map(String::as_str).collect();
    set.revisions.delete_old(set.state, &set.object, &live);
}

impl DaemonSet<'_> {
    fn spec(&self) -> &Value {
        &self.object["spec"]
    }

    /// The name of the revision of a pod.
    fn revision_name(&self, pod: &Value) -> String {
        format!("{}-{}", name(&self.object), pods::revision_hash_of(pod))
    }

    fn is_updated(&self, pod: &Value) -> bool {
        self.revision_name(pod) == name(self.revisions.current())
    }

    fn is_available(&self, pod: &Value) -> bool {
        !is_terminating(pod) && availability(&self.state.clock, pod, self.spec()) == Availability::Available
    }

    /// Whether a pod of the daemon set should run on the node: the node matches the node selector and the required
    /// node affinity of the pod, and the pod tolerates the `NoSchedule` and `NoExecute` taints of the node.
    fn is_eligible(&self, node: &Value) -> bool {
        let spec = pods::with_tolerations(&self.spec()["template"]["spec"]);
        matches_node(&spec, node)
            && super::scheduler::tolerates_all(&spec, node, &["NoSchedule", "NoExecute"])
    }

    /// Whether a running pod may stay on the node. Unlike in `is_eligible`, `NoSchedule` taints do not matter.
    fn may_stay_on(&self, node: &Value) -> bool {
        let spec = pods::with_tolerations(&self.spec()["template"]["spec"]);
        matches_node(&spec, node) && super::scheduler::tolerates_all(&spec, node, &["NoExecute"])
    }

    /// Creates the missing pods, and deletes ended, surplus and misplaced ones.
    fn manage_pods(&mut self) {
        let mut doomed = Vec::new();
        let mut missing = Vec::new();
        for node in &self.nodes {
            let pods = self.pods_by_node.get(name(node)).map(Vec::as_slice).unwrap_or_default();
            let live: Vec<&Value> = pods.iter().filter(|pod| !is_terminating(pod)).collect();
            if !self.may_stay_on(node) {
                doomed.extend(live.into_iter().cloned());
                continue;
            }
            let (ended, running): (Vec<&Value>, Vec<&Value>) =
                live.into_iter().partition(|pod| is_finished(pod));
            doomed.extend(ended.iter().map(|pod| (*pod).clone()));
            // A second pod is either a surge pod of an update, or surplus.
            let surge = self.max_surge() > 0;
            let mut by_revision: Vec<&Value> = running;
            by_revision.sort_by_key(|pod| (self.is_updated(pod), name(pod).to_owned()));
            let allowed = if surge && by_revision.iter().any(|pod| !self.is_updated(pod)) { 2 } else { 1 };
            doomed.extend(by_revision.iter().skip(allowed).map(|pod| (*pod).clone()));
            let waits = pods.iter().any(is_terminating) && !surge;
            if by_revision.is_empty() && ended.is_empty() && !waits && self.is_eligible(node) {
                missing.push(name(node).to_owned());
            }
        }
        for pod in doomed {
            owned_objects::delete_pod(self.state, KIND, &self.object, &pod, COMPONENT);
        }
        for node in missing {
            self.create_pod_on(&node);
        }
        self.reload_pods();
    }

    fn max_surge(&self) -> i64 {
        let update = &self.spec()["updateStrategy"]["rollingUpdate"]["maxSurge"];
        scaled_value(update, i64::try_from(self.nodes.len()).unwrap_or(i64::MAX), true)
    }

    /// Replaces pods of old revisions, within `maxUnavailable` or `maxSurge`.
    fn update_pods(&mut self) {
        let desired: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| self.is_eligible(node))
            .map(|node| name(node).to_owned())
            .collect();
        let total = i64::try_from(desired.len()).unwrap_or(i64::MAX);
        let update = &self.spec()["updateStrategy"]["rollingUpdate"];
        let surge = scaled_value(&update["maxSurge"], total, true);
        let mut budget = scaled_value(&update["maxUnavailable"], total, true);
        let mut doomed = Vec::new();
        let mut surging = Vec::new();
        let mut surged = 0;
        for node in &desired {
            let live: Vec<&Value> = self
                .pods_by_node
                .get(node)
                .into_iter()
                .flatten()
                .filter(|pod| !is_terminating(pod))
                .collect();
            let old = live.iter().find(|pod| !self.is_updated(pod));
            let new = live.iter().find(|pod| self.is_updated(pod));
            match (old, new) {
                // The new pod is available, so the old pod is deleted.
                (Some(old), Some(new)) if self.is_available(new) => doomed.push((*old).clone()),
                (Some(_), Some(_)) => surged += 1,
                (Some(old), None) if surge > 0 => {
                    // An available old pod runs until the new pod is available. An unavailable old pod is
                    // deleted as soon as the new pod is created.
                    surging.push((node.clone(), (!self.is_available(old)).then(|| (*old).clone())));
                }
                (Some(old), None) if !self.is_available(old) => doomed.push((*old).clone()),
                (None, new) if !new.is_some_and(|pod| self.is_available(pod)) => budget -= 1,
                _ => {}
            }
        }
        if surge == 0 {
            let candidates = desired.iter().filter_map(|node| {
                let live =
                    self.pods_by_node.get(node).into_iter().flatten().filter(|pod| !is_terminating(pod));
                live.into_iter().find(|pod| !self.is_updated(pod) && self.is_available(pod))
            });
            let allowed = usize::try_from(budget - i64::try_from(doomed.len()).unwrap_or(0)).unwrap_or(0);
            let more: Vec<Value> = candidates.take(allowed).cloned().collect();
            doomed.extend(more);
        }
        let room = usize::try_from(surge - surged).unwrap_or(0);
        for (node, unavailable) in surging.into_iter().take(room) {
            self.create_pod_on(&node);
            doomed.extend(unavailable);
        }
        for pod in doomed {
            owned_objects::delete_pod(self.state, KIND, &self.object, &pod, COMPONENT);
        }
        self.reload_pods();
    }

    /// Reads the pods of the daemon set again after changes.
    fn reload_pods(&mut self) {
        self.pods_by_node.clear();
        for pod in owned_objects::controlled_objects(self.state, &self.object, PODS) {
            self.pods_by_node.entry(pods::node_of(&pod).to_owned()).or_default().push(pod);
        }
    }

    fn write_status(&mut self, key: &Key) {
        let mut counts = [0_i64; 6];
        let [desired, current, misplaced, ready, available, updated] = &mut counts;
        let mut all = Vec::new();
        for node in &self.nodes {
            let pods = self.pods_by_node.get(name(node)).map(Vec::as_slice).unwrap_or_default();
            let live: Vec<&Value> =
                pods.iter().filter(|pod| !is_terminating(pod) && !is_finished(pod)).collect();
            if !self.is_eligible(node) {
                *misplaced += i64::from(!live.is_empty());
                continue;
            }
            *desired += 1;
            // A node can have an old pod and its surge pod. The node counts as updated if one of its pods is updated.
            let Some(pod) = live.iter().max_by_key(|pod| self.is_updated(pod)) else { continue };
            *current += 1;
            *ready += i64::from(live.iter().any(|pod| is_ready(pod)));
            *available += i64::from(live.iter().any(|pod| self.is_available(pod)));
            *updated += i64::from(self.is_updated(pod));
            all.push((*pod).clone());
        }
        let (_, next) =
            super::pods::count_available(&self.state.clock, &all.iter().collect::<Vec<_>>(), self.spec());
        if let Some(after) = next {
            requeue(self.state, key, after);
        }
        let [desired, current, misplaced, ready, available, updated] = counts;
        let mut status = json!({
            "currentNumberScheduled": current, "numberMisscheduled": misplaced, "desiredNumberScheduled": desired,
            "numberReady": ready, "observedGeneration": self.object["metadata"]["generation"],
        });
        for (field, count) in [
            ("updatedNumberScheduled", updated),
            ("numberAvailable", available),
            ("numberUnavailable", desired - available),
            ("collisionCount", number(&self.object["status"]["collisionCount"])),
        ] {
            if count > 0 {
                status[field] = count.into();
            }
        }
        // An error needs no handling: the next change of a pod writes the status.
        let _ = writes::modify(self.state, &key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
            stored["status"] = status;
        });
    }
}

/// The pod label that contains the hash of the pod's revision. The name of the `ControllerRevision` ends with this hash.
const HASH_LABEL: &str = REVISION_LABEL;
