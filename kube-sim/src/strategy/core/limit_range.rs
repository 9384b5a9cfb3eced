//! The strategy of limit ranges.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::names;
use crate::schema::{FieldError, NANOS_PER_UNIT};
use crate::strategy::Strategy;
use crate::strategy::defaulting::{object_in, object_items};
use crate::strategy::validation::{Errors, Quantity, items, string_in};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "LimitRange",
    allow_create_on_update: true,
    set_defaults: |_, range| {
        if let Some(spec) = object_in(range, "spec") {
            object_items(spec, "limits").filter(|limit| limit["type"] == "Container").for_each(complete);
        }
    },
    prepare_for_create: |range, random| {
        if string_in(&range["metadata"], "name").is_empty() {
            range["metadata"]["name"] = random.uid().into();
        }
    },
    validate: |range, out| {
        for (path, limit) in items("spec", &range["spec"], "limits") {
            check_limit(&path, limit, out);
        }
    },
    ..Strategy::DEFAULT
};

/// Completes the defaults of containers: default limits from the maxima, and default requests from the default limits and
/// the minima.
fn complete(limit: &mut Value) {
    for (source, target) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let Some(quantities) = limit[source].as_object().filter(|list| !list.is_empty()).cloned() else {
            continue;
        };
        if !limit[target].is_object() {
            limit[target] = Map::new().into();
        }
        let Some(defaults) = limit[target].as_object_mut() else { continue };
        for (resource, quantity) in quantities {
            defaults.entry(resource).or_insert(quantity);
        }
    }
}

/// The lists of quantities of a limit, in the order of their validation.
const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

fn check_limit(path: &str, limit: &Value, out: &mut Errors) {
    let limit_type = string_in(limit, "type");
    if names::is_qualified(limit_type)
        && !limit_type.contains('/')
        && !["Pod", "Container", "PersistentVolumeClaim"].contains(&limit_type)
    {
        let why = "must be a standard limit type or fully qualified";
        out.push(FieldError::invalid(format!("{path}.type"), limit_type, why));
    }
    let mut checked = BTreeMap::new();
    for list in LISTS {
        let quantities = limit[list].as_object().filter(|quantities| !quantities.is_empty());
        let Some(quantities) = quantities else { continue };
        if limit_type == "Pod" && list.starts_with("default") {
            let why = "may not be specified when `type` is 'Pod'";
            out.push(FieldError::forbidden(format!("{path}.{list}"), why));
            continue;
        }
        for resource in quantities.keys() {
            check_resource(&format!("{path}.{list}[{resource}]"), limit_type, resource, out);
        }
        checked.insert(list, quantities);
    }
    let has_storage = |list: &str| limit[list].get("storage").is_some();
    if limit_type == "PersistentVolumeClaim" && !has_storage("min") && !has_storage("max") {
        let why = "either minimum or maximum storage value is required, but neither was provided";
        out.push(FieldError::required(format!("{path}.limits"), why));
    }
    let resources: BTreeSet<&String> = checked.values().flat_map(|quantities| quantities.keys()).collect();
    for resource in resources {
        let of = |list: &str| Quantity::of(checked.get(list)?.get(resource)?);
        compare(path, resource, &LISTS.map(of), out);
    }
}

