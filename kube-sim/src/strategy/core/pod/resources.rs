//! The total requests and limits of a pod, the defaults and the validation of its `resources`, and its quality of service
//! class.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::schema::{self, FieldError, quantity_exceeds};
use crate::strategy::defaulting::object_in;
use crate::strategy::validation::{Errors, is_empty, items, join};

/// A map from the name of each resource to its quantity: the value in units of 10^-9, and the text.
pub(crate) type Quantities = BTreeMap<String, (i128, String)>;

/// The quantities in a `ResourceList`, without those that do not parse.
pub(crate) fn quantities(list: &Value) -> Quantities {
    let pairs = list.as_object().into_iter().flatten();
    let parsed = pairs.filter_map(|(name, quantity)| {
        let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
        Some((name.clone(), (schema::parse_quantity(&text).ok()?, text)))
    });
    parsed.collect()
}

/// The total requests or limits (`kind`) of the containers of a pod. The total of a resource is the higher of two sums:
/// the sum of `containers` and all sidecars, and the highest sum of one init container and the sidecars before it.
fn container_total(spec: &Value, kind: &str) -> Quantities {
    let containers = |list: &str| spec[list].as_array().into_iter().flatten();
    let mut total = Quantities::new();
    for container in containers("containers") {
        add_quantities(&mut total, &quantities(&container["resources"][kind]));
    }
    let (mut sidecars, mut highest) = (Quantities::new(), Quantities::new());
    for container in containers("initContainers") {
        let own = quantities(&container["resources"][kind]);
        let mut needed = sidecars.clone();
        add_quantities(&mut needed, &own);
        if container["restartPolicy"] == "Always" {
            add_quantities(&mut total, &own);
            sidecars.clone_from(&needed);
        }
        raise_quantities(&mut highest, needed);
    }
    raise_quantities(&mut total, highest);
    total
}

/// The requests or limits (`kind`) of a pod: the total of its containers. For CPU, memory and huge pages, the `resources`
/// of the pod have precedence over this total.
pub(crate) fn pod_total(spec: &Value, kind: &str) -> Quantities {
    let mut total = container_total(spec, kind);
    let own = quantities(&spec["resources"][kind]).into_iter();
    total.extend(own.filter(|(resource, _)| is_pod_level(resource)));
    total
}

/// The requests of a pod, plus its overhead.
pub(crate) fn pod_requests(spec: &Value) -> Quantities {
    let mut total = pod_total(spec, "requests");
    add_quantities(&mut total, &quantities(&spec["overhead"]));
    total
}

/// Whether `spec.resources` of a pod may contain the resource.
fn is_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || is_huge_page(resource)
}

fn is_huge_page(resource: &str) -> bool {
    resource.starts_with("hugepages-")
}

fn add_quantities(sum: &mut Quantities, more: &Quantities) {
    for (resource, (nanos, text)) in more {
        match sum.get_mut(resource) {
            Some(entry) => {
                let nanos = entry.0.saturating_add(*nanos);
                *entry = (nanos, schema::format_quantity_like(nanos, &entry.1));
            }
            None => {
                sum.insert(resource.clone(), (*nanos, text.clone()));
            }
        }
    }
}

/// Raises each quantity to the quantity in `other` if the quantity in `other` is higher. Inserts the quantities that are
/// only in `other`.
fn raise_quantities(quantities: &mut Quantities, other: Quantities) {
    for (resource, quantity) in other {
        if quantities.get(&resource).is_none_or(|existing| existing.0 < quantity.0) {
            quantities.insert(resource, quantity);
        }
    }
}

