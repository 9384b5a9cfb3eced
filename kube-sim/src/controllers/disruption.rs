//! The disruption controller: counts the healthy pods of each PodDisruptionBudget, so that evictions respect the
//! budget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::objects::{
    PODS, controller_of, find, is_terminating, name, namespace, number, remaining_time, scaled_value,
    set_condition, time, uid,
};
use super::owned_objects::{keys_of_objects_that_select, selected_pods};
use super::pods::is_ready;
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, events, is_deletion, object_of, own_key, requeue};
use crate::registry::Resource;
use crate::store::State;
use crate::store::object::StoredObject;
use crate::store::queue::Key;
use crate::store::selector::LabelSelector;
use crate::store::table::Event;

const BUDGETS: &str = "policy/poddisruptionbudgets";
const COMPONENT: &str = "controllermanager";

/// The time after which an evicted pod that has not been deleted counts as healthy again.
const DELETION_TIMEOUT: Duration = Duration::from_secs(120);

/// The tables of built-in kinds with `spec.replicas`. A change of this field changes the expected number of pods.
const SCALABLE_TABLES: [&str; 4] =
    ["apps/deployments", "apps/replicasets", "apps/statefulsets", "/replicationcontrollers"];

/// Returns the keys of a changed budget, and of the budgets that select a changed pod. If the number of replicas of a
/// workload or a custom resource changes, returns the keys of all budgets in its namespace.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        BUDGETS if !is_deletion(event) => own_key(storage, event),
        PODS => keys_of_objects_that_select(state, BUDGETS, event, selector),
        other => {
            let budgets = state.objects(BUDGETS, event.object.namespace());
            if budgets.is_empty() || !is_change_of_replicas(state, other, event) {
                return Keys::new();
            }
            let key = |budget: Arc<StoredObject>| {
                ((Arc::from(BUDGETS), budget.key.clone()), budget.uid.clone(), Duration::ZERO)
            };
            budgets.into_iter().map(key).collect()
        }
    }
}

/// Whether the event changes the replicas of a workload or of a custom resource with the subresource `scale`.
fn is_change_of_replicas(state: &State, storage: &str, event: &Event) -> bool {
    let is_scaled = |resource: &Arc<Resource>| {
        SCALABLE_TABLES.contains(&storage)
            || resource.custom_properties().is_some_and(|custom| custom.scale.is_some())
    };
    state.registry.find_by_storage(storage).filter(is_scaled).is_some_and(|resource| {
        let before = event.previous.as_ref().map(|previous| replicas(&resource, &previous.value()));
        before != Some(replicas(&resource, &event.object.value()))
    })
}

/// The wanted number of replicas of a workload or a custom resource.
fn replicas(resource: &Resource, object: &Value) -> Option<i64> {
    match resource.custom_properties().and_then(|custom| custom.scale.as_ref()) {
        Some(scale) => scale.replicas.iter().try_fold(object, |value, field| value.get(field))?.as_i64(),
        None => object["spec"]["replicas"].as_i64(),
    }
}

/// The selector of a budget. A budget without a selector selects no pods; an empty selector selects all.
fn selector(budget: &Value) -> Option<LabelSelector> {
    let selector = &budget["spec"]["selector"];
    selector.is_object().then(|| LabelSelector::from_json(selector))
}

/// Writes the status of a budget.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key) else { return };
    let budget = stored.value();
    let pods = selector(&budget)
        .map(|selector| selected_pods(state, namespace(&budget), &selector))
        .unwrap_or_default();
    if pods.is_empty() {
        events::record_normal(
            state,
            COMPONENT,
            &involved_object(&budget),
            "NoPods",
            "No matching pods found",
        );
    }
    let (expected, desired) = expected_and_desired_pods(state, &budget, &pods);
    let (disrupted, recheck) = disrupted_pods(state, &budget, &pods);
    if let Some(after) = recheck {
        requeue(state, key, after);
    }
    let is_healthy =
        |pod: &&Value| !is_terminating(pod) && disrupted.get(name(pod)).is_none() && is_ready(pod);
    let healthy = i64::try_from(pods.iter().filter(is_healthy).count()).unwrap_or(i64::MAX);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let now = state.clock.stamp();
    // An error needs no handling: the next change of a pod writes the status.
    let _ = writes::modify(state, &key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
        let generation = stored["metadata"]["generation"].clone();
        let status = &mut stored["status"];
        for (field, count) in [
            ("currentHealthy", healthy),
            ("desiredHealthy", desired),
            ("expectedPods", expected),
            ("disruptionsAllowed", allowed),
        ] {
            status[field] = count.into();
        }
        status["observedGeneration"] = generation.clone();
        status["disruptedPods"] = disrupted.into();
        let (value, reason) =
            if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        let condition = json!({
            "type": "DisruptionAllowed", "status": value, "reason": reason, "message": "",
            "observedGeneration": generation,
        });
        set_condition(&mut status["conditions"], condition, &now);
    });
}

