//! The simulated scheduler, which binds pods to nodes, and the simulated kubelets, which start, run and terminate
//! pods.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use super::engine::{Engine, KUBELET, SCHEDULER, namespace_and_name, object_reference};
use super::pod_status::{self, PodState};
use crate::json::has_condition;

/// Whether the `Ready` condition of the pod is true.
pub(super) fn is_ready(pod: &Value) -> bool {
    is_condition_true(pod, "Ready")
}

/// Whether the condition of the type `kind` is true.
pub(super) fn is_condition_true(object: &Value, kind: &str) -> bool {
    has_condition(object, kind, "True")
}

/// Advances every pod by at most one stage of its lifecycle.
pub(super) fn advance_pods(engine: &mut Engine) {
    let nodes: BTreeMap<String, NodeState> = engine
        .list("v1", "Node")
        .iter()
        .map(|node| {
            let is_ready = is_condition_true(node, "Ready");
            let is_schedulable = is_ready && node["spec"]["unschedulable"] != true;
            (namespace_and_name(node).1.to_owned(), NodeState { is_ready, is_schedulable })
        })
        .collect();
    for pod in engine.list("v1", "Pod") {
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        let (namespace, name) = namespace_and_name(&pod);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        if pod["metadata"]["deletionTimestamp"].is_string() {
            if engine.random.below(2) == 0 || !nodes.contains_key(node) {
                record_pod_event(engine, &pod, "Normal", "Killing", "Stopping container");
                engine.force_delete(&path);
            }
            continue;
        }
        if node.is_empty() {
            schedule_pod(engine, &pod, &path, &nodes);
            continue;
        }
        match nodes.get(node) {
            None => engine.force_delete(&path),
            // The kubelet of a failed node reports no status. The pods of the node are evicted after some steps.
            Some(node) if !node.is_ready => evict_from_failed_node(engine, &pod, &path),
            Some(_) => advance_pod(engine, &pod, &path),
        }
    }
}

/// Creates an Event of the kubelet about the first container of a pod.
fn record_pod_event(engine: &mut Engine, pod: &Value, kind: &str, reason: &str, message: &str) {
    let mut about = object_reference(pod, "v1", "Pod");
    let container = pod["spec"]["containers"][0]["name"].as_str().unwrap_or_default();
    about["fieldPath"] = format!("spec.containers{{{container}}}").into();
    let namespace = namespace_and_name(pod).0.to_owned();
    engine.create_event(&about, &namespace, kind, reason, message, "kubelet");
}

/// The properties of a node that its pods depend on.
struct NodeState {
    is_ready: bool,
    /// Whether the node is ready and not cordoned.
    is_schedulable: bool,
}

/// Binds a pod to a random schedulable node. If no node is schedulable and the pod has no conditions, sets the condition
/// `PodScheduled` to false.
fn schedule_pod(engine: &mut Engine, pod: &Value, path: &str, nodes: &BTreeMap<String, NodeState>) {
    let (namespace, name) = namespace_and_name(pod);
    let fit: Vec<&String> =
        nodes.iter().filter(|(_, node)| node.is_schedulable).map(|(name, _)| name).collect();
    let about = object_reference(pod, "v1", "Pod");
    if fit.is_empty() {
        if pod["status"]["conditions"].is_null() {
            let message = format!("0/{} nodes are available.", nodes.len());
            let now = engine.now();
            let status = json!({"status": {"conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                "lastProbeTime": null, "lastTransitionTime": now,
            }]}});
            engine.patch(&format!("{path}/status"), SCHEDULER, &status);
            engine.create_event(
                &about,
                namespace,
                "Warning",
                "FailedScheduling",
                &message,
                "default-scheduler",
            );
        }
        return;
    }
    let at = usize::try_from(engine.random.below(fit.len() as u64)).unwrap_or(0);
    let node = fit[at];
    let binding =
        json!({"target": {"apiVersion": "v1", "kind": "Node", "name": node}, "metadata": {"name": name}});
    if engine.write(&Method::POST, &format!("{path}/binding"), SCHEDULER, &binding).is_some() {
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        engine.create_event(&about, namespace, "Normal", "Scheduled", &message, "default-scheduler");
    }
}

