//! Topology spread constraints of a pod with `whenUnsatisfiable: DoNotSchedule`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fit::{strings, tolerates_all};
use super::labels;
use super::node::Node;
use crate::controllers::objects::{self, is_terminating, namespace, number};
use crate::store::selector::LabelSelector;

/// The reason why a constraint of the pod excludes the node, as in the messages of kube-scheduler; `None` if none does.
pub(super) fn problem(pod: &Value, node: &Node, nodes: &[Node]) -> Option<&'static str> {
    let all = pod["spec"]["topologySpreadConstraints"].as_array().into_iter().flatten();
    let required: Vec<&Value> = all.filter(|one| one["whenUnsatisfiable"] == "DoNotSchedule").collect();
    if required.is_empty() {
        return None;
    }
    let has_all_labels = |node: &&Node| required.iter().all(|one| domain(one, node).is_some());
    let labelled: Vec<&Node> = nodes.iter().filter(has_all_labels).collect();
    required.iter().find_map(|constraint| {
        let Some(own) = domain(constraint, node) else {
            return Some("node(s) didn't match pod topology spread constraints (missing required label)");
        };
        let mut counts = BTreeMap::<&str, i64>::new();
        for other in labelled.iter().filter(|other| includes(constraint, pod, other)) {
            let Some(domain) = domain(constraint, other) else { continue };
            let selected = other.pods().iter().filter(|other| selects(constraint, pod, other)).count();
            *counts.entry(domain).or_default() += i64::try_from(selected).unwrap_or(i64::MAX);
        }
        let domains = i64::try_from(counts.len()).unwrap_or(i64::MAX);
        let least = match counts.values().min() {
            Some(least) if domains >= number(&constraint["minDomains"]) => *least,
            _ => 0,
        };
        let itself = i64::from(selects(constraint, pod, pod));
        let skew = counts.get(own).copied().unwrap_or(0) + itself - least;
        let exceeded = skew > number(&constraint["maxSkew"]);
        exceeded.then_some("node(s) didn't match pod topology spread constraints")
    })
}

/// The topology domain of the node; `None` if it does not have the label of the constraint.
fn domain<'n>(constraint: &Value, node: &'n Node) -> Option<&'n str> {
    node.object()["metadata"]["labels"][constraint["topologyKey"].as_str()?].as_str()
}

/// Whether the constraint counts the pods of the node: by default, the node must match the node affinity of the pod,
/// and its taints do not matter.
fn includes(constraint: &Value, pod: &Value, node: &Node) -> bool {
    let (spec, node) = (&pod["spec"], node.object());
    (constraint["nodeAffinityPolicy"] == "Ignore" || labels::matches_node(spec, node))
        && (constraint["nodeTaintsPolicy"] != "Honor"
            || tolerates_all(spec, node, &["NoSchedule", "NoExecute"]))
}

/// Whether the constraint of `pod` counts another pod.
fn selects(constraint: &Value, pod: &Value, other: &Value) -> bool {
    let selector = &constraint["labelSelector"];
    let label = |pod: &Value, key: &str| pod["metadata"]["labels"][key].clone();
    let mut keys = strings(&constraint["matchLabelKeys"]).filter(|key| !label(pod, key).is_null());
    namespace(other) == namespace(pod)
        && !is_terminating(other)
        && selector.is_object()
        && LabelSelector::of_object(selector).matches(&objects::labels(other))
        && keys.all(|key| label(pod, key) == label(other, key))
}