/// The expected number of pods, and the number of pods that must be healthy.
fn expected_and_desired_pods(state: &mut State, budget: &Value, pods: &[Value]) -> (i64, i64) {
    let spec = &budget["spec"];
    if !spec["maxUnavailable"].is_null() {
        let expected = expected_scale(state, budget, pods);
        return (expected, (expected - scaled_value(&spec["maxUnavailable"], expected, true)).max(0));
    }
    match &spec["minAvailable"] {
        Value::String(_) => {
            let expected = expected_scale(state, budget, pods);
            (expected, scaled_value(&spec["minAvailable"], expected, true))
        }
        count => (i64::try_from(pods.len()).unwrap_or(i64::MAX), number(count)),
    }
}

/// Adds up the replicas of the controllers that own the pods. Creates an Event if a pod has no controller with replicas.
fn expected_scale(state: &mut State, budget: &Value, pods: &[Value]) -> i64 {
    let mut scales = BTreeMap::<String, i64>::new();
    let mut unmanaged = false;
    for pod in pods {
        match controller_of(pod).and_then(|owner| scale_of(state, owner, namespace(pod))) {
            Some((owner, scale)) => {
                scales.insert(owner, scale);
            }
            None => unmanaged = true,
        }
    }
    if unmanaged {
        let selector = LabelSelector::from_json(&budget["spec"]["selector"]);
        let message = format!(
            "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, \
             the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
             for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
        );
        events::record_warning(state, COMPONENT, &involved_object(budget), "UnmanagedPods", &message);
    }
    scales.values().sum()
}

/// Returns the uid and the replicas of the controller that the owner reference `owner` names. If a deployment controls
/// this controller, returns the uid and the replicas of the deployment. Returns `None` if the controller or the
/// deployment does not exist, or has no replicas.
fn scale_of(state: &State, owner: &Value, namespace: &str) -> Option<(String, i64)> {
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let resource = state.registry.find_kind(text("apiVersion"), text("kind"))?;
    let object = find(state, &resource.storage, namespace, text("name"))?;
    if uid(&object) != text("uid") {
        return None;
    }
    if let Some(parent) = controller_of(&object).filter(|parent| parent["kind"] == "Deployment") {
        return scale_of(state, parent, namespace);
    }
    Some((uid(&object).to_owned(), replicas(&resource, &object)?))
}

/// Returns the items of `status.disruptedPods` that still count: the pods exist, are not terminating, and were evicted
/// less than [`DELETION_TIMEOUT`] ago. Also returns the time until the first of these pods counts as healthy again.
fn disrupted_pods(
    state: &State,
    budget: &Value,
    pods: &[Value],
) -> (serde_json::Map<String, Value>, Option<Duration>) {
    let mut kept = serde_json::Map::new();
    let mut recheck: Option<Duration> = None;
    for (pod, at) in budget["status"]["disruptedPods"].as_object().into_iter().flatten() {
        let exists = pods.iter().any(|other| name(other) == pod && !is_terminating(other));
        let rest = time(at).map_or(Duration::ZERO, |at| remaining_time(&state.clock, at, DELETION_TIMEOUT));
        if exists && !rest.is_zero() {
            kept.insert(pod.clone(), at.clone());
            recheck = Some(recheck.map_or(rest, |other| other.min(rest)));
        }
    }
    (kept, recheck)
}

fn involved_object(budget: &Value) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "name": name(budget),
        "namespace": namespace(budget), "uid": uid(budget),
    })
}
