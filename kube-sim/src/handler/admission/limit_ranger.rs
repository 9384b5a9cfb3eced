//! The admission plugin LimitRanger: applies the defaults of `LimitRange` objects to the containers of new and resized
//! pods, and enforces the limits on containers, pods and volume claims.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{PODS, Write, items};
use crate::schema::{self, NANOS_PER_MILLI, NANOS_PER_UNIT};
use crate::status::SimError;
use crate::store::State;
use crate::strategy::pod_resources::{Quantities, pod_total, quantities};

const LIMIT_RANGES: &str = "/limitranges";
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// The largest quantity that the API server compares in thousandths of a unit. Larger quantities are compared in whole
/// units.
const MAX_UNITS_IN_MILLIS: i128 = i64::MAX as i128 / 1000;

/// Whether the plugin sets defaults in the object of the write: a new pod, or a resized pod that is not being deleted.
pub(super) fn sets_defaults(write: &Write<'_>) -> bool {
    match write.old {
        None => write.is_to_any(PODS),
        Some(old) => write.is_to_pods() && write.subresource == "resize" && !is_being_deleted(old),
    }
}

/// Sets the missing requests and limits of the containers of a pod to the defaults of the `LimitRange` objects, and
/// describes these defaults in an annotation.
pub(super) fn set_defaults(state: &State, write: &Write<'_>, pod: &mut Value) {
    for range in state.objects(LIMIT_RANGES, write.namespace) {
        let range = state.decoded_value(&range);
        let mut notes = Vec::new();
        for (list, label) in [("containers", "container"), ("initContainers", "init container")] {
            let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
            for container in containers {
                set_container_defaults(&range, container, label, &mut notes);
            }
        }
        if !notes.is_empty() {
            let text = format!("LimitRanger plugin set: {}", notes.join("; "));
            pod["metadata"]["annotations"][ANNOTATION] = text.into();
        }
    }
}

/// Sets the defaults of one container, and appends a description of these defaults to `notes`.
fn set_container_defaults(range: &Value, container: &mut Value, label: &str, notes: &mut Vec<String>) {
    for (kind, source, word) in [("requests", "defaultRequest", "request"), ("limits", "default", "limit")] {
        let mut set = BTreeSet::new();
        for limit in items(&range["spec"], "limits").filter(|limit| limit["type"] == "Container") {
            for (resource, quantity) in limit[source].as_object().into_iter().flatten() {
                let existing =
                    container.get("resources").and_then(|r| r.get(kind)).and_then(|l| l.get(resource));
                // A later item of the same `LimitRange` overrides the default of an earlier item.
                if existing.is_none() || set.contains(resource) {
                    if !container["resources"].is_object() {
                        container["resources"] = json!({});
                    }
                    container["resources"][kind][resource] = quantity.clone();
                    set.insert(resource.clone());
                }
            }
        }
        if !set.is_empty() {
            let name = container["name"].as_str().unwrap_or_default();
            let resources = set.into_iter().collect::<Vec<_>>().join(", ");
            notes.push(format!("{resources} {word} for {label} {name}"));
        }
    }
}

/// Enforces the limits on new and resized pods, and on volume claims.
///
/// # Errors
/// 403 with all violations of the first `LimitRange` that the object violates.
pub(super) fn check(state: &State, write: &Write<'_>, object: &Value) -> Result<(), SimError> {
    let is_claim = write.is_to_any(&[("", "persistentvolumeclaims")]);
    if !is_claim && !sets_defaults(write) || write.old.is_some_and(is_being_deleted) {
        return Ok(());
    }
    for range in state.objects(LIMIT_RANGES, write.namespace) {
        let mut problems = Vec::new();
        for limit in items(&state.decoded_value(&range)["spec"], "limits") {
            if is_claim {
                check_claim(limit, object, &mut problems);
            } else {
                check_pod(limit, object, &mut problems);
            }
        }
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.clone()));
        match problems.as_slice() {
            [] => {}
            [problem] => return Err(write.forbidden(object, problem)),
            all => return Err(write.forbidden(object, &format!("[{}]", all.join(", ")))),
        }
    }
    Ok(())
}

fn check_claim(limit: &Value, claim: &Value, problems: &mut Vec<String>) {
    if limit["type"] != "PersistentVolumeClaim" {
        return;
    }
    let usage =
        Usage { limit_type: "PersistentVolumeClaim", ..Usage::of(&claim["spec"]["resources"], false) };
    usage.check_min(&quantities(&limit["min"]), problems);
    for (resource, enforced) in quantities(&limit["max"]) {
        let ([request, _], [amount, _, max]) = usage.amounts(&resource, enforced.0);
        let rest = match request {
            None => "  No request is specified".to_owned(),
            Some(text) if amount > max => format!(", but request is {text}"),
            Some(_) => continue,
        };
        problems.push(usage.problem("maximum", &resource, &enforced, &rest));
    }
}

fn check_pod(limit: &Value, pod: &Value, problems: &mut Vec<String>) {
    let usages = match limit["type"].as_str() {
        Some("Container") => {
            let lists = ["containers", "initContainers"].into_iter();
            let containers = lists.flat_map(|list| items(&pod["spec"], list));
            containers.map(|container| Usage::of(&container["resources"], true)).collect()
        }
        Some("Pod") => vec![Usage {
            limit_type: "Pod",
            requests: pod_total(&pod["spec"], "requests"),
            limits: pod_total(&pod["spec"], "limits"),
        }],
        _ => Vec::new(),
    };
    for usage in usages {
        usage.check_min(&quantities(&limit["min"]), problems);
        usage.check_max(&quantities(&limit["max"]), problems);
        usage.check_ratio(&quantities(&limit["maxLimitRequestRatio"]), problems);
    }
}

