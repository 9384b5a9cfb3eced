//! The node selector and the node affinity of a pod.

use serde_json::Value;

use crate::controllers::objects::{name, number};
use crate::json::texts;

/// Whether the node matches `nodeSelector` and the required node affinity in the spec of a pod.
pub(in crate::controllers) fn matches_node(spec: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let mut selector = spec["nodeSelector"].as_object().into_iter().flatten();
    if !selector.all(|(key, value)| labels[key] == *value) {
        return false;
    }
    let affinity = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    match affinity["nodeSelectorTerms"].as_array() {
        Some(terms) => terms.iter().any(|term| matches_term(term, node)),
        None => true,
    }
}

/// The sum of the weights of the preferred node affinity terms that the node matches.
pub(super) fn preferred_weight(pod: &Value, node: &Value) -> i64 {
    let preferred =
        &pod["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
    let terms = preferred.as_array().into_iter().flatten();
    terms.filter(|term| matches_term(&term["preference"], node)).map(|term| number(&term["weight"])).sum()
}

/// Whether the node meets all requirements of a term. An empty term matches no node.
fn matches_term(term: &Value, node: &Value) -> bool {
    let requirements = |field: &str| term[field].as_array().cloned().unwrap_or_default();
    let (expressions, fields) = (requirements("matchExpressions"), requirements("matchFields"));
    let label = |requirement: &Value| {
        node["metadata"]["labels"][requirement["key"].as_str().unwrap_or_default()]
            .as_str()
            .map(str::to_owned)
    };
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|requirement| meets_requirement(requirement, label(requirement).as_deref()))
        && fields.iter().all(|requirement| meets_requirement(requirement, Some(name(node))))
}

/// Whether the value of a label or field meets a requirement. `value` is `None` if the node does not have the label.
fn meets_requirement(requirement: &Value, value: Option<&str>) -> bool {
    let values = || texts(&requirement["values"]);
    let is_in = || value.is_some_and(|value| values().any(|wanted| wanted == value));
    let compare = |test: fn(i64, i64) -> bool| {
        let limit = values().next().and_then(|text| text.parse::<i64>().ok());
        let number = value.and_then(|text| text.parse::<i64>().ok());
        number.zip(limit).is_some_and(|(number, limit)| test(number, limit))
    };
    match requirement["operator"].as_str() {
        Some("In") => is_in(),
        Some("NotIn") => !is_in(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        Some("Gt") => compare(|number, limit| number > limit),
        Some("Lt") => compare(|number, limit| number < limit),
        _ => false,
    }
}
