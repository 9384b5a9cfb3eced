//! Simulates the part of the kubelet that runs pods: pods on nodes run and become ready, and the pods of jobs complete.
//! Annotations with the prefix `kube-sim/` on a pod change this behaviour.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::objects::{
    NODES, PODS, annotation, condition, controller_of, find, is_terminating, name, namespace, number,
    remaining_time, time, uid,
};
use super::pods::{is_finished, node_name, restart_count};
use super::writes::{self, KUBELET, Part};
use super::{Keys, events, is_deletion, object_of, own_key, requeue};
use crate::encoding;
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;
use crate::workload::pod_status::{PodState, pod_status};

/// The annotation with the time from the start of the containers until the pod is ready. If the value is
/// `never`, the pod never becomes ready.
const READY_AFTER_ANNOTATION: &str = "kube-sim/ready-after";
/// The annotation with the time from the start of the containers until they exit. If the value is `never`, the
/// containers do not exit.
const EXIT_AFTER_ANNOTATION: &str = "kube-sim/exit-after";
/// The annotation with the exit code of the containers.
const EXIT_CODE_ANNOTATION: &str = "kube-sim/exit-code";

/// The time before the first restart of ended containers. Each further restart doubles the time, up to [`MAX_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
const MAX_BACK_OFF: Duration = Duration::from_secs(300);

/// The key of a changed pod; or, if a node is new or the condition `Ready` of a node has changed, the keys of the pods on
/// this node.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    if state.simulates_kubelets || is_deletion(event) {
        return Keys::new();
    }
    match &**storage {
        PODS => own_key(storage, event),
        NODES => {
            let ready_status = |node: &Value| condition(node, "Ready").map(|found| found["status"].clone());
            let before = event.previous.as_ref().map(|previous| ready_status(&previous.value()));
            if before == Some(ready_status(&event.object.value())) {
                return Keys::new();
            }
            let pods = state.objects(PODS, "");
            let own = pods.iter().filter(|pod| node_name(&pod.value()) == event.object.name());
            own.map(|pod| ((Arc::from(PODS), pod.key.clone()), pod.uid.clone(), Duration::ZERO)).collect()
        }
        _ => Keys::new(),
    }
}

/// Starts, ends or restarts the containers of a pod, or makes the pod ready. Requeues the key for the time of
/// the next change: waiting containers restart, running containers exit, or the pod becomes ready.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key).filter(|_| !state.simulates_kubelets) else { return };
    let pod = stored.value();
    if is_terminating(&pod) || is_finished(&pod) || !is_on_ready_node(state, &pod) {
        return;
    }
    let behaviour = ContainerBehaviour::of(state, &pod);
    let container = &pod["status"]["containerStatuses"][0]["state"];
    if let Some(started) = time(&container["running"]["startedAt"]) {
        let running = container.clone();
        let rest = |after: Option<Duration>| after.map(|after| remaining_time(&state.clock, started, after));
        let (ready_in, exit_in) = (rest(behaviour.ready_after), rest(behaviour.exit_after));
        if exit_in == Some(Duration::ZERO) {
            return end_containers(state, key, &pod, behaviour.exit_code);
        }
        let ready = ready_in == Some(Duration::ZERO);
        write_status(state, key, &pod, "Running", ready, &running);
        let delays = [ready_in.filter(|rest| !rest.is_zero()), exit_in];
        if let Some(rest) = delays.into_iter().flatten().min() {
            requeue(state, key, rest);
        }
    } else if container["waiting"]["reason"] == "CrashLoopBackOff" {
        let last = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"];
        let rest = time(last)
            .map_or(Duration::ZERO, |at| remaining_time(&state.clock, at, back_off(restart_count(&pod) - 1)));
        if rest.is_zero() {
            start_containers(state, key, &pod);
        } else {
            requeue(state, key, rest);
        }
    } else {
        start_containers(state, key, &pod);
        let message = "Container started";
        events::record_normal(state, "kubelet", &involved_object(&pod), "Started", message);
    }
}

/// Starts the containers. The pod is ready at once if [`ContainerBehaviour::ready_after`] is zero. The change of the status
/// causes another reconcile, which requeues the key for the time at which the pod becomes ready or the containers exit.
fn start_containers(state: &mut State, key: &Key, pod: &Value) {
    let running = json!({"running": {"startedAt": state.clock.stamp()}});
    let ready = ContainerBehaviour::of(state, pod).ready_after == Some(Duration::ZERO);
    write_status(state, key, pod, "Running", ready, &running);
}

/// The behaviour of the containers of a pod. The annotations of the pod determine the behaviour. Without annotations, the
/// pod is ready at once, and its containers exit only if a job controls the pod.
struct ContainerBehaviour {
    /// The time from the start of the containers until the pod is ready; `None` if the pod never becomes ready.
    ready_after: Option<Duration>,
    /// The time from the start of the containers until they exit; `None` if they do not exit.
    exit_after: Option<Duration>,
    exit_code: i64,
}

