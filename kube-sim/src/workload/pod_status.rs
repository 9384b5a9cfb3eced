//! The status that a kubelet writes for a pod.

use serde_json::{Value, json};

/// The values from which [`pod_status`] builds the status of a pod. All containers of the pod have the same state.
#[derive(Debug)]
pub(crate) struct PodState<'a> {
    pub(crate) phase: &'a str,
    /// Whether the containers are ready.
    pub(crate) ready: bool,
    /// The value of `state` in the statuses of the containers. Init containers, and containers that wait for
    /// init containers, have other states.
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
    // Whether the containers of the pod have been created.
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
        initialized_condition(pod, new, begun),
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
    let init: Vec<Value> = init_container_statuses(pod, new.now, begun);
    if !init.is_empty() {
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

/// The condition `Initialized`. It is false while the containers are being created, if the pod has init containers.
fn initialized_condition(pod: &Value, new: &PodState<'_>, begun: bool) -> Value {
    let names: Vec<&str> = names_of(&pod["spec"]["initContainers"]).collect();
    if begun || names.is_empty() {
        let reason = if new.phase == "Succeeded" { "PodCompleted" } else { "" };
        return condition(pod, new.now, "Initialized", true, reason);
    }
    let mut condition = condition(pod, new.now, "Initialized", false, "ContainersNotInitialized");
    condition["message"] = format!("containers with incomplete status: [{}]", names.join(" ")).into();
    condition
}

/// The values of `name` of the items of `list`.
fn names_of(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str())
}

/// The status of a container in `list`, a list of container statuses; null if the list has no status of the container.
fn status_of<'a>(list: &'a Value, container: &Value) -> &'a Value {
    let mut all = list.as_array().into_iter().flatten();
    all.find(|status| status["name"] == container["name"]).unwrap_or(&Value::Null)
}

fn container_statuses(pod: &Value, new: &PodState<'_>, begun: bool) -> Vec<Value> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let waits_for_init_containers = !begun && names_of(&pod["spec"]["initContainers"]).next().is_some();
    let state = if waits_for_init_containers {
        json!({"waiting": {"reason": "PodInitializing"}})
    } else {
        new.state.clone()
    };
    let status = |container: &Value| {
        let before = status_of(&pod["status"]["containerStatuses"], container);
        let mut status = json!({
            "name": container["name"], "image": container["image"], "ready": new.ready,
            "started": new.state["running"].is_object(),
            "restartCount": before["restartCount"].as_i64().unwrap_or(0),
            "imageID": if begun { format!("sim@sha256:{}", "5".repeat(64)) } else { String::new() },
            "state": state,
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

/// Returns the statuses of the init containers. If `pod` already has a status for an init container, and the
/// state in this status is not `waiting`, the status does not change. Any other init container waits while
/// the containers of the pod are being created. After that, a sidecar is running, and a regular init
/// container has completed.
fn init_container_statuses(pod: &Value, now: &str, begun: bool) -> Vec<Value> {
    let containers = pod["spec"]["initContainers"].as_array().into_iter().flatten();
    let status = |container: &Value| {
        let before = status_of(&pod["status"]["initContainerStatuses"], container);
        if before.is_object() && before["state"]["waiting"].is_null() {
            return before.clone();
        }
        let is_sidecar = container["restartPolicy"] == "Always";
        let state = if !begun {
            json!({"waiting": {"reason": "PodInitializing"}})
        } else if is_sidecar {
            json!({"running": {"startedAt": now}})
        } else {
            json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}})
        };
        json!({
            "name": container["name"], "image": container["image"], "ready": begun, "started": begun && is_sidecar,
            "restartCount": before["restartCount"].as_i64().unwrap_or(0),
            "imageID": if begun { format!("sim@sha256:{}", "5".repeat(64)) } else { String::new() },
            "state": state, "lastState": before.get("lastState").cloned().unwrap_or_else(|| json!({})),
        })
    };
    containers.map(status).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn status(pod: &Value, phase: &str, state: &Value) -> Value {
        let new = PodState { phase, ready: false, state, now: NOW, ip: "10.0.0.1", host_ip: "172.18.0.2" };
        pod_status(pod, &new)
    }

    fn find_initialized_condition(status: &Value) -> &Value {
        status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Initialized").unwrap()
    }

    #[test]
    fn a_pod_is_initialized_after_its_init_containers() {
        let mut pod = json!({"spec": {
            "containers": [{"name": "main"}],
            "initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}],
        }});
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        pod["status"] = status(&pod, "Pending", &creating);
        let condition = find_initialized_condition(&pod["status"]);
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("ContainersNotInitialized"))
        );
        assert_eq!(condition["message"], "containers with incomplete status: [setup proxy]");
        let init = &pod["status"]["initContainerStatuses"];
        assert_eq!(init[0]["state"]["waiting"]["reason"], "PodInitializing");
        pod["status"] = status(&pod, "Running", &json!({"running": {"startedAt": NOW}}));
        assert_eq!(find_initialized_condition(&pod["status"])["status"], "True");
        let init = &pod["status"]["initContainerStatuses"];
        assert!(init[0]["state"]["terminated"].is_object() && init[1]["state"]["running"].is_object());
        let without = json!({"spec": {"containers": [{"name": "main"}]}});
        assert_eq!(find_initialized_condition(&status(&without, "Pending", &creating))["status"], "True");
    }

    #[test]
    fn restart_counts_are_matched_by_container_name() {
        let pod = json!({
            "spec": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]},
            "status": {"containerStatuses": [{"name": "b", "restartCount": 2}, {"name": "a", "restartCount": 1}]},
        });
        let status = status(&pod, "Running", &json!({"running": {"startedAt": NOW}}));
        let counts = status["containerStatuses"].as_array().unwrap().iter().map(|c| &c["restartCount"]);
        assert_eq!(counts.collect::<Vec<_>>(), [1, 2, 0]);
    }
}
