//! The `Table` rows of pods.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::json::has_condition;
use crate::strategy::human_age;
use crate::strategy::printer::{
    Printer, age_cell, items, name_cell, number_or_zero, string_or_empty, text_cell_or_none,
};

pub(super) const PRINTER: Printer = Printer { conditions: row_conditions, ..Printer::new(cells) };

/// The values that the cells of a pod show about its containers.
#[derive(Debug, Default)]
struct ContainerSummary<'a> {
    /// The text of the cell `Status`. [`status_text`] can replace the text for a pod that is being deleted.
    reason: String,
    ready: usize,
    restarts: i64,
    /// The latest time at which a container terminated before its restart.
    restarted_at: &'a str,
}

fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let summary = container_summary(pod);
    let sidecars = items(&spec["initContainers"]).filter(|container| is_sidecar(container)).count();
    let total = items(&spec["containers"]).count() + sidecars;
    let restarts = match summary.restarted_at {
        at if summary.restarts > 0 && !at.is_empty() => {
            format!("{} ({} ago)", summary.restarts, human_age(at, now))
        }
        _ => summary.restarts.to_string(),
    };
    vec![
        name_cell(pod),
        format!("{}/{total}", summary.ready).into(),
        status_text(pod, summary.reason).into(),
        restarts.into(),
        age_cell(pod, now),
        text_cell_or_none(string_or_empty(&status["podIPs"][0]["ip"])),
        text_cell_or_none(string_or_empty(&spec["nodeName"])),
        text_cell_or_none(string_or_empty(&status["nominatedNodeName"])),
        readiness_gates(pod).into(),
    ]
}

/// Whether an init container keeps running beside the containers of its pod.
fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

fn container_summary(pod: &Value) -> ContainerSummary<'_> {
    let status = &pod["status"];
    let phase = string_or_empty(&status["phase"]);
    let reason = string_or_empty(&status["reason"]);
    let gated = items(&status["conditions"])
        .any(|condition| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated");
    let reason = if gated {
        "SchedulingGated"
    } else if reason.is_empty() {
        phase
    } else {
        reason
    };
    let mut all = ContainerSummary { reason: reason.to_owned(), ..ContainerSummary::default() };
    let mut sidecars = ContainerSummary::default();
    let initializing = add_init_containers(pod, &mut all, &mut sidecars);
    if initializing && !has_condition(pod, "Initialized", "True") {
        return all;
    }
    (all.restarts, all.restarted_at) = (sidecars.restarts, sidecars.restarted_at);
    add_containers(pod, &mut all);
    all
}

impl<'a> ContainerSummary<'a> {
    fn add_restarts(&mut self, container: &'a Value) {
        self.restarts += number_or_zero(&container["restartCount"]);
        let at = string_or_empty(&container["lastState"]["terminated"]["finishedAt"]);
        self.restarted_at = self.restarted_at.max(at);
    }
}

/// Adds the restarts of init containers and the number of ready sidecars to `all`. Also adds the restarts of sidecars to
/// `sidecars`. Stops after the first init container that has not succeeded, sets the reason in `all` from the state of this
/// container, and returns true. A started sidecar counts as succeeded. Returns false if all init containers have succeeded.
fn add_init_containers<'a>(
    pod: &'a Value,
    all: &mut ContainerSummary<'a>,
    sidecars: &mut ContainerSummary<'a>,
) -> bool {
    let specs = &pod["spec"]["initContainers"];
    for (index, container) in items(&pod["status"]["initContainerStatuses"]).enumerate() {
        let sidecar = items(specs).any(|spec| spec["name"] == container["name"] && is_sidecar(spec));
        all.add_restarts(container);
        if sidecar {
            sidecars.add_restarts(container);
        }
        let state = &container["state"];
        let terminated = &state["terminated"];
        if terminated.is_object() && number_or_zero(&terminated["exitCode"]) == 0 {
            continue;
        }
        if sidecar && container["started"] == true {
            all.ready += usize::from(container["ready"] == true);
            continue;
        }
        all.reason = match string_or_empty(&state["waiting"]["reason"]) {
            _ if terminated.is_object() => format!("Init:{}", termination_reason(terminated)),
            "" | "PodInitializing" => format!("Init:{index}/{}", items(specs).count()),
            reason => format!("Init:{reason}"),
        };
        return true;
    }
    false
}

/// The reason of the termination of a container, or else the signal, or else the exit code.
fn termination_reason(terminated: &Value) -> String {
    match (string_or_empty(&terminated["reason"]), number_or_zero(&terminated["signal"])) {
        ("", 0) => format!("ExitCode:{}", number_or_zero(&terminated["exitCode"])),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

/// Adds the number of ready containers and the restarts to `all`. Sets the reason in `all` from the states of the
/// containers. Init containers are not included.
fn add_containers<'a>(pod: &'a Value, all: &mut ContainerSummary<'a>) {
    let mut running = false;
    let mut failure = String::new();
    let containers: Vec<&Value> = items(&pod["status"]["containerStatuses"]).collect();
    for container in containers.into_iter().rev() {
        all.add_restarts(container);
        let state = &container["state"];
        let terminated = &state["terminated"];
        match string_or_empty(&state["waiting"]["reason"]) {
            "" if terminated.is_object() => {
                all.reason = termination_reason(terminated);
                if number_or_zero(&terminated["exitCode"]) != 0 {
                    failure.clone_from(&all.reason);
                }
            }
            "" => {
                let ready = container["ready"] == true && state["running"].is_object();
                running |= ready;
                all.ready += usize::from(ready);
            }
            reason => reason.clone_into(&mut all.reason),
        }
    }
    if all.reason != "Completed" {
        return;
    }
    // The pod shows `Completed` only if no ready container is running and no container has failed.
    if running && has_condition(pod, "Ready", "True") {
        "Running".clone_into(&mut all.reason);
    } else if !failure.is_empty() {
        all.reason = failure;
    } else if running {
        "NotReady".clone_into(&mut all.reason);
    }
}

/// The text of the cell `Status`. A pod that is being deleted has the status `Unknown` if its node is lost, or else
/// `Terminating` until the pod has terminated. Any other pod has the status `reason`.
fn status_text(pod: &Value, reason: String) -> String {
    if !pod["metadata"]["deletionTimestamp"].is_string() {
        return reason;
    }
    let status = &pod["status"];
    match (string_or_empty(&status["reason"]), string_or_empty(&status["phase"])) {
        ("NodeLost", _) => "Unknown".to_owned(),
        (_, "Succeeded" | "Failed") => reason,
        _ => "Terminating".to_owned(),
    }
}

/// The cell `Readiness Gates`: the number of gates whose condition is true, and the number of all gates.
fn readiness_gates(pod: &Value) -> String {
    let gates: Vec<&str> =
        items(&pod["spec"]["readinessGates"]).map(|gate| string_or_empty(&gate["conditionType"])).collect();
    if gates.is_empty() {
        return "<none>".to_owned();
    }
    format!("{}/{}", gates.iter().filter(|gate| has_condition(pod, gate, "True")).count(), gates.len())
}

/// The conditions of the row of a pod: `Completed` if the pod has succeeded or failed, otherwise none.
fn row_conditions(pod: &Value) -> Vec<Value> {
    let completed = |reason: &str, message: &str| {
        vec![json!({"type": "Completed", "status": "True", "reason": reason, "message": message})]
    };
    match string_or_empty(&pod["status"]["phase"]) {
        "Succeeded" => completed("Succeeded", "The pod has completed successfully."),
        "Failed" => completed("Failed", "The pod failed."),
        _ => Vec::new(),
    }
}
