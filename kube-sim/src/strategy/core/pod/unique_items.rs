//! Validation of those lists in a pod spec that must have unique items.

use std::collections::HashSet;

use serde_json::Value;

use crate::schema::FieldError;
use crate::strategy::validation::{Errors, check_unique, items, join, string_in};

/// Checks that some lists in a pod spec and in its containers have unique items.
pub(super) fn check_unique_items(path: &str, spec: &Value, out: &mut Errors) {
    check_unique(&join(path, "resourceClaims"), &spec["resourceClaims"], Some("name"), out);
    check_unique(
        &join(path, "securityContext.sysctls"),
        &spec["securityContext"]["sysctls"],
        Some("name"),
        out,
    );
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

fn check_container_lists(path: &str, container: &Value, out: &mut Errors) {
    check_unique(&join(path, "ports"), &container["ports"], Some("name"), out);
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

/// Checks that no two ports in `containers` have the same protocol, host IP and host port. With `hostNetwork`, the
/// container port is the default of the host port.
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

/// Checks that no two topology spread constraints have the same topology key and the same `whenUnsatisfiable`. As in the
/// API server, the earlier constraint gets the error.
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
