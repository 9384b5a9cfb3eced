//! The controller of replica sets: creates and deletes pods until their number is `spec.replicas`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::{PODS, REPLICA_SETS, is_terminating, number, set_condition};
use super::owned_objects::{self, OwnerKind};
use super::pods::{self, is_active, is_ready};
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, is_deletion, object_of, own_key, requeue};
use crate::status::SimError;
use crate::store::State;
use crate::store::queue::Key;
use crate::store::selector::LabelSelector;
use crate::store::table::Event;

const COMPONENT: &str = "replicaset-controller";

/// The maximum number of pods that one reconcile creates or deletes.
const BURST: usize = 500;

const KIND: OwnerKind = OwnerKind { storage: REPLICA_SETS, api_version: "apps/v1", kind: "ReplicaSet" };

/// The key of a changed replica set; or, for a changed pod, the keys of its owners as in [`OwnerKind::keys_of_owners`].
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        REPLICA_SETS if !is_deletion(event) => own_key(storage, event),
        PODS => KIND.keys_of_owners(state, event),
        _ => Keys::new(),
    }
}

/// Creates or deletes pods, then writes the status.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key) else { return };
    let set = stored.value();
    let pods = KIND.claim_objects(state, &set, PODS);
    let (active, others): (Vec<Value>, Vec<Value>) = pods.into_iter().partition(is_active);
    let terminating = others.iter().filter(|pod| is_terminating(pod)).count();
    let diff = number(&set["spec"]["replicas"]) - i64::try_from(active.len()).unwrap_or(i64::MAX);
    let failure =
        if is_terminating(&set) { None } else { manage_replicas(state, &set, active.clone(), diff) };
    update_status(state, key, &set, &active, terminating, failure.map(|error| (diff, error)));
}

/// Creates the missing pods, or deletes the excess ones. Stops at the first pod that cannot be created, and returns the
/// error.
fn manage_replicas(state: &mut State, set: &Value, mut active: Vec<Value>, missing: i64) -> Option<SimError> {
    let count = usize::try_from(missing.unsigned_abs()).unwrap_or(usize::MAX).min(BURST);
    if missing < 0 {
        pods::sort_for_deletion(&mut active);
        for pod in active.iter().take(count) {
            owned_objects::delete_pod(state, KIND, set, pod, COMPONENT);
        }
        return None;
    }
    let template = owned_objects::pod_from_template(KIND, set, &set["spec"]["template"]);
    (0..count).find_map(|_| owned_objects::create_pod(state, KIND, set, &template, COMPONENT).err())
}

/// Writes the status. `active` are the pods that were active before [`manage_replicas`]. Each pod that `manage_replicas`
/// creates or deletes causes another reconcile, which counts the pods again.
fn update_status(
    state: &mut State,
    key: &Key,
    set: &Value,
    active: &[Value],
    terminating: usize,
    failure: Option<(i64, SimError)>,
) {
    let template =
        LabelSelector::from_json(&json!({"matchLabels": set["spec"]["template"]["metadata"]["labels"]}));
    let labelled = active.iter().filter(|pod| template.matches(&super::objects::labels(pod))).count();
    let ready: Vec<&Value> = active.iter().filter(|pod| is_ready(pod)).collect();
    let (available, next) = pods::count_available(&state.clock, &ready, &set["spec"]);
    let now = state.clock.stamp();
    // Requeue the key, because no event occurs when a ready pod becomes available, or when it is time to retry a creation.
    let retry = failure.as_ref().map(|_| super::RETRY_DELAY);
    if let Some(after) = next.into_iter().chain(retry).min() {
        requeue(state, key, after);
    }
    // `modify` writes the status only if it changes. An error needs no handling: the next reconcile writes the status.
    let _ = writes::modify(state, &key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
        let status = &mut stored["status"];
        for (field, count) in [
            ("replicas", active.len()),
            ("fullyLabeledReplicas", labelled),
            ("readyReplicas", ready.len()),
            ("availableReplicas", available),
            ("terminatingReplicas", terminating),
        ] {
            status[field] = count.into();
        }
        status["observedGeneration"] = set["metadata"]["generation"].clone();
        let has_failed = status["conditions"]
            .as_array()
            .is_some_and(|list| list.iter().any(|condition| condition["type"] == "ReplicaFailure"));
        match failure {
            // Keeps the first message. Each failure has a different message, which contains the generated name of
            // the pod. A new message in the status would cause another reconcile, and thus the next failure.
            Some(_) if has_failed => {}
            Some((missing, error)) => {
                let reason = if missing > 0 { "FailedCreate" } else { "FailedDelete" };
                let condition = json!({
                    "type": "ReplicaFailure", "status": "True", "reason": reason, "message": error.to_string(),
                });
                set_condition(&mut status["conditions"], condition, &now);
            }
            None => {
                if let Some(list) = status["conditions"].as_array_mut() {
                    list.retain(|condition| condition["type"] != "ReplicaFailure");
                }
            }
        }
    });
}
