//! The scheduler: binds each pod to a node with sufficient resources. The pod must tolerate the taints of the node, and
//! the node selector and the affinity of the pod must allow the node. [`fit::problems`] checks these and further
//! conditions. One reconcile considers all pods without a node.
//!
//! The scheduler does not simulate preemption, and ignores all preferences except those in [`score`].

mod fit;
mod labels;
mod node;
mod spread;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub(super) use self::fit::{tolerates_all, tolerations};
pub(super) use self::labels::matches_node;
use self::node::{Node, requested_resources};
use self::spread::SpreadConstraints;
use super::objects::{
    NODES, PODS, is_terminating, name, namespace, number, set_condition, storage_key_in, time, uid,
};
use super::pods::{is_finished, node_name};
use super::writes::{self, Part, SCHEDULER};
use super::{Keys, events, is_deletion};
use crate::handler::admission::{NAMESPACES, label_pod};
use crate::store::State;
use crate::store::table::Event;

const COMPONENT: &str = "default-scheduler";

/// Returns one key, which names no object, if the scheduler may be able to bind a pod because of the event.
/// Such events are a change of a pod without a node, the end or deletion of a pod, a new or changed node, and
/// a new or changed namespace (affinity terms can select namespaces by their labels). A pod that gets a node,
/// or whose labels or spec change on a node, also causes a key: affinity terms and spread constraints of
/// other pods can select the pod, and smaller requests free resources.
pub(super) fn keys_to_reconcile(storage: &Arc<str>, event: &Event) -> Keys {
    let may_bind = match &**storage {
        PODS if is_deletion(event) => true,
        PODS => {
            let pod = event.object.value();
            let Some(previous) = event.previous.as_ref().map(|previous| previous.value()) else {
                return one_key();
            };
            node_name(&pod).is_empty()
                || is_finished(&pod) && !is_finished(&previous)
                || pod["spec"] != previous["spec"]
                || pod["metadata"]["labels"] != previous["metadata"]["labels"]
        }
        NODES | NAMESPACES => !is_deletion(event),
        _ => false,
    };
    if may_bind { one_key() } else { Keys::new() }
}

/// The only key of the scheduler.
fn one_key() -> Keys {
    vec![((Arc::from(PODS), Arc::from("")), Arc::from(""), Duration::ZERO)]
}

/// Binds each pod that has no node yet, or reports why no node fits. Pods with a higher priority come first. Among pods
/// with the same priority, older pods come first.
pub(super) fn reconcile(state: &mut State) {
    let Some(table) = state.table(PODS) else { return };
    if state.simulates_kubelets {
        // The simulated scheduler of a `WorkloadSimulator` binds the pods.
        return;
    }
    let pods: Vec<Value> =
        table.objects("").iter().map(|pod| pod.value()).filter(|pod| !is_finished(pod)).collect();
    let (bound, mut pending): (Vec<Value>, Vec<Value>) =
        pods.into_iter().partition(|pod| !node_name(pod).is_empty());
    pending.retain(is_schedulable);
    if pending.is_empty() {
        return;
    }
    let mut nodes: Vec<Node> = state
        .table(NODES)
        .map(|table| table.objects(""))
        .unwrap_or_default()
        .iter()
        .map(|n| Node::new(n.value()))
        .collect();
    for pod in bound {
        if let Some(node) = nodes.iter_mut().find(|node| node.name() == node_name(&pod)) {
            node.add_pod(pod);
        }
    }
    pending.sort_by_key(|pod| {
        let created = time(&pod["metadata"]["creationTimestamp"]);
        (-number(&pod["spec"]["priority"]), created, name(pod).to_owned())
    });
    for pod in pending {
        schedule_pod(state, &mut nodes, &pod);
    }
}

/// Whether the scheduler may bind the pod: `schedulerName` is the default, no scheduling gates are set, and the pod is
/// not terminating.
fn is_schedulable(pod: &Value) -> bool {
    let scheduler = pod["spec"]["schedulerName"].as_str().unwrap_or("default-scheduler");
    let is_gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    scheduler == "default-scheduler" && !is_gated && !is_terminating(pod)
}

