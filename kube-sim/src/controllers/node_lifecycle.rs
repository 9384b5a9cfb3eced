//! The node lifecycle controller: taints nodes by their conditions, and deletes the pods that do not tolerate the
//! taints. Also deletes the pods of deleted nodes, as the pod garbage collector does.
//!
//! The controller does not change the conditions of nodes: a node whose heartbeats stop does not become `Unknown`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::objects::{
    NODES, PODS, condition, find, is_terminating, name, namespace, remaining_time, set_condition,
    storage_key_in, time, uid,
};
use super::pods::{is_finished, node_name};
use super::scheduler::tolerations;
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, events, is_deletion, object_of, own_key, requeue};
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

const COMPONENT: &str = "node-controller";

/// The time until the pods of a missing node are deleted. It begins when the node is deleted, or when a pod is bound to
/// a node that does not exist.
const ORPHAN_DELAY: Duration = Duration::from_secs(40);

/// The conditions of a node that cause taints: the type and the status of the condition, and the key of the taint.
const TAINTS: [(&str, &str, &str); 6] = [
    ("Ready", "False", "node.kubernetes.io/not-ready"),
    ("Ready", "Unknown", "node.kubernetes.io/unreachable"),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];

const UNSCHEDULABLE_TAINT: &str = "node.kubernetes.io/unschedulable";

/// The keys of a changed node, of the pods on a node whose taints or `Ready` condition change, of a newly bound pod, and
/// of the pods of a deleted node.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    if state.simulates_kubelets {
        // A `WorkloadSimulator` is running. It simulates the failures of nodes, and deletes the pods of failed nodes.
        return Keys::new();
    }
    match &**storage {
        NODES => {
            let mut keys = if is_deletion(event) { Keys::new() } else { own_key(storage, event) };
            let delay = if is_deletion(event) { ORPHAN_DELAY } else { Duration::ZERO };
            let relevant = |node: &Value| {
                json!([node["spec"]["taints"], condition(node, "Ready").map(|c| &c["status"])])
            };
            let before = event.previous.as_ref().map(|previous| relevant(&previous.value()));
            if is_deletion(event) || before.is_some_and(|before| before != relevant(&event.object.value())) {
                let pods = state.objects(PODS, "");
                let own = pods.iter().filter(|pod| node_name(&pod.value()) == event.object.name());
                keys.extend(own.map(|pod| ((Arc::from(PODS), pod.key.clone()), pod.uid.clone(), delay)));
            }
            keys
        }
        PODS if !is_deletion(event) => {
            let was_bound =
                event.previous.as_ref().is_some_and(|previous| !node_name(&previous.value()).is_empty());
            let pod = event.object.value();
            let node = node_name(&pod);
            if node.is_empty() || was_bound {
                return Keys::new();
            }
            let exists = find(state, NODES, "", node).is_some();
            let delay = if exists { Duration::ZERO } else { ORPHAN_DELAY };
            own_key(storage, event)
                .into_iter()
                .map(|(storage_key, uid, _)| (storage_key, uid, delay))
                .collect()
        }
        _ => Keys::new(),
    }
}

/// Sets the taints of a node. For a pod, sets the condition `Ready` to false if the node is not ready, and deletes the
/// pod if it must not stay on the node or the node does not exist.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(object) = object_of(state, key).map(|object| object.value()) else { return };
    if &*key.object.0 == NODES {
        return sync_taints(state, key, &object);
    }
    let Some(node) = find(state, NODES, "", node_name(&object)) else {
        return delete_orphan(state, key, &object);
    };
    if is_terminating(&object) || is_finished(&object) {
        return;
    }
    mark_unready(state, key, &object, &node);
    match eviction_delay(state, &object, &node) {
        Some(Duration::ZERO) => {
            let reason = "DeletionByTaintManager";
            set_disruption_target(state, key, reason, "Taint manager: deleting due to NoExecute taint");
            let text = format!("Marking for deletion Pod {}/{}", namespace(&object), name(&object));
            events::record_normal(
                state,
                "taint-eviction-controller",
                &involved_object(&object),
                "TaintManagerEviction",
                &text,
            );
            writes::delete(state, &key.object);
        }
        Some(rest) => requeue(state, key, rest),
        None => {}
    }
}

