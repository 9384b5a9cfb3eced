//! The controller of stateful sets: creates pods in the order of their ordinals, and deletes excess and outdated pods in
//! the reverse order. Each pod has a stable name and stable volume claims. The controller creates the volume claims, but
//! never deletes them.

mod pods;

use std::sync::Arc;

use serde_json::{Value, json};

use super::controller_revisions::{REVISION_LABEL, Revisions};
use super::objects::{PODS, is_terminating, name, number, scaled_value};
use super::owned_objects::{self, OwnerKind};
use super::pods::{Availability, availability, is_finished, is_ready, phase};
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, is_deletion, object_of, own_key, requeue};
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

const STATEFUL_SETS: &str = "apps/statefulsets";
const COMPONENT: &str = "statefulset-controller";
/// A reconcile stops creating and deleting pods when more than this number of pods are not available. The pods that the
/// reconcile has created count too.
const BURST: usize = 500;

const KIND: OwnerKind = OwnerKind { storage: STATEFUL_SETS, api_version: "apps/v1", kind: "StatefulSet" };

/// The key of a changed stateful set; or, for a changed pod, the keys of its owners as in [`OwnerKind::keys_of_owners`].
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        STATEFUL_SETS if !is_deletion(event) => own_key(storage, event),
        PODS => KIND.keys_of_owners(state, event),
        _ => Keys::new(),
    }
}

/// The state of one reconcile: a stateful set with its pods.
struct StatefulSet<'a> {
    state: &'a mut State,
    object: Value,
    revisions: Revisions,
    /// The name of the revision before the current rollout.
    old_revision: String,
    pods: Vec<Value>,
}

/// Creates, deletes and replaces pods, writes the status, and deletes old revisions.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key) else { return };
    let object = stored.value();
    let pods = KIND.claim_objects(state, &object, PODS);
    let Some(revisions) = Revisions::sync(state, KIND, &object) else { return };
    let recorded = object["status"]["currentRevision"].as_str().filter(|name| revisions.find(name).is_some());
    let old_revision = recorded.unwrap_or(name(revisions.current())).to_owned();
    let mut set = StatefulSet { state, object, revisions, old_revision, pods };
    if !is_terminating(&set.object) {
        set.sync();
    }
    set.write_status(key);
    let live: Vec<String> = set.pods.iter().map(|pod| revision_of(pod).to_owned()).collect();
    let mut live: Vec<&str> = live.iter().map(String::as_str).collect();
    live.push(&set.old_revision);
    set.revisions.delete_old(set.state, &set.object, &live);
}