/// Checks the name of a resource. Pods and containers have fewer standard resources than other objects.
fn check_resource(path: &str, limit_type: &str, resource: &str, out: &mut Errors) {
    const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    const OTHERS: [&str; 17] = [
        "storage",
        "requests.cpu",
        "requests.memory",
        "requests.storage",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    let before = out.0.len();
    for why in names::qualified_problems(resource) {
        out.push(FieldError::invalid(path, resource, why));
    }
    let is_huge_page =
        ["hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    let is_of_containers = OF_CONTAINERS.contains(&resource) || resource.starts_with("hugepages-");
    if out.0.len() == before
        && !resource.contains('/')
        && !(is_of_containers || is_huge_page || OTHERS.contains(&resource))
    {
        let why = "must be a standard resource type or fully qualified";
        out.push(FieldError::invalid(path, resource, why));
    }
    if !matches!(limit_type, "Pod" | "Container") {
        return;
    }
    if !resource.contains('/') {
        if !is_of_containers {
            out.push(FieldError::invalid(path, resource, "must be a standard resource for containers"));
        }
    } else if !resource.contains("kubernetes.io/") && !is_extended(resource) {
        out.push(FieldError::invalid(path, resource, "doesn't follow extended resource name standard"));
    }
}

/// Whether a resource outside of the domain of Kubernetes can be the resource of a quota.
fn is_extended(resource: &str) -> bool {
    !resource.starts_with("requests.") && names::is_qualified(&format!("requests.{resource}"))
}

/// Compares the quantities of one resource, in the order of [`LISTS`].
fn compare(path: &str, resource: &str, quantities: &[Option<Quantity<'_>>; 5], out: &mut Errors) {
    let [max, min, default, request, ratio] = quantities;
    // Each row: the lower and the upper quantity, and the list and the quantity of the error.
    for (lower_name, lower, upper_name, upper, list, shown) in [
        ("min", min, "max", max, "min", min),
        ("min", min, "default request", request, "defaultRequest", request),
        ("default request", request, "max", max, "defaultRequest", request),
        ("default request", request, "default limit", default, "defaultRequest", request),
        ("min", min, "default", default, "default", min),
        ("default", default, "max", max, "default", max),
    ] {
        let (Some(lower), Some(upper), Some(shown)) = (lower, upper, shown) else { continue };
        if lower.nanos > upper.nanos {
            let why = format!(
                "{lower_name} value {} is greater than {upper_name} value {}",
                lower.text, upper.text
            );
            out.push(FieldError::invalid(format!("{path}.{list}[{resource}]"), shown.text, why));
        }
    }
    if let Some(ratio) = ratio {
        check_ratio(
            &format!("{path}.maxLimitRequestRatio[{resource}]"),
            ratio,
            min.as_ref(),
            max.as_ref(),
            out,
        );
    }
    let allows_overcommit = (!resource.contains('/') || resource.contains("kubernetes.io/"))
        && !resource.starts_with("hugepages-");
    if let (Some(default), Some(request)) = (default, request)
        && !allows_overcommit
        && default.nanos != request.nanos
    {
        let why = format!(
            "default value {} must equal to defaultRequest value {} in {resource}",
            default.text, request.text
        );
        out.push(FieldError::invalid(format!("{path}.defaultRequest[{resource}]"), request.text, why));
    }
}

/// Checks that a ratio is at least 1, and at most the ratio of the maximum to the minimum.
fn check_ratio(
    path: &str,
    ratio: &Quantity<'_>,
    min: Option<&Quantity<'_>>,
    max: Option<&Quantity<'_>>,
    out: &mut Errors,
) {
    if ratio.nanos < NANOS_PER_UNIT {
        let why = format!("ratio {} is less than 1", ratio.text);
        out.push(FieldError::invalid(path, ratio.text, why));
    }
    let (Some(min), Some(max)) = (min, max) else { return };
    #[expect(clippy::cast_precision_loss, reason = "the API server computes the ratio with this precision")]
    let [wanted, min, max, unit] =
        [ratio.nanos, min.nanos, max.nanos, NANOS_PER_UNIT].map(|nanos| nanos as f64);
    let limit = max / min;
    if wanted / unit > limit {
        let why = format!("ratio {} is greater than max/min = {limit:.6}", ratio.text);
        out.push(FieldError::invalid(path, ratio.text, why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(limit: &Value, expected: &[&str]) {
        let mut out = Errors::default();
        (STRATEGY.validate)(&json!({"spec": {"limits": [limit]}}), &mut out);
        let found: Vec<_> = out.0.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{limit}");
    }

    #[test]
    fn the_quantities_of_a_resource_are_in_order() {
        let limit = |changes: Value| {
            let mut limit = json!({
                "type": "Container", "min": {"cpu": "10m"}, "defaultRequest": {"cpu": "100m"}, "default": {"cpu": "1"},
                "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "10"},
            });
            for (list, quantity) in changes.as_object().unwrap() {
                limit[list]["cpu"] = quantity.clone();
            }
            limit
        };
        check(&limit(json!({})), &[]);
        check(
            &limit(json!({"max": "1m"})),
            &[
                r#"spec.limits[0].min[cpu]: Invalid value: "10m": min value 10m is greater than max value 1m"#,
                r#"spec.limits[0].defaultRequest[cpu]: Invalid value: "100m": default request value 100m is greater than max value 1m"#,
                r#"spec.limits[0].default[cpu]: Invalid value: "1m": default value 1 is greater than max value 1m"#,
                r#"spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "10": ratio 10 is greater than max/min = 0.100000"#,
            ],
        );
        check(
            &limit(json!({"default": "5m"})),
            &[
                r#"spec.limits[0].defaultRequest[cpu]: Invalid value: "100m": default request value 100m is greater than default limit value 5m"#,
                r#"spec.limits[0].default[cpu]: Invalid value: "10m": min value 10m is greater than default value 5m"#,
            ],
        );
        check(
            &limit(json!({"maxLimitRequestRatio": "500m"})),
            &[
                r#"spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1"#,
            ],
        );
    }

    #[test]
    fn each_type_has_its_own_resources_and_lists() {
        check(
            &json!({"type": "Pod", "max": {"storage": "1", "example.com/a": "1"}, "default": {"cpu": "1"}}),
            &[
                r#"spec.limits[0].max[storage]: Invalid value: "storage": must be a standard resource for containers"#,
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
            ],
        );
        check(
            &json!({"type": "PersistentVolumeClaim", "max": {"cpu": "1"}}),
            &[
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
            ],
        );
        check(
            &json!({"type": "Other", "min": {"what": "1"}}),
            &[
                r#"spec.limits[0].type: Invalid value: "Other": must be a standard limit type or fully qualified"#,
                r#"spec.limits[0].min[what]: Invalid value: "what": must be a standard resource type or fully qualified"#,
            ],
        );
        check(
            &json!({"type": "Container", "default": {"hugepages-2Mi": "2Mi"}, "defaultRequest": {"hugepages-2Mi": "4Mi"}}),
            &[
                r#"spec.limits[0].defaultRequest[hugepages-2Mi]: Invalid value: "4Mi": default request value 4Mi is greater than default limit value 2Mi"#,
                r#"spec.limits[0].defaultRequest[hugepages-2Mi]: Invalid value: "4Mi": default value 2Mi must equal to defaultRequest value 4Mi in hugepages-2Mi"#,
            ],
        );
    }
}
