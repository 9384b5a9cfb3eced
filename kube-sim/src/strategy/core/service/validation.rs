//! Validation of services.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::schema::FieldError;
use crate::strategy::validation::{Errors, INVALID_PORT, check_unique, is_empty, items, string_in};

pub(super) fn validate(new: &Value, out: &mut Errors) {
    check_spec(&new["spec"], out);
    check_unique_items(&new["spec"], out);
}

pub(super) fn validate_update(old: &Value, new: &Value, out: &mut Errors) {
    let ingress = &new["status"]["loadBalancer"]["ingress"];
    if ingress != &old["status"]["loadBalancer"]["ingress"]
        && !is_empty(ingress)
        && string_in(&new["spec"], "type") != "LoadBalancer"
    {
        let why = "may only be used when `spec.type` is 'LoadBalancer'";
        out.push(FieldError::forbidden("status.loadBalancer.ingress", why));
    }
    let (old, new) = (&old["spec"], &new["spec"]);
    check_spec(new, out);
    let keeps_cluster_ip =
        string_in(old, "type") != "ExternalName" && string_in(new, "type") != "ExternalName";
    let before = string_in(old, "clusterIP");
    if keeps_cluster_ip && !before.is_empty() && string_in(new, "clusterIP") != before {
        let addresses = new["clusterIPs"].clone();
        out.push(FieldError::invalid("spec.clusterIPs[0]", addresses, "may not change once set"));
    }
    check_unique_items(new, out);
}

fn check_spec(spec: &Value, out: &mut Errors) {
    let kind = string_in(spec, "type");
    let is_headless = string_in(spec, "clusterIP") == "None";
    let ports = spec["ports"].as_array().map_or(0, Vec::len);
    if ports == 0 && !is_headless && kind != "ExternalName" {
        out.push(FieldError::required("spec.ports", ""));
    }
    for (path, port) in items("spec", spec, "ports") {
        if ports > 1 {
            out.require_string(&path, port, "name");
        }
        for field in ["port", "targetPort"] {
            let number = port[field].as_i64();
            if let Some(number) = number.filter(|number| !(1..=65535).contains(number)) {
                out.push(FieldError::invalid(format!("{path}.{field}"), number, INVALID_PORT));
            }
        }
    }
    if kind == "ExternalName" && string_in(spec, "externalName").is_empty() {
        out.push(FieldError::required("spec.externalName", ""));
    }
    let (address, addresses) = (string_in(spec, "clusterIP"), &spec["clusterIPs"]);
    if addresses.get(0).is_some_and(|first| first != address) {
        let why = "first value must match `clusterIP`";
        out.push(FieldError::invalid("spec.clusterIPs", addresses.clone(), why));
    }
}

/// Checks that the ports and IP families of a service are unique.
fn check_unique_items(spec: &Value, out: &mut Errors) {
    check_unique("spec.ports", &spec["ports"], Some("name"), out);
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