/// Marks a pod on a failed node as not ready. If the pod is already not ready, deletes it with a probability
/// of 1 in 10.
fn evict_from_failed_node(engine: &mut Engine, pod: &Value, path: &str) {
    if is_ready(pod) {
        let status =
            pod_status_patch(engine, pod, "Running", false, &json!({"running": {"startedAt": engine.now()}}));
        engine.patch(&format!("{path}/status"), super::engine::CONTROLLER, &status);
        let about = object_reference(pod, "v1", "Pod");
        let namespace = namespace_and_name(pod).0.to_owned();
        engine.create_event(
            &about,
            &namespace,
            "Warning",
            "NodeNotReady",
            "Node is not ready",
            "node-controller",
        );
    } else if engine.random.below(10) == 0 {
        engine.force_delete(path);
    }
}

/// Advances a pod on a ready node by at most one stage of its lifecycle. Deletes an ended pod after a random number of
/// steps.
fn advance_pod(engine: &mut Engine, pod: &Value, path: &str) {
    let phase = pod["status"]["phase"].as_str().unwrap_or("Pending");
    if matches!(phase, "Succeeded" | "Failed") {
        if engine.random.below(40) == 0 {
            engine.force_delete(path);
        }
        return;
    }
    let state = &pod["status"]["containerStatuses"][0]["state"];
    let waiting = state["waiting"]["reason"].as_str().unwrap_or_default();
    let now = engine.now();
    let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned();
    let (phase, ready, state, reason, message) = if state.is_null() {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        ("Pending", false, creating, "Pulling", format!("Pulling image \"{image}\""))
    } else if matches!(waiting, "ContainerCreating" | "PodInitializing")
        || (waiting == "CrashLoopBackOff" && engine.random.below(6) == 0)
    {
        ("Running", true, json!({"running": {"startedAt": now}}), "Started", "Container started".to_owned())
    } else if state["running"].is_object() {
        return advance_running_pod(engine, pod, path);
    } else {
        return;
    };
    let body = pod_status_patch(engine, pod, phase, ready, &state);
    engine.patch(&format!("{path}/status"), KUBELET, &body);
    record_pod_event(engine, pod, "Normal", reason, &message);
}

/// Makes a running pod ready. In later steps, the pod can complete or crash.
fn advance_running_pod(engine: &mut Engine, pod: &Value, path: &str) {
    let now = engine.now();
    let started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].clone();
    if !is_ready(pod) {
        let body =
            pod_status_patch(engine, pod, "Running", true, &json!({"running": {"startedAt": started}}));
        engine.patch(&format!("{path}/status"), KUBELET, &body);
        return;
    }
    if matches!(pod["spec"]["restartPolicy"].as_str(), Some("Never" | "OnFailure")) {
        if engine.random.below(12) == 0 {
            let ended = json!({"terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": now,
            }});
            let body = pod_status_patch(engine, pod, "Succeeded", false, &ended);
            engine.patch(&format!("{path}/status"), KUBELET, &body);
        }
        return;
    }
    let flaky = pod["metadata"]["labels"]["stability"] == "flaky";
    if !engine.chaos || engine.random.below(if flaky { 30 } else { 600 }) != 0 {
        return;
    }
    let name = pod["spec"]["containers"][0]["name"].as_str().unwrap_or_default();
    let back_off = json!({"waiting": {
        "reason": "CrashLoopBackOff",
        "message": format!("back-off 10s restarting failed container={name} pod={}", namespace_and_name(pod).1),
    }});
    let mut body = pod_status_patch(engine, pod, "Running", false, &back_off);
    let container = &mut body["status"]["containerStatuses"][0];
    let restarts = container["restartCount"].as_i64().unwrap_or(0);
    container["restartCount"] = (restarts + 1).into();
    container["lastState"] = json!({"terminated": {
        "exitCode": 1, "reason": "Error", "startedAt": started, "finishedAt": now,
    }});
    engine.patch(&format!("{path}/status"), KUBELET, &body);
    let message = format!("Back-off restarting failed container {name}");
    record_pod_event(engine, pod, "Warning", "BackOff", &message);
}

/// The complete status of a pod, as the body of a merge patch.
fn pod_status_patch(engine: &mut Engine, pod: &Value, phase: &str, ready: bool, state: &Value) -> Value {
    let now = engine.now();
    let ip = match pod["status"]["podIP"].as_str() {
        Some(ip) => ip.to_owned(),
        None if state["waiting"]["reason"] == "ContainerCreating" => String::new(),
        None => format!("10.244.{}.{}", engine.random.below(250), engine.random.below(250) + 2),
    };
    let new = PodState { phase, ready, state, now: &now, ip: &ip, host_ip: "172.18.0.2" };
    json!({ "status": pod_status::pod_status(pod, &new) })
}