impl StatefulSet<'_> {
    fn spec(&self) -> &Value {
        &self.object["spec"]
    }

    fn replicas(&self) -> i64 {
        number(&self.spec()["replicas"])
    }

    fn first_ordinal(&self) -> i64 {
        number(&self.spec()["ordinals"]["start"])
    }

    /// Whether the stateful set creates pods one at a time, and also deletes pods one at a time when it is scaled down.
    fn is_ordered(&self) -> bool {
        self.spec()["podManagementPolicy"] != "Parallel"
    }

    fn is_available(&self, pod: &Value) -> bool {
        let available = availability(&self.state.clock, pod, self.spec()) == Availability::Available;
        phase(pod) == "Running" && available && !is_terminating(pod)
    }

    /// Creates the missing pods, and deletes the pods whose ordinals are not in the range of the replicas. Also deletes
    /// ended pods and, with the update strategy `RollingUpdate`, pods of old revisions: a later reconcile creates these pods
    /// again. With ordered pod management, returns as soon as the next step must wait for a pod.
    fn sync(&mut self) {
        let ordered = self.is_ordered();
        let mut waiting = 0;
        for ordinal in self.first_ordinal()..self.first_ordinal() + self.replicas() {
            waiting += usize::from(self.ensure_pod(ordinal));
            if (waiting > 0 && ordered) || waiting > BURST {
                return;
            }
        }
        let range = self.first_ordinal()..self.first_ordinal() + self.replicas();
        let mut condemned: Vec<Value> = self
            .pods
            .iter()
            .filter(|pod| ordinal_of(&self.object, pod).is_some_and(|o| !range.contains(&o)))
            .cloned()
            .collect();
        condemned.sort_by_key(|pod| -ordinal_of(&self.object, pod).unwrap_or(0));
        for pod in &condemned {
            if !is_terminating(pod) {
                self.delete_pod(pod);
            }
            if ordered {
                return;
            }
        }
        if self.spec()["updateStrategy"]["type"] == "RollingUpdate" {
            self.update_pods();
        }
    }

    /// Creates the pod with this ordinal if it is missing. Deletes the pod if it has ended: a later reconcile creates it
    /// again. Returns true if the pod is not available yet. With ordered pod management, [`Self::sync`] then creates no
    /// pods with larger ordinals.
    fn ensure_pod(&mut self, ordinal: i64) -> bool {
        let found = self.pods.iter().find(|pod| ordinal_of(&self.object, pod) == Some(ordinal)).cloned();
        match found {
            None => {
                self.create_pod(ordinal);
                true
            }
            Some(pod) if is_finished(&pod) => {
                if !is_terminating(&pod) {
                    self.delete_pod(&pod);
                }
                true
            }
            Some(pod) => !self.is_available(&pod),
        }
    }

    /// Deletes the pods that have an old revision, from the largest ordinal down to `partition`. Stops before an
    /// available pod if its deletion would make more than `maxUnavailable` pods unavailable.
    fn update_pods(&mut self) {
        let update = &self.spec()["updateStrategy"]["rollingUpdate"];
        let partition = number(&update["partition"]).max(self.first_ordinal());
        let limit = match &update["maxUnavailable"] {
            Value::Null => 1,
            limit => scaled_value(limit, self.replicas(), true).max(1),
        };
        let unavailable = self.pods.iter().filter(|pod| !self.is_available(pod)).count();
        let mut budget = limit - i64::try_from(unavailable).unwrap_or(i64::MAX);
        let mut outdated: Vec<Value> = self
            .pods
            .iter()
            .filter(|pod| revision_of(pod) != name(self.revisions.current()) && !is_terminating(pod))
            .filter(|pod| ordinal_of(&self.object, pod).is_some_and(|ordinal| ordinal >= partition))
            .cloned()
            .collect();
        outdated.sort_by_key(|pod| -ordinal_of(&self.object, pod).unwrap_or(0));
        for pod in outdated {
            // The limit does not apply to a pod that is already unavailable.
            if budget <= 0 && self.is_available(&pod) {
                return;
            }
            if self.is_available(&pod) {
                budget -= 1;
            }
            self.delete_pod(&pod);
        }
    }

    fn delete_pod(&mut self, pod: &Value) {
        let involved = KIND.involved_object(&self.object);
        writes::delete(self.state, &super::objects::storage_key_in(PODS, pod));
        let message = format!("Delete Pod {} in StatefulSet {} successful", name(pod), name(&self.object));
        super::events::record_normal(self.state, COMPONENT, &involved, "SuccessfulDelete", &message);
    }

    fn write_status(&mut self, key: &Key) {
        let pods = owned_objects::controlled_objects(self.state, &self.object, PODS);
        let running: Vec<&Value> =
            pods.iter().filter(|pod| phase(pod) == "Running" && is_ready(pod)).collect();
        let (available, next) = super::pods::count_available(&self.state.clock, &running, self.spec());
        let with_revision = |wanted: &str| {
            pods.iter().filter(|pod| !is_terminating(pod) && revision_of(pod) == wanted).count()
        };
        let update = name(self.revisions.current()).to_owned();
        let updated = with_revision(&update);
        let ready = running.len();
        let replicas = usize::try_from(self.replicas()).unwrap_or(0);
        let is_rolling = self.spec()["updateStrategy"]["type"] == "RollingUpdate";
        let partition = number(&self.spec()["updateStrategy"]["rollingUpdate"]["partition"]);
        let is_done = is_rolling
            && partition == 0
            && updated == replicas
            && ready == replicas
            && pods.len() == replicas;
        if is_done {
            self.old_revision.clone_from(&update);
        }
        let mut status = json!({
            "observedGeneration": self.object["metadata"]["generation"],
            "collisionCount": number(&self.object["status"]["collisionCount"]),
            "currentRevision": self.old_revision,
            "updateRevision": update,
            "replicas": pods.len(),
            "availableReplicas": available,
        });
        for (field, count) in [
            ("readyReplicas", ready),
            ("currentReplicas", with_revision(&self.old_revision)),
            ("updatedReplicas", updated),
        ] {
            if count > 0 {
                status[field] = count.into();
            }
        }
        let conditions = &self.object["status"]["conditions"];
        if conditions.is_array() {
            status["conditions"] = conditions.clone();
        }
        if let Some(after) = next {
            requeue(self.state, key, after);
        }
        // An error needs no handling: the next change of a pod causes another reconcile.
        let _ = writes::modify(self.state, &key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
            stored["status"] = status;
        });
    }
}

/// The name of the revision of a pod, from the label [`REVISION_LABEL`]; empty if the pod does not have the label.
fn revision_of(pod: &Value) -> &str {
    pod["metadata"]["labels"][REVISION_LABEL].as_str().unwrap_or_default()
}

/// The ordinal of a pod: the number after the name of `set` in the name of the pod. `None` if the name of the pod has
/// another form.
fn ordinal_of(set: &Value, pod: &Value) -> Option<i64> {
    name(pod).strip_prefix(name(set))?.strip_prefix('-')?.parse().ok()
}
