//! The admission plugins TaintNodesByCondition and PodTopologyLabels.

use serde_json::{Map, Value, json};

use super::items;
use crate::admission_plugin::AdmissionPlugin;
use crate::store::State;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The labels that a pod gets from its node.
const TOPOLOGY_LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// Adds the taint `node.kubernetes.io/not-ready` with the effect `NoSchedule`, unless the node has this taint.
pub(super) fn add_not_ready_taint(node: &mut Value) {
    let mut taints: Vec<Value> = items(&node["spec"], "taints").cloned().collect();
    if taints.iter().any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule") {
        return;
    }
    taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    if !node["spec"].is_object() {
        node["spec"] = json!({});
    }
    node["spec"]["taints"] = taints.into();
}

/// Copies the topology labels from the node of a pod to the pod.
pub(crate) fn label_pod(state: &State, pod: &mut Value) {
    let labels = topology_labels(state, pod["spec"]["nodeName"].as_str().unwrap_or_default());
    for (label, value) in labels {
        pod["metadata"]["labels"][label] = value;
    }
}

/// The topology labels of a node; none if the node does not exist or the plugin PodTopologyLabels is disabled.
fn topology_labels(state: &State, node: &str) -> Map<String, Value> {
    let enabled = state.has_plugin(AdmissionPlugin::PodTopologyLabels);
    let Some(node) = state.get("/nodes", node).filter(|_| enabled) else { return Map::new() };
    let labels = TOPOLOGY_LABELS.into_iter();
    labels.filter_map(|label| Some((label.to_owned(), node.labels.get(label)?.into()))).collect()
}
