//! Validation of pods and pod templates.

use std::collections::HashSet;

use serde_json::Value;

use super::{references, resources, unique_items};
use crate::names;
use crate::schema::FieldError;
use crate::strategy::rules;
use crate::strategy::validation::{Errors, INVALID_PORT, is_empty, items, string_in};

/// Validates the pod spec at `path`.
pub(in crate::strategy) fn check_spec(path: &str, spec: &Value, out: &mut Errors) {
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
    let targets = names.clone();
    for (path, item) in items(path, spec, "ephemeralContainers") {
        let name = string_in(item, "name");
        if !name.is_empty() && !names.insert(name) {
            out.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        let target = string_in(item, "targetContainerName");
        if !target.is_empty() && !targets.contains(target) {
            out.push(FieldError::not_found(format!("{path}.targetContainerName"), target));
        }
        for field in ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resizePolicy"]
        {
            if !is_empty(&item[field]) {
                let why = "cannot be set for an Ephemeral Container";
                out.push(FieldError::forbidden(format!("{path}.{field}"), why));
            }
        }
        for (path, mount) in items(&path, item, "volumeMounts") {
            for field in ["subPath", "subPathExpr"] {
                if !is_empty(&mount[field]) {
                    let why = "cannot be set for an Ephemeral Container";
                    out.push(FieldError::forbidden(format!("{path}.{field}"), why));
                }
            }
        }
    }
    resources::check_pod_resources(path, spec, out);
    unique_items::check_unique_items(path, spec, out);
    rules::apply(&rules::POD_SPEC, path, spec, out);
}

/// Validates the volumes of a pod spec. Returns the names of the valid volumes. A mount of any other volume
/// is an error.
fn check_volumes<'a>(path: &str, spec: &'a Value, out: &mut Errors) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (path, volume) in items(path, spec, "volumes") {
        let name = string_in(volume, "name");
        let before = out.0.len();
        let sources: Vec<&String> = volume
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .filter(|field| *field != "name")
            .collect();
        if sources.len() == 1 {
            references::check_volume(&path, volume, out);
        }
        for extra in sources.iter().skip(1) {
            let why = "may not specify more than 1 volume type";
            out.push(FieldError::forbidden(format!("{path}.{extra}"), why));
        }
        if name.is_empty() {
            out.push(FieldError::required(format!("{path}.name"), ""));
        } else if !names::is_dns_label(name) {
            out.push(FieldError::invalid(format!("{path}.name"), name, names::INVALID_DNS_LABEL));
        } else if names.contains(name) {
            out.push(FieldError::duplicate(format!("{path}.name"), name));
        }
        if out.0.len() == before {
            names.insert(name);
        }
    }
    names
}

/// Validates a container. `volumes` contains the names of the valid volumes of the pod.
fn check_container(path: &str, container: &Value, volumes: &HashSet<&str>, out: &mut Errors) {
    let name = string_in(container, "name");
    if name.is_empty() {
        out.push(FieldError::required(format!("{path}.name"), ""));
    } else if !names::is_dns_label(name) {
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
    references::check_environment_variables(path, container, out);
    for (path, mount) in items(path, container, "volumeMounts") {
        let name = string_in(mount, "name");
        if name.is_empty() {
            out.push(FieldError::required(format!("{path}.name"), ""));
        } else if !volumes.contains(name) {
            out.push(FieldError::not_found(format!("{path}.name"), name));
        }
        out.require_string(&path, mount, "mountPath");
    }
    resources::check_requests(&format!("{path}.resources"), &container["resources"], out);
}