/// Sets the absent requests and limits for CPU, memory and huge pages in the `resources` of a pod. Does nothing if the
/// `resources` have neither requests nor limits.
///
/// Each step sets only absent values in the `resources` of the pod:
///
/// 1. Limits for huge pages: the total limit of the containers. Skips huge pages that have a request in
///    `resources`.
/// 2. Requests for CPU and memory: the total request of the containers.
/// 3. Requests for CPU, memory and huge pages: the limit in `resources`.
/// 4. Limits for CPU, memory and huge pages: the total limit of the containers, or the request in `resources`
///    if the request is higher. Skips a resource without a request, and a resource for which a container has
///    no limit.
pub(super) fn set_defaults(pod: &mut Value) {
    let Some(spec) = object_in(pod, "spec") else { return };
    let [requests, limits] = ["requests", "limits"].map(|kind| container_total(spec, kind));
    let containers =
        ["containers", "initContainers"].map(|list| spec[list].as_array().cloned().unwrap_or_default());
    let all_have_limit = |resource: &str| {
        containers.iter().flatten().all(|container| !container["resources"]["limits"][resource].is_null())
    };
    let Some(resources) = object_in(spec, "resources") else { return };
    let mut own = ["requests", "limits"].map(|kind| resources[kind].as_object().cloned().unwrap_or_default());
    if own.iter().all(Map::is_empty) {
        return;
    }
    let [own_requests, own_limits] = &mut own;
    for (resource, (_, text)) in limits.iter().filter(|(resource, _)| is_huge_page(resource)) {
        if !own_requests.contains_key(resource) {
            own_limits.entry(resource.clone()).or_insert_with(|| text.as_str().into());
        }
    }
    for (resource, (_, text)) in
        requests.iter().filter(|(resource, _)| ["cpu", "memory"].contains(&resource.as_str()))
    {
        own_requests.entry(resource.clone()).or_insert_with(|| text.as_str().into());
    }
    for (resource, limit) in own_limits.iter().filter(|(resource, _)| is_pod_level(resource)) {
        own_requests.entry(resource.clone()).or_insert_with(|| limit.clone());
    }
    for (resource, request) in own_requests.iter().filter(|(resource, _)| is_pod_level(resource)) {
        let Some((nanos, text)) = limits.get(resource).filter(|_| all_have_limit(resource)) else { continue };
        let is_higher = schema::parse_quantity(request.as_str().unwrap_or_default())
            .is_ok_and(|request| request > *nanos);
        own_limits
            .entry(resource.clone())
            .or_insert_with(|| if is_higher { request.clone() } else { text.as_str().into() });
    }
    for (kind, own) in ["requests", "limits"].into_iter().zip(own).filter(|(_, own)| !own.is_empty()) {
        resources[kind] = own.into();
    }
}

/// Restores the stored `resources` of a pod in an update that omits this field. Sets the defaults of changed `resources`.
pub(super) fn prepare_for_update(old: &Value, pod: &mut Value) {
    let before = &old["spec"]["resources"];
    if pod["spec"]["resources"] == *before {
        return;
    }
    if pod["spec"]["resources"].is_null() && pod["spec"].is_object() {
        pod["spec"]["resources"] = before.clone();
    } else {
        set_defaults(pod);
    }
}

/// Checks the `resources` of the pod spec at `path`. Also checks that they are consistent with the
/// `resources` of the containers.
pub(super) fn check_pod_resources(path: &str, spec: &Value, out: &mut Errors) {
    let path = join(path, "resources");
    let resources = &spec["resources"];
    if resources.is_null() {
        return;
    }
    if spec["os"]["name"] == "windows" {
        return out.push(FieldError::forbidden(path, "may not be set for a windows pod"));
    }
    if !resources["claims"].is_null() {
        let why = "claims may not be set for Resources at pod-level";
        out.push(FieldError::forbidden(join(&path, "claims"), why));
    }
    for kind in ["limits", "requests"] {
        for (resource, _) in resources[kind].as_object().into_iter().flatten() {
            if !is_pod_level(resource) {
                let field = format!("{path}.{kind}[{resource}]");
                out.push(FieldError::not_supported(
                    field,
                    resource.as_str(),
                    &["cpu", "hugepages-", "memory"],
                ));
            }
        }
    }
    check_requests(&path, resources, out);
    for (kind, any) in [("requests", true), ("limits", false)] {
        for (resource, (needed, text)) in container_total(spec, kind) {
            let Some(own) = resources[kind][&resource].as_str().filter(|_| any || is_huge_page(&resource))
            else {
                continue;
            };
            if schema::parse_quantity(own).is_ok_and(|own| own < needed) {
                let why = format!("must be greater than or equal to aggregate container {kind} of {text}");
                out.push(FieldError::invalid(format!("{path}.{kind}[{resource}]"), own, why));
            }
        }
    }
    // As in the API server, the paths of these errors begin with the path of the pod's `resources`.
    for (path, container) in items(&path, spec, "containers") {
        for (resource, limit) in container["resources"]["limits"].as_object().into_iter().flatten() {
            let own = resources["limits"][resource].as_str().zip(limit.as_str());
            if let Some((own, limit)) = own.filter(|(own, limit)| quantity_exceeds(limit, own)) {
                let why = format!("must be less than or equal to pod limits of {own}");
                out.push(FieldError::invalid(format!("{path}[{resource}].limits"), limit, why));
            }
        }
    }
}

