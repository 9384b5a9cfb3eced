//! The status that a kubelet writes for a pod.

use serde_json::{Value, json};

/// The values from which [`pod_status`] builds the status of a pod. All containers of the pod have the same state.
#[derive(Debug)]
pub(crate) struct PodState<'a> {
    pub(crate) phase: &'a str,
    /// Whether the containers are ready.
    pub(crate) ready: bool,
    /// The value of `state` in the status of every container.
    pub(crate) state: &'a Value,
    /// The current time as `metav1.Time`.
    pub(crate) now: &'a str,
    /// The IP address of the pod. It can be empty while the containers are being created.
    pub(crate) ip: &'a str,
    /// The IP address of the node of the pod.
    pub(crate) host_ip: &'a str,
}

/// Returns the new status of a pod, as a merge patch for the field `status`. The restart counts and the last states of the
/// containers are those in `pod`.
pub(crate) fn pod_status(pod: &Value, new: &PodState<'_>) -> Value {
    let begun = new.state["waiting"]["reason"] != "ContainerCreating";
    let done = matches!(new.phase, "Succeeded" | "Failed");
    let unready = match new.phase {
        "Succeeded" => "PodCompleted",
        "Failed" => "PodFailed",
        _ => "ContainersNotReady",
    };
    let gates = pod["spec"]["readinessGates"].as_array().into_iter().flatten();
    let gates_passed = gates.map(|gate| &gate["conditionType"]).all(|kind| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|c| c["type"] == *kind && c["status"] == "True")
    });
    let ready_reason = if new.ready { "ReadinessGatesNotReady" } else { unready };
    let mut conditions = vec![
        condition(pod, new.now, "PodReadyToStartContainers", begun && !done, ""),
        condition(pod, new.now, "Initialized", true, if done { "PodCompleted" } else { "" }),
        condition(pod, new.now, "Ready", new.ready && gates_passed, ready_reason),
        condition(pod, new.now, "ContainersReady", new.ready, unready),
        condition(pod, new.now, "PodScheduled", true, ""),
    ];
    // Keep the conditions that other components have set.
    let others = pod["status"]["conditions"].as_array().into_iter().flatten();
    let others: Vec<Value> =
        others.filter(|o| conditions.iter().all(|c| c["type"] != o["type"])).cloned().collect();
    conditions.extend(others);
    let mut status = json!({
        "phase": new.phase,
        "observedGeneration": pod["metadata"]["generation"],
        "hostIP": new.host_ip,
        "hostIPs": [{"ip": new.host_ip}],
        "startTime": pod["status"]["startTime"].as_str().unwrap_or(new.now),
        "conditions": conditions,
        "containerStatuses": container_statuses(pod, new, begun),
    });
    let init: Vec<Value> = init_container_statuses(pod, new.now);
    if !init.is_empty() && begun {
        status["initContainerStatuses"] = init.into();
    }
    if begun {
        status["podIPs"] = json!([{"ip": new.ip}]);
        status["podIP"] = new.ip.into();
    }
    status
}

/// Returns a condition of the type `kind`. If `pod` has this condition with the same value of `status`, the returned
/// condition keeps the `lastTransitionTime`.
fn condition(pod: &Value, now: &str, kind: &str, on: bool, reason: &str) -> Value {
    let status = if on { "True" } else { "False" };
    let before = pod["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == kind);
    let since =
        before.filter(|c| c["status"] == status).map_or(json!(now), |c| c["lastTransitionTime"].clone());
    let mut condition = json!({
        "type": kind, "status": status, "observedGeneration": pod["metadata"]["generation"],
        "lastProbeTime": null, "lastTransitionTime": since,
    });
    if !reason.is_empty() && (!on || kind == "Initialized") {
        condition["reason"] = reason.into();
    }
    condition
}

fn container_statuses(pod: &Value, new: &PodState<'_>, begun: bool) -> Vec<Value> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten().enumerate();
    let status = |(at, container): (usize, &Value)| {
        let before = &pod["status"]["containerStatuses"][at];
        let mut status = json!({
            "name": container["name"], "image": container["image"], "ready": new.ready,
            "started": new.state["running"].is_object(),
            "restartCount": before["restartCount"].as_i64().unwrap_or(0),
            "imageID": if begun { format!("sim@sha256:{}", "5".repeat(64)) } else { String::new() },
            "state": new.state,
            "lastState": before.get("lastState").cloned().unwrap_or_else(|| json!({})),
        });
        if begun {
            let id = pod["metadata"]["uid"].as_str().unwrap_or_default().replace('-', "");
            status["containerID"] = format!("containerd://{id}{id}").into();
        }
        status
    };
    containers.map(status).collect()
}

/// Returns the statuses of the init containers. An init container that has a status in `pod` keeps this status. Without
/// a status, a sidecar is running, and a regular init container has completed.
fn init_container_statuses(pod: &Value, now: &str) -> Vec<Value> {
    let containers = pod["spec"]["initContainers"].as_array().into_iter().flatten().enumerate();
    let status = |(at, container): (usize, &Value)| {
        let before = &pod["status"]["initContainerStatuses"][at];
        if before.is_object() {
            return before.clone();
        }
        let is_sidecar = container["restartPolicy"] == "Always";
        let state = if is_sidecar {
            json!({"running": {"startedAt": now}})
        } else {
            json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}})
        };
        json!({
            "name": container["name"], "image": container["image"], "ready": true, "started": is_sidecar,
            "restartCount": 0, "imageID": format!("sim@sha256:{}", "5".repeat(64)), "state": state, "lastState": {},
        })
    };
    containers.map(status).collect()
}
