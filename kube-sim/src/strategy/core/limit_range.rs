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
            object_items(spec, "limits")
                .filter(|limit| limit["type"] == "Container")
                .for_each(complete_container_defaults);
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

/// Adds absent defaults for containers. A maximum becomes the default limit. The default limit, or else the minimum,
/// becomes the default request.
fn complete_container_defaults(limit: &mut Value) {
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

/// The fields of a limit that contain a `ResourceList`, in the order of their validation.
const RESOURCE_LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

fn check_limit(path: &str, limit: &Value, out: &mut Errors) {
    let limit_type = string_in(limit, "type");
    if names::is_qualified_name(limit_type)
        && !limit_type.contains('/')
        && !["Pod", "Container", "PersistentVolumeClaim"].contains(&limit_type)
    {
        let why = "must be a standard limit type or fully qualified";
        out.push(FieldError::invalid(format!("{path}.type"), limit_type, why));
    }
    let mut checked = BTreeMap::new();
    for list in RESOURCE_LISTS {
        let quantities = limit[list].as_object().filter(|quantities| !quantities.is_empty());
        let Some(quantities) = quantities else { continue };
        if limit_type == "Pod" && list.starts_with("default") {
            let why = "may not be specified when `type` is 'Pod'";
            out.push(FieldError::forbidden(format!("{path}.{list}"), why));
            continue;
        }
        for resource in quantities.keys() {
            check_resource_name(&format!("{path}.{list}[{resource}]"), limit_type, resource, out);
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
        check_quantities(path, resource, &RESOURCE_LISTS.map(of), out);
    }
}

/// Checks the name of a resource. Limits for pods and containers support fewer standard resources than other limits.
fn check_resource_name(path: &str, limit_type: &str, resource: &str, out: &mut Errors) {
    const CONTAINER_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    const NON_CONTAINER_RESOURCES: [&str; 17] = [
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
    for why in names::qualified_name_problems(resource) {
        out.push(FieldError::invalid(path, resource, why));
    }
    let is_huge_page =
        ["hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    let is_of_containers = CONTAINER_RESOURCES.contains(&resource) || resource.starts_with("hugepages-");
    if out.0.len() == before
        && !resource.contains('/')
        && !(is_of_containers || is_huge_page || NON_CONTAINER_RESOURCES.contains(&resource))
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
    } else if !resource.contains("kubernetes.io/") && !is_extended_resource_name(resource) {
        out.push(FieldError::invalid(path, resource, "doesn't follow extended resource name standard"));
    }
}

/// Whether a name is valid for an extended resource: the name must not begin with `requests.`, and must be a qualified
/// name after this prefix is added. The caller has excluded the names with the domain `kubernetes.io`.
fn is_extended_resource_name(resource: &str) -> bool {
    !resource.starts_with("requests.") && names::is_qualified_name(&format!("requests.{resource}"))
}

/// Checks the quantities of one resource against each other. `quantities` has the order of [`RESOURCE_LISTS`].
fn check_quantities(path: &str, resource: &str, quantities: &[Option<Quantity<'_>>; 5], out: &mut Errors) {
    let [max, min, default, request, ratio] = quantities;
    // Each row: the name and the value of the lower quantity, the name and the value of the upper quantity, and the list
    // and the quantity that the error shows.
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

/// Checks that a ratio is at least 1, and at most the ratio of the maximum to the minimum if both exist.
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
    fn check_errors(limit: &Value, expected: &[&str]) {
        let mut out = Errors::default();
        (STRATEGY.validate)(&json!({"spec": {"limits": [limit]}}), &mut out);
        let found: Vec<_> = out.0.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{limit}");
    }

    #[test]
    fn the_quantities_of_a_resource_must_be_in_order() {
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
        check_errors(&limit(json!({})), &[]);
        check_errors(
            &limit(json!({"max": "1m"})),
            &[
                r#"spec.limits[0].min[cpu]: Invalid value: "10m": min value 10m is greater than max value 1m"#,
                r#"spec.limits[0].defaultRequest[cpu]: Invalid value: "100m": default request value 100m is greater than max value 1m"#,
                r#"spec.limits[0].default[cpu]: Invalid value: "1m": default value 1 is greater than max value 1m"#,
                r#"spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "10": ratio 10 is greater than max/min = 0.100000"#,
            ],
        );
        check_errors(
            &limit(json!({"default": "5m"})),
            &[
                r#"spec.limits[0].defaultRequest[cpu]: Invalid value: "100m": default request value 100m is greater than default limit value 5m"#,
                r#"spec.limits[0].default[cpu]: Invalid value: "10m": min value 10m is greater than default value 5m"#,
            ],
        );
        check_errors(
            &limit(json!({"maxLimitRequestRatio": "500m"})),
            &[
                r#"spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1"#,
            ],
        );
    }

    #[test]
    fn the_limit_type_determines_the_permitted_fields_and_resources() {
        check_errors(
            &json!({"type": "Pod", "max": {"storage": "1", "example.com/a": "1"}, "default": {"cpu": "1"}}),
            &[
                r#"spec.limits[0].max[storage]: Invalid value: "storage": must be a standard resource for containers"#,
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
            ],
        );
        check_errors(
            &json!({"type": "PersistentVolumeClaim", "max": {"cpu": "1"}}),
            &[
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
            ],
        );
        check_errors(
            &json!({"type": "Other", "min": {"what": "1"}}),
            &[
                r#"spec.limits[0].type: Invalid value: "Other": must be a standard limit type or fully qualified"#,
                r#"spec.limits[0].min[what]: Invalid value: "what": must be a standard resource type or fully qualified"#,
            ],
        );
    }

    #[test]
    fn the_default_request_of_huge_pages_must_equal_the_default_limit() {
        check_errors(
            &json!({"type": "Container", "default": {"hugepages-2Mi": "2Mi"}, "defaultRequest": {"hugepages-2Mi": "4Mi"}}),
            &[
                r#"spec.limits[0].defaultRequest[hugepages-2Mi]: Invalid value: "4Mi": default request value 4Mi is greater than default limit value 2Mi"#,
                r#"spec.limits[0].defaultRequest[hugepages-2Mi]: Invalid value: "4Mi": default value 2Mi must equal to defaultRequest value 4Mi in hugepages-2Mi"#,
            ],
        );
    }
}
