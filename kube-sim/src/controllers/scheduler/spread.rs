//! The topology spread constraints of a pod. The scheduler uses only those with
//! `whenUnsatisfiable: DoNotSchedule`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fit::{domain, tolerates_all};
use super::labels;
use super::node::Node;
use crate::controllers::objects::{self, is_terminating, namespace, number};
use crate::json::texts;
use crate::store::selector::LabelSelector;

/// The required topology spread constraints of a pod (`whenUnsatisfiable: DoNotSchedule`). Each constraint
/// has the number of pods that it counts in each topology domain.
pub(super) struct SpreadConstraints<'a>(Vec<CountedConstraint<'a>>);

/// A constraint, and the numbers of pods that the constraint counts.
struct CountedConstraint<'a> {
    constraint: &'a Value,
    /// The number of counted pods in each topology domain.
    counts: BTreeMap<&'a str, i64>,
    /// The minimum of `counts`; 0 if there are fewer domains than `minDomains`.
    least: i64,
    /// 1 if the constraint counts the pod to be scheduled, otherwise 0.
    self_match: i64,
}

impl<'a> SpreadConstraints<'a> {
    pub(super) fn of(pod: &'a Value, nodes: &'a [Node]) -> Self {
        let all = pod["spec"]["topologySpreadConstraints"].as_array().into_iter().flatten();
        let required: Vec<&Value> = all.filter(|one| one["whenUnsatisfiable"] == "DoNotSchedule").collect();
        let has_all_labels = |node: &&Node| required.iter().all(|one| domain(one, node).is_some());
        let labelled: Vec<&Node> = nodes.iter().filter(has_all_labels).collect();
        Self(required.iter().map(|constraint| CountedConstraint::of(constraint, pod, &labelled)).collect())
    }

    /// The reason why a constraint excludes the node, in the words of kube-scheduler; `None` if all constraints allow the
    /// node.
    pub(super) fn problem(&self, node: &Node) -> Option<&'static str> {
        self.0.iter().find_map(|CountedConstraint { constraint, counts, least, self_match }| {
            let Some(own) = domain(constraint, node) else {
                return Some("node(s) didn't match pod topology spread constraints (missing required label)");
            };
            let skew = counts.get(own).copied().unwrap_or(0) + self_match - least;
            let exceeded = skew > number(&constraint["maxSkew"]);
            exceeded.then_some("node(s) didn't match pod topology spread constraints")
        })
    }
}

impl<'a> CountedConstraint<'a> {
    /// Counts the pods on `nodes` for a constraint of `pod`. `nodes` are the nodes that have the topology labels of all
    /// constraints of `pod`.
    fn of(constraint: &'a Value, pod: &Value, nodes: &[&'a Node]) -> Self {
        let mut counts = BTreeMap::<&str, i64>::new();
        for node in nodes.iter().filter(|node| includes_node(constraint, pod, node)) {
            let Some(domain) = domain(constraint, node) else { continue };
            let selected = node.pods().iter().filter(|other| selects_pod(constraint, pod, other)).count();
            *counts.entry(domain).or_default() += i64::try_from(selected).unwrap_or(i64::MAX);
        }
        let domains = i64::try_from(counts.len()).unwrap_or(i64::MAX);
        let least = match counts.values().min() {
            Some(least) if domains >= number(&constraint["minDomains"]) => *least,
            _ => 0,
        };
        Self { constraint, counts, least, self_match: i64::from(selects_pod(constraint, pod, pod)) }
    }
}

/// Whether the constraint of `pod` counts the pods on the node. By default, the node must match the node selector and the
/// node affinity of `pod`, and the taints of the node do not matter.
fn includes_node(constraint: &Value, pod: &Value, node: &Node) -> bool {
    let (spec, node) = (&pod["spec"], node.object());
    (constraint["nodeAffinityPolicy"] == "Ignore" || labels::matches_node(spec, node))
        && (constraint["nodeTaintsPolicy"] != "Honor"
            || tolerates_all(spec, node, &["NoSchedule", "NoExecute"]))
}

/// Whether the constraint of `pod` counts the pod `other`, which can be `pod` itself.
fn selects_pod(constraint: &Value, pod: &Value, other: &Value) -> bool {
    let selector = &constraint["labelSelector"];
    let label = |pod: &Value, key: &str| pod["metadata"]["labels"][key].clone();
    let mut keys = texts(&constraint["matchLabelKeys"]).filter(|key| !label(pod, key).is_null());
    namespace(other) == namespace(pod)
        && !is_terminating(other)
        && selector.is_object()
        && LabelSelector::from_json(selector).matches(&objects::labels(other))
        && keys.all(|key| label(pod, key) == label(other, key))
}
