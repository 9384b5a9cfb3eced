//! The `Table` cells of pods and workload resources.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{list, or_none, since, text};
use crate::store::selector::LabelSelector;

fn number_or_zero(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// The cells of a pod: ready, status, restarts, age, IP, node, nominated node, readiness gates.
pub(crate) fn pod(pod: &Value, now: Timestamp) -> Vec<Value> {
    let status = &pod["status"];
    let total = list(&pod["spec"]["containers"]).count();
    let ready = list(&status["containerStatuses"]).filter(|c| c["ready"] == true).count();
    let restarts: i64 = list(&status["containerStatuses"]).map(|c| number_or_zero(&c["restartCount"])).sum();
    let last = list(&status["containerStatuses"])
        .filter_map(|c| c["lastState"]["terminated"]["finishedAt"].as_str())
        .max();
    let restarts = match last {
        Some(at) if restarts > 0 => format!("{restarts} ({} ago)", since(at, now)),
        _ => restarts.to_string(),
    };
    vec![
        format!("{ready}/{total}").into(),
        status_reason(pod).into(),
        restarts.into(),
        since(text(&pod["metadata"]["creationTimestamp"]), now).into(),
        or_none(text(&status["podIP"])),
        or_none(text(&pod["spec"]["nodeName"])),
        or_none(text(&status["nominatedNodeName"])),
        "<none>".into(),
    ]
}

/// The value of the status column of a pod.
fn status_reason(pod: &Value) -> String {
    let status = &pod["status"];
    let mut reason = match text(&status["reason"]) {
        "" => text(&status["phase"]).to_owned(),
        reason => reason.to_owned(),
    };
    let mut running = false;
    for container in list(&status["containerStatuses"]) {
        let state = &container["state"];
        if let Some(waiting) = state["waiting"]["reason"].as_str().filter(|r| !r.is_empty()) {
            waiting.clone_into(&mut reason);
        } else if state["terminated"].is_object() {
            reason = match (
                text(&state["terminated"]["reason"]),
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
        let lost = text(&status["reason"]) == "NodeLost";
        return if lost { "Unknown".into() } else { "Terminating".into() };
    }
    reason
}

/// The cells with the names and the images of the containers.
fn names_and_images(template: &Value) -> [Value; 2] {
    let join = |field: &str| -> Value {
        let all: Vec<&str> = list(&template["spec"]["containers"]).map(|c| text(&c[field])).collect();
        all.join(",").into()
    };
    [join("name"), join("image")]
}

fn selector_cell(object: &Value) -> Value {
    or_none(&LabelSelector::of_object(&object["spec"]["selector"]).to_string())
}

/// The cells of a deployment: ready, up-to-date, available, age, containers, images, selector.
pub(crate) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let [names, images] = names_and_images(&object["spec"]["template"]);
    vec![
        format!("{}/{wanted}", number_or_zero(&status["readyReplicas"])).into(),
        number_or_zero(&status["updatedReplicas"]).into(),
        number_or_zero(&status["availableReplicas"]).into(),
        since(text(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
        selector_cell(object),
    ]
}

/// The cells of a replica set: desired, current, ready, age, containers, images, selector.
pub(crate) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let [names, images] = names_and_images(&object["spec"]["template"]);
    vec![
        object["spec"]["replicas"].as_i64().unwrap_or(1).into(),
        number_or_zero(&status["replicas"]).into(),
        number_or_zero(&status["readyReplicas"]).into(),
        since(text(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
        selector_cell(object),
    ]
}

/// The cells of a stateful set: ready, age, containers, images.
pub(crate) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let [names, images] = names_and_images(&object["spec"]["template"]);
    vec![
        format!("{}/{wanted}", number_or_zero(&object["status"]["readyReplicas"])).into(),
        since(text(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
    ]
}

/// The cells of a daemon set: desired, current, ready, up-to-date, available, node selector, age, containers, images,
/// selector.
pub(crate) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
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
        since(text(&object["metadata"]["creationTimestamp"]), now).into(),
        names,
        images,
        selector_cell(object),
    ]
}

/// The cells of a job: status, completions, duration, age.
pub(crate) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let has = |kind: &str| list(&status["conditions"]).any(|c| c["type"] == kind && c["status"] == "True");
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
    let start = text(&status["startTime"]);
    let end = status["completionTime"].as_str().and_then(|t| t.parse().ok()).unwrap_or(now);
    vec![
        state.into(),
        format!("{}/{wanted}", number_or_zero(&status["succeeded"])).into(),
        if start.is_empty() { Value::from("") } else { since(start, end).into() },
        since(text(&object["metadata"]["creationTimestamp"]), now).into(),
    ]
}
