//! Validation of lists whose items must be unique, in pods and other kinds.
//!
//! Owns the fields that must be unique in each list. The other modules validate the items.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::Resource;
use super::{Errors, items, string_in};
use crate::schema::FieldError;

/// Checks that list items are unique, in objects of kinds other than pods.
pub(super) fn check_lists(resource: &Resource, object: &Value, out: &mut Errors) {
    let spec = &object["spec"];
    match (resource.group, resource.kind) {
        ("", "Service") => check_service_lists(spec, out),
        ("", "LimitRange") => check_unique("spec", spec, "limits", "type", out),
        ("", "Node") => check_taints(spec, out),
        ("discovery.k8s.io", "EndpointSlice") => check_unique("", object, "ports", "name", out),
        ("storage.k8s.io", "CSINode") => check_unique("spec", spec, "drivers", "name", out),
        ("storage.k8s.io", "StorageClass") => {
            for (path, topology) in items("", object, "allowedTopologies") {
                check_unique(&path, topology, "matchLabelExpressions", "key", out);
            }
        }
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => check_unique("", object, "webhooks", "name", out),
        _ => {}
    }
}

/// Checks that list items are unique, in a pod spec and its containers.
pub(super) fn check_pod_spec(path: &str, spec: &Value, out: &mut Errors) {
    check_unique(path, spec, "resourceClaims", "name", out);
    check_unique(&format!("{path}.securityContext"), &spec["securityContext"], "sysctls", "name", out);
    let mut gates = HashSet::new();
    for (path, gate) in items(path, spec, "schedulingGates") {
        let name = string_in(gate, "name");
        if !gates.insert(name) {
            out.push(FieldError::duplicate(path, name));
        }
    }
    check_spread_constraints(path, spec, out);
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for (path, container) in items(path, spec, list) {
            check_container_lists(&path, container, out);
        }
    }
    check_host_ports(path, spec, out);
}

/// Checks that the values of `field` are unique in the list. Reports every item that repeats a value.
fn check_unique(path: &str, object: &Value, list: &str, field: &str, out: &mut Errors) {
    let mut seen = HashSet::new();
    for (path, item) in items(path, object, list) {
        let name = string_in(item, field);
        if !name.is_empty() && !seen.insert(name) {
            out.push(FieldError::duplicate(format!("{path}.{field}"), name));
        }
    }
}

fn check_container_lists(path: &str, container: &Value, out: &mut Errors) {
    check_unique(path, container, "ports", "name", out);
    let mut unique = |list: &str, fields: &[&str]| {
        let mut seen: Vec<HashSet<&str>> = vec![HashSet::new(); fields.len()];
        for (path, item) in items(path, container, list) {
            for (field, seen) in fields.iter().zip(&mut seen) {
                let value = string_in(item, field);
                if !value.is_empty() && !seen.insert(value) {
                    out.push(FieldError::invalid(format!("{path}.{field}"), value, "must be unique"));
                }
            }
        }
    };
    unique("volumeMounts", &["mountPath"]);
    unique("volumeDevices", &["name", "devicePath"]);
    let mut claims = HashSet::new();
    for (path, claim) in items(&format!("{path}.resources"), &container["resources"], "claims") {
        let request = string_in(claim, "request");
        let slash = if request.is_empty() { "" } else { "/" };
        let name = format!("{}{slash}{request}", string_in(claim, "name"));
        if !claims.insert(name.clone()) {
            out.push(FieldError::duplicate(path, name));
        }
    }
}

/// Checks that host ports are unique in the pod. With `hostNetwork`, every container port is a host port.
fn check_host_ports(path: &str, spec: &Value, out: &mut Errors) {
    let mut seen = HashSet::new();
    for (path, container) in items(path, spec, "containers") {
        for (path, port) in items(&path, container, "ports") {
            let is_host = spec["hostNetwork"] == true;
            let own = port["hostPort"].as_i64().unwrap_or(0);
            let number = if own == 0 && is_host { port["containerPort"].as_i64().unwrap_or(0) } else { own };
            let protocol = Some(string_in(port, "protocol")).filter(|protocol| !protocol.is_empty());
            let key = format!("{}/{}/{number}", protocol.unwrap_or("TCP"), string_in(port, "hostIP"));
            if number != 0 && !seen.insert(key.clone()) {
                out.push(FieldError::duplicate(format!("{path}.hostPort"), key));
            }
        }
    }
}

/// Checks that topology spread constraints are unique. As in the API server, the last of several equal constraints is
/// not reported.
fn check_spread_constraints(path: &str, spec: &Value, out: &mut Errors) {
    let key = |constraint: &Value| {
        format!(
            "{{{}, {}}}",
            string_in(constraint, "topologyKey"),
            string_in(constraint, "whenUnsatisfiable")
        )
    };
    let all: Vec<(String, String)> = items(path, spec, "topologySpreadConstraints")
        .map(|(path, constraint)| (path, key(constraint)))
        .collect();
    for (index, (path, key)) in all.iter().enumerate() {
        if all[index + 1..].iter().any(|(_, later)| later == key) {
            let field = format!("{path}.{{topologyKey, whenUnsatisfiable}}");
            out.push(FieldError::duplicate(field, key.as_str()));
        }
    }
}

/// Checks that the ports and IP families of a service are unique.
fn check_service_lists(spec: &Value, out: &mut Errors) {
    check_unique("spec", spec, "ports", "name", out);
    let mut ports = HashSet::new();
    for (path, port) in items("spec", spec, "ports") {
        let protocol =
            Some(string_in(port, "protocol")).filter(|protocol| !protocol.is_empty()).unwrap_or("TCP");
        let number = port["port"].as_i64().unwrap_or(0);
        if !ports.insert((protocol, number)) {
            let shown = json!({
                "Name": "", "Protocol": protocol, "AppProtocol": null, "Port": number, "TargetPort": 0, "NodePort": 0,
            });
            out.push(FieldError::duplicate(path, shown));
        }
    }
    let mut families = HashSet::new();
    for (path, family) in items("spec", spec, "ipFamilies") {
        if !families.insert(family.as_str().unwrap_or_default()) {
            out.push(FieldError::duplicate(path, family.clone()));
        }
    }
}

/// Checks that no two taints have the same key and effect.
fn check_taints(spec: &Value, out: &mut Errors) {
    let mut seen = HashSet::new();
    for (path, taint) in items("metadata", spec, "taints") {
        let (key, effect) = (string_in(taint, "key"), string_in(taint, "effect"));
        if !seen.insert((key, effect)) {
            let shown = json!({
                "Key": key, "Value": string_in(taint, "value"), "Effect": effect, "TimeAdded": taint["timeAdded"],
            });
            let mut error = FieldError::duplicate(path, shown);
            "taints must be unique by key and effect pair".clone_into(&mut error.detail);
            out.push(error);
        }
    }
}
