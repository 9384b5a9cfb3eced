//! The conditions under which a pod can run on a node. The texts of unmet conditions are those of
//! kube-scheduler.

use serde_json::Value;

use super::node::{Node, Resources};
use super::{labels, spread::SpreadConstraints};
use crate::controllers::objects::{self, namespace};
use crate::handler::admission::NAMESPACES;
use crate::json::texts;
use crate::store::State;
use crate::store::selector::LabelSelector;

/// The nodes with their pods, and the stored objects, such as namespaces.
#[derive(Clone, Copy)]
pub(super) struct Cluster<'a> {
    pub(super) state: &'a State,
    pub(super) nodes: &'a [Node],
}

/// The reasons why the pod cannot run on the node; `None` if it can.
pub(super) fn problems(
    pod: &Value,
    wanted: &Resources,
    node: &Node,
    cluster: Cluster<'_>,
    spread: &SpreadConstraints<'_>,
) -> Option<Vec<String>> {
    let one = |text: &str| Some(vec![text.to_owned()]);
    if node.object()["spec"]["unschedulable"] == true && !tolerates_cordon(pod) {
        return one("node(s) were unschedulable");
    }
    if !tolerates_all(&pod["spec"], node.object(), &["NoSchedule", "NoExecute"]) {
        return one("node(s) had untolerated taint(s)");
    }
    if !labels::matches_node(&pod["spec"], node.object()) {
        return one("node(s) didn't match Pod's node affinity/selector");
    }
    if has_port_conflict(pod, node) {
        return one("node(s) didn't have free ports for the requested pod ports");
    }
    let missing = node.resource_problems(wanted);
    if !missing.is_empty() {
        return Some(missing);
    }
    if let Some(reason) = spread.problem(node) {
        return one(reason);
    }
    if !matches_pod_affinity(pod, node, cluster) {
        return one("node(s) didn't match pod affinity rules");
    }
    if required_terms(pod, "podAntiAffinity").any(|term| has_selected_pod(pod, term, node, cluster)) {
        return one("node(s) didn't match pod anti-affinity rules");
    }
    if is_forbidden_by_existing_pod(pod, node, cluster) {
        return one("node(s) didn't satisfy existing pods anti-affinity rules");
    }
    None
}

fn tolerates_cordon(pod: &Value) -> bool {
    let taint = serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    tolerates(&pod["spec"], &taint)
}

/// Whether a pod with this spec tolerates all taints of the node that have one of the effects.
pub(in crate::controllers) fn tolerates_all(spec: &Value, node: &Value, effects: &[&str]) -> bool {
    let mut taints = node["spec"]["taints"].as_array().into_iter().flatten();
    taints.all(|taint| !effects.iter().any(|effect| taint["effect"] == *effect) || tolerates(spec, taint))
}

/// Whether a toleration in the spec of a pod tolerates the taint.
fn tolerates(spec: &Value, taint: &Value) -> bool {
    tolerations(spec, taint).next().is_some()
}

/// The tolerations of a pod for this taint.
pub(in crate::controllers) fn tolerations<'a>(
    spec: &'a Value,
    taint: &'a Value,
) -> impl Iterator<Item = &'a Value> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let all = spec["tolerations"].as_array().into_iter().flatten();
    all.filter(move |toleration| {
        let (effect, key) = (text(&toleration["effect"]), text(&toleration["key"]));
        let exists = toleration["operator"] == "Exists";
        (effect.is_empty() || effect == text(&taint["effect"]))
            && (key == text(&taint["key"]) || (key.is_empty() && exists))
            && (exists || text(&toleration["value"]) == text(&taint["value"]))
    })
}

/// Whether a pod on the node uses a host port that `pod` requests.
fn has_port_conflict(pod: &Value, node: &Node) -> bool {
    let wanted: Vec<_> = host_ports(pod).collect();
    !wanted.is_empty() && node.pods().iter().flat_map(host_ports).any(|used| wanted.contains(&used))
}

