//! The admission plugins NodeDeclaredFeatureValidator and PodResizeValidator: whether the node of a pod supports an
//! update of the pod.

use serde_json::{Value, json};

use super::{Write, items};
use crate::schema::{NANOS_PER_MILLI, NANOS_PER_UNIT, divide_rounding_up, quote};
use crate::status::SimError;
use crate::store::State;
use crate::strategy::pod_resources::{Quantities, pod_requests, quantities};

/// Refuses an update of a pod if the update needs a feature, and the node of the pod does not declare this feature.
pub(super) fn check_features(state: &State, write: &Write<'_>, pod: &Value) -> Result<(), SimError> {
    let Some(old) = stored_if_spec_changes(write, pod, &["", "resize"]) else { return Ok(()) };
    let needed = needed_features(&old["spec"], &pod["spec"]);
    if needed.is_empty() {
        return Ok(());
    }
    let node = node_of(state, write, pod)?;
    let declared = node["status"]["declaredFeatures"].as_array().map_or(&[][..], Vec::as_slice);
    let missing: Vec<_> =
        needed.into_iter().filter(|feature| !declared.iter().any(|known| known == feature)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!(
        "pod update requires features {} which are not available on node {}",
        missing.join(", "),
        quote(node_name(pod))
    );
    Err(write.forbidden(pod, &why))
}

/// The node features that a change of the spec of a pod needs, sorted by name.
fn needed_features(old: &Value, new: &Value) -> Vec<&'static str> {
    let mut needed = Vec::new();
    if old["resources"] != new["resources"] {
        needed.push("InPlacePodLevelResourcesVerticalScaling");
    }
    let is_sidecar = |container: &Value| container["restartPolicy"] == "Always";
    if items(old, "initContainers")
        .zip(items(new, "initContainers"))
        .any(|(old, new)| !is_sidecar(old) && old["resources"] != new["resources"])
    {
        needed.push("InPlacePodVerticalScalingInitContainers");
    }
    needed
}

/// Refuses to resize a pod if its CPU or memory requests exceed the allocatable resources of its node, or if the
/// operating system of the node is not Linux.
pub(super) fn check_resize(state: &State, write: &Write<'_>, pod: &Value) -> Result<(), SimError> {
    if stored_if_spec_changes(write, pod, &["resize"]).is_none() {
        return Ok(());
    }
    let node = node_of(state, write, pod)?;
    let system = node["metadata"]["labels"]["kubernetes.io/os"].as_str();
    if let Some(system) = system.filter(|system| *system != "linux") {
        let (name, system) = (quote(node_name(pod)), quote(system));
        let why = format!("pod resize is only supported on linux nodes, node {name} is {system}");
        return Err(refusal(write, pod, &why, "UnsupportedPlatform"));
    }
    let requests = pod_requests(&pod["spec"]);
    let allocatable = quantities(&node["status"]["allocatable"]);
    let mut problems = Vec::new();
    for (resource, unit) in [("cpu", NANOS_PER_MILLI), ("memory", NANOS_PER_UNIT)] {
        let amount = |list: &Quantities| list.get(resource).map_or(0, |(nanos, _)| *nanos);
        let (wanted, available) = (amount(&requests), amount(&allocatable));
        if wanted > available {
            let (wanted, available) = (divide_rounding_up(wanted, unit), divide_rounding_up(available, unit));
            problems.push(format!("{resource}, requested: {wanted}, allocatable: {available}"));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let why = format!("node didn't have enough allocatable resources: {}", problems.join("; "));
    Err(refusal(write, pod, &why, "NodeCapacity"))
}

/// The stored pod, if the write changes the spec of a pod that has a node, and the subresource of the write is one of
/// `subresources` ("" stands for the pod itself).
fn stored_if_spec_changes<'a>(write: &Write<'a>, pod: &Value, subresources: &[&str]) -> Option<&'a Value> {
    let is_checked =
        write.is_to_pods() && subresources.contains(&write.subresource) && !node_name(pod).is_empty();
    write.old.filter(|old| is_checked && old["metadata"]["generation"] != pod["metadata"]["generation"])
}

fn node_name(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

fn node_of(state: &State, write: &Write<'_>, pod: &Value) -> Result<Value, SimError> {
    let name = node_name(pod);
    match state.get("/nodes", name) {
        Some(node) => Ok(node.value()),
        None => Err(write.forbidden(pod, &format!("node {} not found", quote(name)))),
    }
}

fn refusal(write: &Write<'_>, pod: &Value, why: &str, reason: &str) -> SimError {
    write.forbidden(pod, why).with_causes(vec![json!({"reason": reason})])
}