impl ContainerBehaviour {
    /// Reads the annotations of a pod, and creates an Event about each annotation with a wrong value.
    fn of(state: &mut State, pod: &Value) -> Self {
        let mut problems = Vec::new();
        let mut duration = |name: &str, default: Option<Duration>| match annotation(pod, name) {
            None => default,
            Some("never") => None,
            Some(text) => encoding::duration::parse(text).map_or_else(
                |why| {
                    problems.push(format!("{name}: {why}, or never"));
                    default
                },
                Some,
            ),
        };
        let is_of_job = controller_of(pod).is_some_and(|owner| owner["kind"] == "Job");
        let exits = is_of_job || annotation(pod, EXIT_CODE_ANNOTATION).is_some();
        let ready_after = duration(READY_AFTER_ANNOTATION, Some(Duration::ZERO));
        let exit_after = duration(EXIT_AFTER_ANNOTATION, exits.then_some(Duration::ZERO));
        let exit_code = annotation(pod, EXIT_CODE_ANNOTATION).map_or(Ok(0), str::parse::<u8>);
        if exit_code.is_err() {
            problems.push(format!("{EXIT_CODE_ANNOTATION}: expected a number from 0 to 255"));
        }
        for problem in problems {
            events::record_warning(state, "kubelet", &involved_object(pod), "InvalidAnnotation", &problem);
        }
        Self { ready_after, exit_after, exit_code: exit_code.unwrap_or(0).into() }
    }
}

/// Whether the node of the pod exists and is ready. A node without the condition `Ready` counts as ready.
fn is_on_ready_node(state: &State, pod: &Value) -> bool {
    let node = find(state, NODES, "", node_name(pod));
    node.is_some_and(|node| condition(&node, "Ready").is_none_or(|ready| ready["status"] == "True"))
}

/// Ends the containers. Depending on the restart policy and the exit code, the pod ends too, or its containers restart
/// later.
fn end_containers(state: &mut State, key: &Key, pod: &Value, code: i64) {
    let now = state.clock.stamp();
    let started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"].clone();
    let reason = if code == 0 { "Completed" } else { "Error" };
    let terminated =
        json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": now}});
    let restarts_containers = match pod["spec"]["restartPolicy"].as_str() {
        Some("Never") => false,
        Some("OnFailure") => code != 0,
        _ => true,
    };
    if !restarts_containers {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        return write_status(state, key, pod, phase, false, &terminated);
    }
    let mut pod = pod.clone();
    for container in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        container["lastState"] = terminated.clone();
        container["restartCount"] = (number(&container["restartCount"]) + 1).into();
    }
    let delay = back_off(restart_count(&pod) - 1);
    let container = pod["spec"]["containers"][0]["name"].as_str().unwrap_or_default();
    let message = format!(
        "back-off {}s restarting failed container={container} pod={}_{}({})",
        delay.as_secs(),
        name(&pod),
        namespace(&pod),
        uid(&pod)
    );
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
    let text = format!("Back-off restarting failed container {container}");
    events::record_warning(state, "kubelet", &involved_object(&pod), "BackOff", &text);
    write_status(state, key, &pod, "Running", false, &waiting);
}

/// The time before the next restart of containers that have restarted `restarts` times.
fn back_off(restarts: i64) -> Duration {
    let doublings = u32::try_from(restarts.clamp(0, 5)).unwrap_or(0);
    (FIRST_BACK_OFF * 2_u32.pow(doublings)).min(MAX_BACK_OFF)
}

/// Writes the status of a pod. The restart counts and the last states of the containers are those in `pod`.
fn write_status(state: &mut State, key: &Key, pod: &Value, phase: &str, ready: bool, container: &Value) {
    let node = find(state, NODES, "", node_name(pod)).unwrap_or_default();
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let internal = addresses.into_iter().find(|address| address["type"] == "InternalIP");
    let host_ip = internal.and_then(|address| address["address"].as_str()).unwrap_or("127.0.0.1");
    let ip = match pod["status"]["podIP"].as_str() {
        Some(ip) => ip.to_owned(),
        None if pod["spec"]["hostNetwork"] == true => host_ip.to_owned(),
        None => assign_ip(state),
    };
    let now = state.clock.stamp();
    let new = PodState { phase, ready, state: container, now: &now, ip: &ip, host_ip };
    let status = pod_status(pod, &new);
    // If the write fails because the space quota is exhausted, the next reconcile writes the status.
    let _ = writes::modify(state, &key.object, Part::Status, KUBELET, |pod| {
        for (field, value) in status.as_object().into_iter().flatten() {
            pod["status"][field] = value.clone();
        }
    });
}

/// Returns an IP address for a pod, from 10.244.0.0/16. The addresses repeat after 64,516 calls.
fn assign_ip(state: &mut State) -> String {
    let number = state.assigned_pod_ips % (254 * 254);
    state.assigned_pod_ips += 1;
    format!("10.244.{}.{}", number / 254, number % 254 + 1)
}

fn involved_object(pod: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "name": name(pod), "namespace": namespace(pod), "uid": uid(pod)})
}