/// Checks that a resize removes no requests or limits. If the pod already has `resources`, also checks that the resize
/// changes only CPU and memory in these `resources`.
pub(super) fn check_resize(old: &Value, new: &Value, out: &mut Errors) {
    let (before, now) = (&old["resources"], &new["resources"]);
    let is_set = |resources: &Value| ["requests", "limits"].iter().any(|kind| !is_empty(&resources[kind]));
    if is_set(before) || is_set(now) {
        reject_removal("spec.resources", "pod-level resource", before, now, out);
        let others = |resources: &Value| {
            let mut resources = resources.clone();
            for kind in ["requests", "limits"] {
                if let Some(list) = object_in(&mut resources, kind).and_then(Value::as_object_mut) {
                    list.retain(|resource, _| !["cpu", "memory"].contains(&resource.as_str()));
                }
            }
            if let Some(resources) = resources.as_object_mut() {
                resources.retain(|_, value| !is_empty(value));
            }
            resources
        };
        if !is_empty(before) && others(before) != others(now) {
            let why = "only cpu and memory resources are mutable at pod-level";
            out.push(FieldError::forbidden("spec", why));
        }
    }
    for list in ["initContainers", "containers"] {
        for ((path, container), (_, before)) in items("spec", new, list).zip(items("spec", old, list)) {
            let path = join(&path, "resources");
            reject_removal(&path, "resource", &before["resources"], &container["resources"], out);
        }
    }
}

fn reject_removal(path: &str, what: &str, old: &Value, new: &Value, out: &mut Errors) {
    for kind in ["requests", "limits"] {
        let mut before = old[kind].as_object().into_iter().flatten();
        if before.any(|(resource, _)| new[kind][resource].is_null()) {
            out.push(FieldError::forbidden(
                format!("{path}.{kind}"),
                format!("{what} {kind} cannot be removed"),
            ));
        }
    }
}

/// Checks that no request in the `resources` at `path` exceeds the limit of the same resource.
pub(super) fn check_requests(path: &str, resources: &Value, out: &mut Errors) {
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let (Some(request), Some(limit)) = (request.as_str(), resources["limits"][name].as_str()) else {
            continue;
        };
        if quantity_exceeds(request, limit) {
            let why = format!("must be less than or equal to {name} limit of {limit}");
            out.push(FieldError::invalid(format!("{path}.requests"), request, why));
        }
    }
}

/// The quality of service class of a pod. If the `resources` of the pod contain CPU, memory or huge pages, the `resources`
/// determine the class. Otherwise, the containers determine the class: if all containers have the same class, the pod has
/// this class; if their classes differ, the class of the pod is `Burstable`.
pub(super) fn qos_class(pod: &Value) -> &'static str {
    let spec = &pod["spec"];
    let own = &spec["resources"];
    let mut set = ["requests", "limits"].iter().flat_map(|kind| own[kind].as_object().into_iter().flatten());
    if set.any(|(resource, _)| is_pod_level(resource)) {
        return qos_class_of_resources(own);
    }
    let containers = |list: &str| spec[list].as_array().into_iter().flatten();
    let mut classes = containers("initContainers")
        .chain(containers("containers"))
        .map(|container| qos_class_of_resources(&container["resources"]));
    let first = classes.next().unwrap_or("BestEffort");
    if classes.all(|class| class == first) { first } else { "Burstable" }
}

