//! The `Table` cells of pods and workload resources.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{items, or_none, since, string_or_empty};
use crate::store::selector::LabelSelector;

fn number_or_zero(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// The cells of a pod: ready, status, restarts, age, IP, node, nominated node, readiness gates.
pub(crate) fn pod_cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let status = &pod["status"];
    let total = items(&pod["spec"]["containers"]).count();
    let ready = items(&status["containerStatuses"]).filter(|c| c["ready"] == true).count();
    let restarts: i64 = items(&status["containerStatuses"]).map(|c| number_or_zero(&c["restartCount"])).sum();
    let last = items(&status["containerStatuses"])
        .filter_map(|c| c["lastState"]["terminated"]["finishedAt"].as_str())
        .max();
    let restarts = match last {
        Some(at) if restarts > 0 => format!("{restarts} ({} ago)", since(at, now)),
        _ => restarts.to_string(),
    };
    vec![
        format!("{ready}/{total}").into(),
        pod_status(pod).into(),
        restarts.into(),
        since(string_or_empty(&pod["metadata"]["creationTimestamp"]), now).into(),
        or_none(string_or_empty(&status["podIP"])),
        or_none(string_or_empty(&pod["spec"]["nodeName"])),
        or_none(string_or_empty(&status["nominatedNodeName"])),
        "<none>".into(),
    ]
}

/// The value of the status column of a pod.
fn pod_status(pod: &Value) -> String {
    let status = &pod["status"];
    let mut reason = match string_or_empty(&status["reason"]) {
        "" => string_or_empty(&status["phase"]).to_owned(),
        reason => reason.to_owned(),
    };
    let mut running = false;
    for container in items(&status["containerStatuses"]) {
        let state = &container["state"];
        if let Some(waiting) = state["waiting"]["reason"].as_str().filter(|r| !r.is_empty()) {
            waiting.clone_into(&mut reason);
        } else if state["terminated"].is_object() {
            reason = match (
                string_or_empty(&state["terminated"]["reason"]),
                number_or_zero(&state["terminated"]["signal"]),
            ) {
                ("", 0) => format!("ExitCode:{}", number_or_zero(&state["terminated"]["exitCode"])),
                ("", signal) => format!("Signal:{signal}"),
                (reason, _) => reason.to_owned(),
            };
        } else if container["ready"] == true && state["running"].is_object() {
            running = true;
        }
    }
    if reason == "Completed" && running {
        reason = "Running".into();
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        let lost = string_or_empty(&status["reason"]) == "NodeLost";
        return if lost { "Unknown".into() } else { "Terminating".into() };
    }
    reason
}

/// The cells with the names and the images of the containers.
fn names_and_images(template: &Value) -> [Value; 2] {
    let join = |field: &str| -> Value {
        let all: Vec<&str> =
            items(&template["spec"]["containers"]).map(|c| string_or_empty(&c[field])).collect();
        all.join(",").into()
    };
    [join("name"), join("image")]
}

fn selector_cell(object: &Value) -> Value {
    or_none(&LabelSelector::of_object(&object["spec"]["selector"]).to_string())
}

/// The cells of a deployment: ready, up-to-date, available, age, containers, images, selector.
pub(crate) fn deployment_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let [names, images] = names_and_images(&object["spec"]["template"]);
    vec![
        format!("{}/{wanted}", number_or_zero(&status["readyReplicas"])).into(),
        number_or_zero(&status["updatedReplicas"]).into(),
        number_or_zero(&status["availableReplicas"]).into(),
        since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
        selector_cell(object),
    ]
}

/// The cells of a replica set: desired, current, ready, age, containers, images, selector.
pub(crate) fn replica_set_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let [names, images] = names_and_images(&object["spec"]["template"]);
    vec![
        object["spec"]["replicas"].as_i64().unwrap_or(1).into(),
        number_or_zero(&status["replicas"]).into(),
        number_or_zero(&status["readyReplicas"]).into(),
        since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
        selector_cell(object),
    ]
}

/// The cells of a stateful set: ready, age, containers, images.
pub(crate) fn stateful_set_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let [names, images] = names_and_images(&object["spec"]["template"]);
    vec![
        format!("{}/{wanted}", number_or_zero(&object["status"]["readyReplicas"])).into(),
        since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
    ]
}

/// The cells of a daemon set: desired, current, ready, up-to-date, available, node selector, age, containers, images,
/// selector.
pub(crate) fn daemon_set_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let [names, images] = names_and_images(&object["spec"]["template"]);
    let nodes = LabelSelector::of_object(&object["spec"]["template"]["spec"]["nodeSelector"]).to_string();
    vec![
        json!(number_or_zero(&status["desiredNumberScheduled"])),
        json!(number_or_zero(&status["currentNumberScheduled"])),
        json!(number_or_zero(&status["numberReady"])),
        json!(number_or_zero(&status["updatedNumberScheduled"])),
        json!(number_or_zero(&status["numberAvailable"])),
        or_none(&nodes),
        since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
        selector_cell(object),
    ]
}

/// The cells of a job: status, completions, duration, age.
pub(crate) fn job_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let has = |kind: &str| items(&status["conditions"]).any(|c| c["type"] == kind && c["status"] == "True");
    let state = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if object["spec"]["suspend"] == true {
        "Suspended"
    } else {
        "Running"
    };
    let wanted = object["spec"]["completions"].as_i64().unwrap_or(1);
    let start = string_or_empty(&status["startTime"]);
    let end = status["completionTime"].as_str().and_then(|t| t.parse().ok()).unwrap_or(now);
    vec![
        state.into(),
        format!("{}/{wanted}", number_or_zero(&status["succeeded"])).into(),
        if start.is_empty() { Value::from("") } else { since(start, end).into() },
        since(string_or_empty(&object["metadata"]["creationTimestamp"]), now).into(),
    ]
}
