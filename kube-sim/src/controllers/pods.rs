//! The state of pods (phase, readiness and availability), and the order in which a controller deletes pods.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::objects::{
    annotation, condition, is_condition_true, is_terminating, remaining_time, seconds, time, uid,
};
use crate::clock::Clock;

pub(super) fn phase(pod: &Value) -> &str {
    pod["status"]["phase"].as_str().unwrap_or_default()
}

pub(super) fn node_name(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

/// Whether the containers of the pod have ended and do not restart.
pub(super) fn is_finished(pod: &Value) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod counts as a replica: it has not ended, and is not being deleted.
pub(super) fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !is_terminating(pod)
}

pub(super) fn is_ready(pod: &Value) -> bool {
    is_condition_true(pod, "Ready")
}

/// Whether a pod has been ready for `minReadySeconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    Available,
    /// The pod is ready, and becomes available after this time.
    After(Duration),
    NotReady,
}

/// Whether the pod has been ready for at least the `minReadySeconds` of `spec`.
pub(super) fn availability(clock: &Clock, pod: &Value, spec: &Value) -> Availability {
    let min_ready = seconds(&spec["minReadySeconds"]);
    if !is_ready(pod) {
        return Availability::NotReady;
    }
    if min_ready.is_zero() {
        return Availability::Available;
    }
    let since = condition(pod, "Ready").and_then(|condition| time(&condition["lastTransitionTime"]));
    match since.map(|since| remaining_time(clock, since, min_ready)) {
        Some(Duration::ZERO) => Availability::Available,
        Some(rest) => Availability::After(rest),
        None => Availability::NotReady,
    }
}

/// The number of available pods, and the time until one more ready pod becomes available. The time is `None` if all ready
/// pods are available.
pub(super) fn count_available(clock: &Clock, pods: &[&Value], spec: &Value) -> (usize, Option<Duration>) {
    let states = pods.iter().map(|pod| availability(clock, pod, spec));
    states.fold((0, None), |(count, next), state| match state {
        Availability::Available => (count + 1, next),
        Availability::After(rest) => (count, Some(next.map_or(rest, |next: Duration| next.min(rest)))),
        Availability::NotReady => (count, next),
    })
}

/// Sorts the pods of an owner in the order in which a controller deletes them. Deletion begins with pods without a node,
/// then pending pods, pods that are not ready, pods with a low deletion cost, pods on a node with many pods of the same
/// owner, pods that became ready recently, pods with many restarts, and pods that were created recently.
pub(super) fn sort_for_deletion(pods: &mut [Value]) {
    let mut pods_per_node = BTreeMap::<String, usize>::new();
    for pod in pods.iter() {
        *pods_per_node.entry(node_name(pod).to_owned()).or_default() += 1;
    }
    pods.sort_by(|a, b| deletion_order(a, b, &pods_per_node));
}

fn deletion_order(a: &Value, b: &Value, pods_per_node: &BTreeMap<String, usize>) -> Ordering {
    let phase_rank = |pod: &Value| match phase(pod) {
        "Pending" | "" => 0,
        "Running" => 2,
        _ => 1,
    };
    let cost = |pod: &Value| {
        annotation(pod, "controller.kubernetes.io/pod-deletion-cost")
            .and_then(|text| text.parse::<i64>().ok())
    };
    let rank = |pod: &Value| pods_per_node.get(node_name(pod)).copied().unwrap_or(0);
    let ready_since = |pod: &Value| condition(pod, "Ready").and_then(|c| time(&c["lastTransitionTime"]));
    let created = |pod: &Value| time(&pod["metadata"]["creationTimestamp"]);
    (!node_name(a).is_empty())
        .cmp(&!node_name(b).is_empty())
        .then_with(|| phase_rank(a).cmp(&phase_rank(b)))
        .then_with(|| is_ready(a).cmp(&is_ready(b)))
        .then_with(|| cost(a).unwrap_or(0).cmp(&cost(b).unwrap_or(0)))
        .then_with(|| rank(b).cmp(&rank(a)))
        .then_with(|| if is_ready(a) { ready_since(b).cmp(&ready_since(a)) } else { Ordering::Equal })
        .then_with(|| restart_count(b).cmp(&restart_count(a)))
        .then_with(|| created(b).cmp(&created(a)))
        .then_with(|| uid(a).cmp(uid(b)))
}

/// The largest restart count of a container of the pod.
pub(super) fn restart_count(pod: &Value) -> i64 {
    let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    containers.filter_map(|container| container["restartCount"].as_i64()).max().unwrap_or(0)
}