/// The quality of service class that the `resources` of a pod or of a container imply.
fn qos_class_of_resources(resources: &Value) -> &'static str {
    let amount = |kind: &str, resource: &str| {
        let text = resources[kind][resource].as_str().unwrap_or("0");
        schema::parse_quantity(text).unwrap_or(0)
    };
    let class = |resource: &str| match (amount("requests", resource), amount("limits", resource)) {
        (0, 0) => "BestEffort",
        (request, limit) if request == limit => "Guaranteed",
        _ => "Burstable",
    };
    let [cpu, memory] = ["cpu", "memory"].map(class);
    if cpu == memory { cpu } else { "Burstable" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_qos_class(resources: Option<Value>, containers: &[Value], expected: &str) {
        let containers: Vec<_> = containers.iter().map(|resources| json!({"resources": resources})).collect();
        let mut spec = json!({"containers": containers});
        if let Some(resources) = resources {
            spec["resources"] = resources;
        }
        assert_eq!(qos_class(&json!({"spec": spec})), expected);
    }

    #[test]
    fn the_resources_of_a_pod_determine_its_qos_class() {
        let both = |cpu: &str| {
            let amounts = json!({"cpu": cpu, "memory": "1Gi"});
            json!({"requests": amounts, "limits": amounts})
        };
        check_qos_class(None, &[json!({}), json!({"requests": {"cpu": "0"}})], "BestEffort");
        check_qos_class(None, &[both("1"), both("2")], "Guaranteed");
        check_qos_class(None, &[both("1"), json!({})], "Burstable");
        check_qos_class(None, &[json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})], "Burstable");
        check_qos_class(Some(both("1")), &[json!({}), json!({"requests": {"cpu": "500m"}})], "Guaranteed");
        check_qos_class(Some(json!({"requests": {"cpu": "1"}})), &[both("1")], "Burstable");
        check_qos_class(Some(json!({"requests": {"hugepages-2Mi": "2Mi"}})), &[both("1")], "BestEffort");
        check_qos_class(Some(json!({})), &[both("1")], "Guaranteed");
    }

    #[track_caller]
    fn check_defaults(resources: &Value, containers: &[Value], expected: &Value) {
        let containers: Vec<_> = containers.iter().map(|resources| json!({"resources": resources})).collect();
        let mut pod = json!({"spec": {"resources": resources, "containers": containers}});
        for _ in 0..2 {
            set_defaults(&mut pod);
            assert_eq!(pod["spec"]["resources"], *expected);
        }
    }

    #[test]
    fn absent_resources_of_a_pod_get_defaults_from_its_containers() {
        let requests = json!({"requests": {"cpu": "500m", "example.com/a": "1"}});
        check_defaults(
            &json!({"limits": {"cpu": "2", "memory": "1Gi"}}),
            &[requests.clone(), requests.clone()],
            &json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}),
        );
        check_defaults(
            &json!({"requests": {"memory": "1Gi"}}),
            std::slice::from_ref(&requests),
            &json!({"requests": {"cpu": "500m", "memory": "1Gi"}}),
        );
        check_defaults(&json!({}), &[requests], &json!({}));
        // The pod gets a default limit of CPU or memory only if each container has a limit of this resource.
        let limits = json!({"limits": {"cpu": "1", "hugepages-2Mi": "2Mi"}});
        check_defaults(
            &json!({"requests": {"cpu": "3"}}),
            &[limits.clone(), limits.clone()],
            &json!({
                "requests": {"cpu": "3", "hugepages-2Mi": "4Mi"},
                "limits": {"cpu": "3", "hugepages-2Mi": "4Mi"},
            }),
        );
        check_defaults(
            &json!({"requests": {"cpu": "1"}}),
            &[limits.clone(), limits],
            &json!({
                "requests": {"cpu": "1", "hugepages-2Mi": "4Mi"},
                "limits": {"cpu": "2", "hugepages-2Mi": "4Mi"},
            }),
        );
        check_defaults(
            &json!({"requests": {"cpu": "1"}}),
            &[json!({"limits": {"cpu": "1"}}), json!({})],
            &json!({"requests": {"cpu": "1"}}),
        );
    }

    #[track_caller]
    fn check_errors(run: impl FnOnce(&mut Errors), expected: &[&str]) {
        let mut errors = Errors::default();
        run(&mut errors);
        let found: Vec<_> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_resources_of_a_pod_must_suffice_for_its_containers() {
        let container = json!({"resources": {
            "requests": {"cpu": "750m", "memory": "1Gi"},
            "limits": {"memory": "5Gi", "hugepages-2Mi": "2Mi"},
        }});
        let spec = json!({
            "containers": [container, container],
            "resources": {
                "requests": {"cpu": "1", "memory": "3Gi", "x": "1"},
                "limits": {"memory": "2Gi", "hugepages-2Mi": "2Mi"},
                "claims": [],
            },
        });
        let expected = [
            "spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level",
            "spec.resources.requests[x]: Unsupported value: \"x\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
            "spec.resources.requests: Invalid value: \"3Gi\": must be less than or equal to memory limit of 2Gi",
            "spec.resources.requests[cpu]: Invalid value: \"1\": must be greater than or equal to aggregate container requests of 1500m",
            "spec.resources.limits[hugepages-2Mi]: Invalid value: \"2Mi\": must be greater than or equal to aggregate container limits of 4Mi",
            "spec.resources.containers[0][memory].limits: Invalid value: \"5Gi\": must be less than or equal to pod limits of 2Gi",
            "spec.resources.containers[1][memory].limits: Invalid value: \"5Gi\": must be less than or equal to pod limits of 2Gi",
        ];
        check_errors(|out| check_pod_resources("spec", &spec, out), &expected);
        let windows = json!({"os": {"name": "windows"}, "resources": {}});
        let expected = ["spec.resources: Forbidden: may not be set for a windows pod"];
        check_errors(|out| check_pod_resources("spec", &windows, out), &expected);
    }

    #[test]
    fn a_resize_must_not_remove_resources() {
        let of = |pod: Value, container: Value| json!({"resources": pod, "containers": [{"resources": container}]});
        let cpu = |amount: &str| json!({"requests": {"cpu": amount}});
        check_errors(|out| check_resize(&of(cpu("1"), cpu("1")), &of(cpu("2"), cpu("2")), out), &[]);
        check_errors(|out| check_resize(&of(Value::Null, cpu("1")), &of(cpu("2"), cpu("2")), out), &[]);
        let pages = json!({"limits": {"hugepages-2Mi": "2Mi"}});
        check_errors(
            |out| check_resize(&of(cpu("1"), cpu("1")), &of(pages, json!({})), out),
            &[
                "spec.resources.requests: Forbidden: pod-level resource requests cannot be removed",
                "spec: Forbidden: only cpu and memory resources are mutable at pod-level",
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ],
        );
    }
}
