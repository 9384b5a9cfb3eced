//! Validation of pod updates.

use serde_json::Value;

use crate::schema::FieldError;
use crate::strategy::validation::{Errors, string_in};

const IMMUTABLE_FIELD_ERROR: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Validates an update of a pod's spec. In a write to a subresource, `old` already has the new values of the fields
/// that the subresource may change.
pub(super) fn validate(old: &Value, new: &Value, out: &mut Errors) {
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

/// Checks that an update neither removes nor changes ephemeral containers. The error omits the diff that the API server
/// prints.
pub(super) fn check_ephemeral_containers(old: &Value, new: &Value, out: &mut Errors) {
    let list = |spec: &Value| spec["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    let now = list(new);
    for container in list(old) {
        let name = string_in(&container, "name");
        let why = match now.iter().find(|other| other["name"] == name) {
            None => "removed",
            Some(other) if *other != container => "changed",
            Some(_) => continue,
        };
        let why = format!("existing ephemeral containers \"{name}\" may not be {why}\n");
        out.push(FieldError::forbidden("spec.ephemeralContainers", why));
    }
}

/// Checks that an update does not change the QoS class. The status contains the stored class, and `class` is the class of
/// the new resources.
pub(super) fn check_qos_class(pod: &Value, class: &str, out: &mut Errors) {
    let before = &pod["status"]["qosClass"];
    if before.is_string() && *before != class {
        let why = "Pod QOS Class may not change as a result of resizing";
        out.push(FieldError::invalid("spec", before.clone(), why));
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

/// A copy of a pod spec without its mutable fields, and without the fields that `validate` checks separately.
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
