//! The pods of a daemon set.

use serde_json::{Value, json};

use super::{COMPONENT, DaemonSet, HASH_LABEL, KIND};
use crate::controllers::controller_revisions::template_of;
use crate::controllers::objects::{annotation, name};
use crate::controllers::owned_objects;
use crate::controllers::pods::node_name;

/// The annotation of a daemon set and the label of its pods. Both contain the generation of the pod template.
const TEMPLATE_GENERATION: (&str, &str) =
    ("deprecated.daemonset.template.generation", "pod-template-generation");

/// The keys and the effects of the taints that every daemon pod tolerates.
const TOLERATED_TAINTS: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

impl DaemonSet<'_> {
    /// Creates a pod that the scheduler can bind only to this node.
    pub(super) fn create_pod_on(&mut self, node: &str) {
        let revision = self.revisions.current();
        let mut pod = owned_objects::pod_from_template(KIND, &self.object, &template_of(revision));
        let hash = name(revision).strip_prefix(&format!("{}-", name(&self.object))).unwrap_or_default();
        pod["metadata"]["labels"][HASH_LABEL] = hash.into();
        if let Some(generation) = annotation(&self.object, TEMPLATE_GENERATION.0) {
            pod["metadata"]["labels"][TEMPLATE_GENERATION.1] = generation.into();
        }
        pod["spec"] = with_tolerations(&pod["spec"]);
        let required = json!({"nodeSelectorTerms": [{"matchFields": [
            {"key": "metadata.name", "operator": "In", "values": [node]},
        ]}]});
        let field = "requiredDuringSchedulingIgnoredDuringExecution";
        pod["spec"]["affinity"]["nodeAffinity"][field] = required;
        // If the server refuses the pod, `create_pod` creates an Event. The next change of a node or a pod causes
        // another attempt.
        let _ = owned_objects::create_pod(self.state, KIND, &self.object, &pod, COMPONENT);
    }
}

/// Copies a pod spec, and adds the tolerations of daemon pods to the copy.
pub(super) fn with_tolerations(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if !spec["tolerations"].is_array() {
        spec["tolerations"] = json!([]);
    }
    let host_network = spec["hostNetwork"] == true;
    let Some(tolerations) = spec["tolerations"].as_array_mut() else { return spec };
    let network = host_network.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    for (key, effect) in TOLERATED_TAINTS.into_iter().chain(network) {
        let toleration = json!({"key": key, "operator": "Exists", "effect": effect});
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    spec
}

/// The name of the node to which a pod is bound. If the pod is not bound, the name of the node that its node affinity
/// requires.
pub(super) fn node_of(pod: &Value) -> &str {
    if !node_name(pod).is_empty() {
        return node_name(pod);
    }
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str().unwrap_or_default()
}

/// The hash of the revision of a pod.
pub(super) fn revision_hash_of(pod: &Value) -> &str {
    pod["metadata"]["labels"][HASH_LABEL].as_str().unwrap_or_default()
}