/// Adds the taints for the conditions and for `spec.unschedulable` of a node, and removes those that no longer apply.
fn sync_taints(state: &mut State, key: &Key, node: &Value) {
    let now = state.clock.stamp();
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (kind, status, taint) in TAINTS {
        if condition(node, kind).is_some_and(|condition| condition["status"] == status) {
            wanted.push((taint, "NoSchedule"));
            if kind == "Ready" {
                wanted.push((taint, "NoExecute"));
            }
        }
    }
    if node["spec"]["unschedulable"] == true {
        wanted.push((UNSCHEDULABLE_TAINT, "NoSchedule"));
    }
    let before = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let is_own = |taint: &Value| {
        let key = taint["key"].as_str().unwrap_or_default();
        key == UNSCHEDULABLE_TAINT || TAINTS.iter().any(|(.., own)| *own == key)
    };
    let is_wanted =
        |taint: &Value| wanted.iter().any(|(key, effect)| taint["key"] == *key && taint["effect"] == *effect);
    let mut taints: Vec<Value> =
        before.iter().filter(|taint| !is_own(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in &wanted {
        if !taints.iter().any(|taint| taint["key"] == *key && taint["effect"] == *effect) {
            taints.push(json!({"key": key, "effect": effect, "timeAdded": now}));
        }
    }
    if taints == before {
        return;
    }
    // An error needs no handling: the next change of the node sets the taints.
    let _ = writes::modify(state, &key.object, Part::Object, CONTROLLER_MANAGER, |node| {
        let Some(spec) = node["spec"].as_object_mut() else { return };
        if taints.is_empty() {
            spec.remove("taints");
        } else {
            spec.insert("taints".into(), taints.into());
        }
    });
}

/// Sets the condition `Ready` of a pod to false if its node is not ready. The kubelet of such a node cannot
/// set the condition.
fn mark_unready(state: &mut State, key: &Key, pod: &Value, node: &Value) {
    let failed = condition(node, "Ready").is_some_and(|ready| ready["status"] != "True");
    if !failed || condition(pod, "Ready").is_none_or(|ready| ready["status"] != "True") {
        return;
    }
    let now = state.clock.stamp();
    let condition = json!({
        "type": "Ready", "status": "False", "lastProbeTime": null,
        "observedGeneration": pod["metadata"]["generation"],
    });
    // If the write fails because the space quota is exhausted, the next change of the node causes another attempt.
    let _ = writes::modify(state, &key.object, Part::Status, CONTROLLER_MANAGER, |pod| {
        set_condition(&mut pod["status"]["conditions"], condition, &now);
    });
    events::record_warning(state, COMPONENT, &involved_object(pod), "NodeNotReady", "Node is not ready");
}

/// The time until the pod must leave the node because of the node's `NoExecute` taints; `None` if the pod may stay.
fn eviction_delay(state: &State, pod: &Value, node: &Value) -> Option<Duration> {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let mut earliest: Option<Duration> = None;
    for taint in taints.filter(|taint| taint["effect"] == "NoExecute") {
        let tolerated: Vec<&Value> = tolerations(&pod["spec"], taint).collect();
        if tolerated.is_empty() {
            return Some(Duration::ZERO);
        }
        let limits = tolerated.iter().filter_map(|toleration| toleration["tolerationSeconds"].as_i64());
        let Some(limit) = limits.min() else { continue };
        let limit = Duration::from_secs(u64::try_from(limit).unwrap_or(0));
        let since = time(&taint["timeAdded"]).unwrap_or(state.clock.now());
        let rest = remaining_time(&state.clock, since, limit);
        earliest = Some(earliest.map_or(rest, |other| other.min(rest)));
    }
    earliest
}

/// Removes a pod whose node does not exist.
fn delete_orphan(state: &mut State, key: &Key, pod: &Value) {
    if node_name(pod).is_empty() {
        return;
    }
    set_disruption_target(state, key, "DeletionByPodGC", "PodGC: node no longer exists");
    let Some(resource) = state.registry.find_by_storage(PODS) else { return };
    // An error needs no handling: the pod is removed below.
    let _ = writes::modify(state, &key.object, Part::Status, CONTROLLER_MANAGER, |pod| {
        if !is_finished(pod) {
            pod["status"]["phase"] = "Failed".into();
        }
    });
    let policy = crate::handler::deletion::Propagation::Background;
    crate::handler::deletion::delete(state, &resource, &storage_key_in(PODS, pod), policy, Some(0));
}

/// Sets the condition `DisruptionTarget` of a pod that is about to be deleted.
fn set_disruption_target(state: &mut State, key: &Key, reason: &str, message: &str) {
    let now = state.clock.stamp();
    let condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message, "lastProbeTime": null,
    });
    // An error needs no handling: the deletion does not depend on the condition.
    let _ = writes::modify(state, &key.object, Part::Status, CONTROLLER_MANAGER, |pod| {
        set_condition(&mut pod["status"]["conditions"], condition, &now);
    });
}

fn involved_object(pod: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "name": name(pod), "namespace": namespace(pod), "uid": uid(pod)})
}
