//! Validation of pods and pod templates.

use std::collections::HashSet;

use serde_json::Value;

use super::{Errors, items, pod_references, string_in, unique_items};
use crate::names;
use crate::schema::FieldError;

/// The error for an update of an immutable field.
const IMMUTABLE_FIELD_ERROR: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
/// The error text for a port number out of range.
const INVALID_PORT: &str = "must be between 1 and 65535, inclusive";

/// Validates a pod; `old` is the stored pod if the request is an update.
pub(super) fn check_pod(old: Option<&Value>, new: &Value, out: &mut Errors) {
    check_spec("spec", &new["spec"], out);
    if let Some(old) = old {
        validate_update(&old["spec"], &new["spec"], out);
    }
}

/// Validates an update of the pod itself, not of a subresource.
fn validate_update(old: &Value, new: &Value, out: &mut Errors) {
    let containers = ["containers", "initContainers"];
    let count = |spec: &Value, list: &str| spec[list].as_array().map_or(0, Vec::len);
    if let Some(list) = containers.into_iter().find(|list| count(old, list) != count(new, list)) {
        let why = "pod updates may not add or remove containers";
        out.push(FieldError::forbidden(format!("spec.{list}"), why));
        return;
    }
    check_active_deadline(old, new, out);
    let gates = |spec: &Value| spec["schedulingGates"].as_array().cloned().unwrap_or_default();
    let before = gates(old);
    for (index, gate) in gates(new).iter().enumerate().filter(|(_, gate)| !before.contains(gate)) {
        let why =
            format!("only deletion is allowed, but found new scheduling gate '{}'", string_in(gate, "name"));
        out.push(FieldError::forbidden(format!("spec.schedulingGates[{index}].name"), why));
    }
    let tolerations = |spec: &Value| -> Vec<Value> {
        let mut list = spec["tolerations"].as_array().cloned().unwrap_or_default();
        for toleration in list.iter_mut().filter_map(Value::as_object_mut) {
            toleration.remove("tolerationSeconds");
        }
        list
    };
    let now = tolerations(new);
    if tolerations(old).iter().any(|toleration| !now.contains(toleration)) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        out.push(FieldError::forbidden("spec.tolerations", why));
    }
    if without_mutable_fields(old) != without_mutable_fields(new) {
        out.push(FieldError::forbidden("spec", IMMUTABLE_FIELD_ERROR));
    }
}

/// Checks that an update neither removes nor increases `activeDeadlineSeconds`.
fn check_active_deadline(old: &Value, new: &Value, out: &mut Errors) {
    const FIELD: &str = "activeDeadlineSeconds";
    let Some(before) = old[FIELD].as_i64() else { return };
    let why = match new[FIELD].as_i64() {
        None => "must not update from a positive integer to nil value",
        Some(now) if now > before => "must be less than or equal to previous value",
        Some(_) => return,
    };
    out.push(FieldError::invalid(format!("spec.{FIELD}"), new[FIELD].clone(), why));
}

/// A copy of a pod spec without its mutable fields and the fields that `validate_update` validates separately.
fn without_mutable_fields(spec: &Value) -> Value {
    let mut fixed = spec.clone();
    let Some(map) = fixed.as_object_mut() else { return fixed };
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        map.remove(field);
    }
    for list in ["containers", "initContainers"] {
        for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container.as_object_mut().map(|container| container.remove("image"));
        }
    }
    fixed
}

/// Validates the pod spec at `path`.
pub(super) fn check_spec(path: &str, spec: &Value, out: &mut Errors) {
    let volumes = check_volumes(path, spec, out);
    let mut names = HashSet::new();
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        out.push(FieldError::required(format!("{path}.containers"), ""));
    }
    for list in ["containers", "initContainers"] {
        for (path, item) in items(path, spec, list) {
            check_container(&path, item, &volumes, out);
            let name = string_in(item, "name");
            if !name.is_empty() && !names.insert(name) {
                out.push(FieldError::duplicate(format!("{path}.name"), name));
            }
        }
    }
    for (path, item) in items(path, spec, "ephemeralContainers") {
        let name = string_in(item, "name");
        if !name.is_empty() && !names.insert(name) {
            out.push(FieldError::duplicate(format!("{path}.name"), name));
        }
    }
    unique_items::check_pod_spec(path, spec, out);
    if let Some(seconds) = spec["activeDeadlineSeconds"].as_i64().filter(|seconds| *seconds < 1) {
        let why = "must be between 1 and 2147483647, inclusive";
        out.push(FieldError::invalid(format!("{path}.activeDeadlineSeconds"), seconds, why));
    }
}

/// Validates the volumes of a pod spec. Returns their names.
fn check_volumes<'a>(path: &str, spec: &'a Value, out: &mut Errors) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (path, volume) in items(path, spec, "volumes") {
        let name = string_in(volume, "name");
        let sources: Vec<&String> = volume
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .filter(|field| *field != "name")
            .collect();
        if sources.len() == 1 {
            pod_references::check_volume(&path, volume, out);
        }
        for extra in sources.iter().skip(1) {
            let why = "may not specify more than 1 volume type";
            out.push(FieldError::forbidden(format!("{path}.{extra}"), why));
        }
        if name.is_empty() {
            out.push(FieldError::required(format!("{path}.name"), ""));
        } else if !names::is_label(name) {
            out.push(FieldError::invalid(format!("{path}.name"), name, names::INVALID_DNS_LABEL));
        } else if !names.insert(name) {
            out.push(FieldError::duplicate(format!("{path}.name"), name));
        }
    }
    names
}

/// Validates a container; `volumes` are the names of the volumes of the pod.
fn check_container(path: &str, container: &Value, volumes: &HashSet<&str>, out: &mut Errors) {
    let name = string_in(container, "name");
    if name.is_empty() {
        out.push(FieldError::required(format!("{path}.name"), ""));
    } else if !names::is_label(name) {
        out.push(FieldError::invalid(format!("{path}.name"), name, names::INVALID_DNS_LABEL));
    }
    out.require_string(path, container, "image");
    for (path, port) in items(path, container, "ports") {
        match port["containerPort"].as_i64().unwrap_or(0) {
            0 => out.push(FieldError::required(format!("{path}.containerPort"), "")),
            1..=65535 => {}
            other => out.push(FieldError::invalid(format!("{path}.containerPort"), other, INVALID_PORT)),
        }
        if let Some(port) = port["hostPort"].as_i64().filter(|port| !(0..=65535).contains(port)) {
            out.push(FieldError::invalid(format!("{path}.hostPort"), port, INVALID_PORT));
        }
    }
    pod_references::check_environment_variables(path, container, out);
    for (path, mount) in items(path, container, "volumeMounts") {
        let name = string_in(mount, "name");
        if name.is_empty() {
            out.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            out.push(FieldError::not_found(format!("{path}.name"), name));
        }
        out.require_string(&path, mount, "mountPath");
    }
    check_resources(&format!("{path}.resources"), &container["resources"], out);
}

/// Checks that no resource request exceeds the limit of the resource.
fn check_resources(path: &str, resources: &Value, out: &mut Errors) {
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let (Some(request), Some(limit)) = (request.as_str(), resources["limits"][name].as_str()) else {
            continue;
        };
        if crate::schema::quantity_exceeds(request, limit) {
            let why = format!("must be less than or equal to {name} limit of {limit}");
            out.push(FieldError::invalid(format!("{path}.requests"), request, why));
        }
    }
}