/// The host ports of a pod, each with its protocol.
fn host_ports(pod: &Value) -> impl Iterator<Item = (i64, &str)> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let port = |port: &'_ Value| port["hostPort"].as_i64().filter(|number| *number > 0);
    ports.filter_map(move |found| Some((port(found)?, found["protocol"].as_str().unwrap_or("TCP"))))
}

/// The required terms of a pod affinity or anti-affinity.
fn required_terms<'a>(pod: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    let rules = &pod["spec"]["affinity"][kind]["requiredDuringSchedulingIgnoredDuringExecution"];
    rules.as_array().into_iter().flatten()
}

/// Whether the pod affinity of `pod` allows the node. Each required term must select a pod in the topology domain of the
/// node. If a term selects no pod on any node, it is sufficient that the term selects `pod` itself: `pod` is the first pod
/// of its group.
fn matches_pod_affinity(pod: &Value, node: &Node, cluster: Cluster<'_>) -> bool {
    required_terms(pod, "podAffinity").all(|term| {
        if domain(term, node).is_none() {
            return false;
        }
        let selects_nothing =
            || !cluster.nodes.iter().flat_map(Node::pods).any(|other| is_selected(cluster, pod, term, other));
        has_selected_pod(pod, term, node, cluster)
            || (is_selected(cluster, pod, term, pod) && selects_nothing())
    })
}

/// Whether the anti-affinity of an existing pod forbids `pod` in the topology domain of the node.
fn is_forbidden_by_existing_pod(pod: &Value, node: &Node, cluster: Cluster<'_>) -> bool {
    cluster.nodes.iter().any(|other| {
        other.pods().iter().any(|owner| {
            required_terms(owner, "podAntiAffinity")
                .any(|term| is_selected(cluster, owner, term, pod) && are_in_same_domain(term, node, other))
        })
    })
}

/// Whether a pod that the term selects runs in the topology domain of the node.
fn has_selected_pod(owner: &Value, term: &Value, node: &Node, cluster: Cluster<'_>) -> bool {
    cluster
        .nodes
        .iter()
        .filter(|other| are_in_same_domain(term, node, other))
        .any(|other| other.pods().iter().any(|pod| is_selected(cluster, owner, term, pod)))
}

fn are_in_same_domain(term: &Value, a: &Node, b: &Node) -> bool {
    domain(term, a).is_some_and(|of_a| domain(term, b) == Some(of_a))
}

/// The topology domain of the node: the value of the label that `topologyKey` names; `None` if the node does not have this
/// label. `term` is an affinity term or a topology spread constraint.
pub(super) fn domain<'n>(term: &Value, node: &'n Node) -> Option<&'n str> {
    node.object()["metadata"]["labels"][term["topologyKey"].as_str()?].as_str()
}

/// Whether `term` selects `pod`. `owner` is the pod whose affinity or anti-affinity contains `term`. If `term` has neither
/// `namespaces` nor a `namespaceSelector`, it selects only pods in the namespace of `owner`.
fn is_selected(cluster: Cluster<'_>, owner: &Value, term: &Value, pod: &Value) -> bool {
    let (selector, namespaces) = (&term["namespaceSelector"], &term["namespaces"]);
    let is_listed = texts(namespaces).any(|name| name == namespace(pod));
    let is_own =
        || selector.is_null() && texts(namespaces).next().is_none() && namespace(owner) == namespace(pod);
    let has_labels = || {
        let found = cluster.state.get(NAMESPACES, namespace(pod));
        found.is_some_and(|found| LabelSelector::from_json(selector).matches(&found.labels))
    };
    let in_namespace = is_listed || is_own() || (selector.is_object() && has_labels());
    let selector = &term["labelSelector"];
    in_namespace && !selector.is_null() && LabelSelector::from_json(selector).matches(&objects::labels(pod))
}