/// Binds a pod to the best node that fits. If no node fits, sets the condition `PodScheduled` of the pod to false.
fn schedule_pod(state: &mut State, nodes: &mut [Node], pod: &Value) {
    let wanted = requested_resources(&pod["spec"]);
    let mut reasons = BTreeMap::<String, usize>::new();
    let mut best: Option<(usize, f64)> = None;
    let spread = SpreadConstraints::of(pod, nodes);
    for (at, node) in nodes.iter().enumerate() {
        if let Some(problems) = fit::problems(pod, &wanted, node, fit::Cluster { state, nodes }, &spread) {
            for problem in problems {
                *reasons.entry(problem).or_default() += 1;
            }
            continue;
        }
        let score = score(pod, &wanted, node);
        if best.is_none_or(|(_, other)| score > other) {
            best = Some((at, score));
        }
    }
    match best {
        Some((at, _)) => {
            if bind_pod(state, pod, nodes[at].name()) {
                nodes[at].add_pod(pod.clone());
            }
        }
        None => report_unschedulable(state, pod, nodes.len(), &reasons),
    }
}

/// The score of a node for the pod; the best node has the highest score. Two values increase the score:
/// [`Node::free_share`], and the weights of the preferred node affinity terms that the node matches. Two values reduce the
/// score: the number of pods of the same controller on the node, and a fixed amount if the node has a `PreferNoSchedule`
/// taint that the pod does not tolerate.
fn score(pod: &Value, wanted: &node::Resources, node: &Node) -> f64 {
    let own = super::objects::controller_of(pod).map(|owner| owner["uid"].clone());
    let is_sibling = |other: &&Value| {
        own.is_some() && super::objects::controller_of(other).map(|o| o["uid"].clone()) == own
    };
    let siblings = node.pods().iter().filter(is_sibling).count();
    let tainted = !tolerates_all(&pod["spec"], node.object(), &["PreferNoSchedule"]);
    #[expect(clippy::cast_precision_loss, reason = "a score needs no precision")]
    let (siblings, preferred) = (siblings as f64, labels::preferred_weight(pod, node.object()) as f64);
    node.free_share(wanted) - siblings - if tainted { 3.0 } else { 0.0 } + preferred / 100.0
}

/// Sets the node and the condition `PodScheduled` of a pod, and creates an Event about the binding. Returns whether the
/// store accepted the change.
fn bind_pod(state: &mut State, pod: &Value, node: &str) -> bool {
    let now = state.clock.stamp();
    let mut bound = pod.clone();
    bound["spec"]["nodeName"] = node.into();
    label_pod(state, &mut bound);
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null});
    set_condition(&mut bound["status"]["conditions"], condition, &now);
    let Some(resource) = state.registry.find_by_storage(PODS) else { return false };
    if state.commit(&resource, storage_key_in(PODS, pod).1, bound).is_err() {
        return false;
    }
    let message = format!("Successfully assigned {}/{} to {node}", namespace(pod), name(pod));
    events::record_normal(state, COMPONENT, &involved_object(pod), "Scheduled", &message);
    true
}

/// Sets the condition `PodScheduled` to false for a pod that fits on no node. Creates an Event if the condition changes.
fn report_unschedulable(state: &mut State, pod: &Value, nodes: usize, reasons: &BTreeMap<String, usize>) {
    let message = if nodes == 0 {
        "no nodes available to schedule pods".to_owned()
    } else {
        let mut texts: Vec<String> =
            reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        texts.sort();
        format!("0/{nodes} nodes are available: {}.", texts.join(", "))
    };
    let now = state.clock.stamp();
    let condition = json!({
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        "lastProbeTime": null, "observedGeneration": pod["metadata"]["generation"],
    });
    let storage_key = storage_key_in(PODS, pod);
    let before = state.version();
    // If the write fails, the next reconcile reports the pod again.
    let _ = writes::modify(state, &storage_key, Part::Status, SCHEDULER, |pod| {
        set_condition(&mut pod["status"]["conditions"], condition, &now);
    });
    if state.version() != before {
        events::record_warning(state, COMPONENT, &involved_object(pod), "FailedScheduling", &message);
    }
}

fn involved_object(pod: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "name": name(pod), "namespace": namespace(pod), "uid": uid(pod)})
}
