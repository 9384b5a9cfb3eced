//! The `Table` columns of pods.

use jiff::Timestamp;
use serde_json::Value;

use crate::strategy::printer::{Printer, age_cell, items, number_or_zero, or_none, string_or_empty};
use crate::strategy::since;

pub(super) const PRINTER: Printer = Printer {
    columns: &[
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
        "+IP",
        "+Node",
        "+Nominated Node",
        "+Readiness Gates",
    ],
    cells,
};

fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
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
        age_cell(pod, now),
        or_none(string_or_empty(&status["podIP"])),
        or_none(string_or_empty(&pod["spec"]["nodeName"])),
        or_none(string_or_empty(&status["nominatedNodeName"])),
        "<none>".into(),
    ]
}

/// The text in the column `Status` of a pod.
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