/// The requests and limits of a container, a pod or a volume claim.
struct Usage {
    limit_type: &'static str,
    requests: Quantities,
    limits: Quantities,
}

impl Usage {
    fn of(resources: &Value, with_limits: bool) -> Self {
        let limits = if with_limits { quantities(&resources["limits"]) } else { Quantities::new() };
        Self { limit_type: "Container", requests: quantities(&resources["requests"]), limits }
    }

    fn problem(&self, bound: &str, resource: &str, enforced: &(i128, String), rest: &str) -> String {
        let dot = if rest.starts_with("  ") { "." } else { "" };
        format!("{bound} {resource} usage per {} is {}{dot}{rest}", self.limit_type, enforced.1)
    }

    fn check_min(&self, min: &Quantities, problems: &mut Vec<String>) {
        for (resource, enforced) in min {
            let ([request, limit], [amount, limit_amount, min]) = self.amounts(resource, enforced.0);
            let rest = match (request, limit) {
                (None, _) => "  No request is specified".to_owned(),
                (Some(text), _) if amount < min => format!(", but request is {text}"),
                (_, Some(text)) if limit_amount < min => format!(", but limit is {text}"),
                _ => continue,
            };
            problems.push(self.problem("minimum", resource, enforced, &rest));
        }
    }

    fn check_max(&self, max: &Quantities, problems: &mut Vec<String>) {
        for (resource, enforced) in max {
            let ([request, limit], [amount, limit_amount, max]) = self.amounts(resource, enforced.0);
            let rest = match (request, limit) {
                (_, None) => "  No limit is specified".to_owned(),
                (_, Some(text)) if limit_amount > max => format!(", but limit is {text}"),
                (Some(text), _) if amount > max => format!(", but request is {text}"),
                _ => continue,
            };
            problems.push(self.problem("maximum", resource, enforced, &rest));
        }
    }

    /// Returns the texts of the request and the limit of a resource. Also returns the amounts of the request,
    /// the limit and `enforced`, which [`round_amounts`] makes comparable. An absent quantity has no text and
    /// the amount 0.
    fn amounts(&self, resource: &str, enforced: i128) -> ([Option<&str>; 2], [i128; 3]) {
        let found = [&self.requests, &self.limits].map(|list| list.get(resource));
        let [request, limit] = found.map(|quantity| quantity.map_or(0, |(nanos, _)| *nanos));
        let texts = found.map(|quantity| quantity.map(|(_, text)| text.as_str()));
        (texts, round_amounts([request, limit, enforced]))
    }

    #[expect(clippy::cast_precision_loss, reason = "the API server computes the ratio with this precision")]
    fn check_ratio(&self, max: &Quantities, problems: &mut Vec<String>) {
        for (resource, (enforced, text)) in max {
            let (_, [request, limit, _]) = self.amounts(resource, *enforced);
            let why = if request == 0 {
                "no request is specified or request is 0".to_owned()
            } else if limit == 0 {
                "no limit is specified or limit is 0".to_owned()
            } else {
                let ratio = limit as f64 / request as f64;
                let allowed = *enforced as f64 / NANOS_PER_UNIT as f64;
                if ratio <= allowed {
                    continue;
                }
                format!("provided ratio is {ratio:.6}")
            };
            let limit_type = self.limit_type;
            problems
                .push(format!("{resource} max limit to request ratio per {limit_type} is {text}, but {why}"));
        }
    }
}

/// Rounds up the amounts of a comparison, from nanos to thousandths of a unit, or to whole units if one of the amounts
/// exceeds [`MAX_UNITS_IN_MILLIS`].
fn round_amounts(amounts: [i128; 3]) -> [i128; 3] {
    let is_small =
        amounts.iter().all(|nanos| schema::divide_rounding_up(*nanos, NANOS_PER_UNIT) <= MAX_UNITS_IN_MILLIS);
    let unit = if is_small { NANOS_PER_MILLI } else { NANOS_PER_UNIT };
    amounts.map(|nanos| schema::divide_rounding_up(nanos, unit))
}

fn is_being_deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the problems of a container with these resources.
    #[track_caller]
    fn check_container(limit: &Value, resources: &Value, expected: &[&str]) {
        let mut problems = Vec::new();
        check_pod(limit, &json!({"spec": {"containers": [{"resources": resources}]}}), &mut problems);
        assert_eq!(problems, expected);
    }

    #[test]
    fn amounts_are_compared_in_whole_units_if_one_is_large() {
        let min = json!({"type": "Container", "min": {"cpu": "600m"}});
        let of = |limit: &str| json!({"requests": {"cpu": "500m"}, "limits": {"cpu": limit}});
        check_container(&min, &of("1"), &["minimum cpu usage per Container is 600m, but request is 500m"]);
        check_container(&min, &of("10P"), &[]);
        let max = json!({"type": "Container", "max": {"cpu": "1P"}});
        check_container(&max, &of("10P"), &["maximum cpu usage per Container is 1P, but limit is 10P"]);
        let ratio = json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}});
        check_container(
            &ratio,
            &of("2"),
            &["cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"],
        );
        check_container(&ratio, &of("1"), &[]);
        check_container(
            &ratio,
            &json!({"limits": {"cpu": "1"}}),
            &[
                "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
            ],
        );
    }
}
