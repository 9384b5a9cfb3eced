//! The cells of the kinds of `networking.k8s.io` and `discovery.k8s.io`, and of endpoints.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    age_cell, items, join_first, name_cell, number_or_text, string_or_empty, text_cell, text_cell_or,
    text_cell_or_none,
};
use crate::store::selector::LabelSelector;

/// The maximum number of addresses, ports or hosts in one cell.
const MAX_SHOWN: usize = 3;

pub(in crate::strategy) fn ingress_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let tls = items(&spec["tls"]).next().is_some();
    vec![
        name_cell(object),
        text_cell_or(&spec["ingressClassName"], "<none>"),
        hosts(&spec["rules"]).into(),
        load_balancer_addresses(&object["status"]).join(",").into(),
        if tls { "80, 443" } else { "80" }.into(),
        age_cell(object, now),
    ]
}

/// The hosts of the first rules, and the number of the other rules. As in the API server, this number includes the rules
/// without a host.
fn hosts(rules: &Value) -> String {
    let mut shown: Vec<&str> = Vec::new();
    let mut more = false;
    for rule in items(rules) {
        more |= shown.len() == MAX_SHOWN;
        let host = string_or_empty(&rule["host"]);
        if !more && !host.is_empty() {
            shown.push(host);
        }
    }
    match (shown.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (_, true) => format!("{} + {} more...", shown.join(","), items(rules).count() - MAX_SHOWN),
        _ => shown.join(","),
    }
}

/// The addresses in `status.loadBalancer.ingress`, sorted.
pub(in crate::strategy) fn load_balancer_addresses(status: &Value) -> Vec<&str> {
    let addresses: BTreeSet<&str> = items(&status["loadBalancer"]["ingress"])
        .map(|ingress| match string_or_empty(&ingress["ip"]) {
            "" => string_or_empty(&ingress["hostname"]),
            ip => ip,
        })
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect()
}

pub(in crate::strategy) fn ingress_class_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let metadata = &object["metadata"];
    let is_default = metadata["annotations"]["ingressclass.kubernetes.io/is-default-class"] == "true";
    let parameters = &object["spec"]["parameters"];
    let group = match parameters["apiGroup"].as_str() {
        Some(group) => format!(".{group}"),
        None => String::new(),
    };
    let shown = match parameters {
        Value::Null => "<none>".to_owned(),
        _ => {
            format!(
                "{}{group}/{}",
                string_or_empty(&parameters["kind"]),
                string_or_empty(&parameters["name"])
            )
        }
    };
    let suffix = if is_default { " (default)" } else { "" };
    vec![
        format!("{}{suffix}", string_or_empty(&metadata["name"])).into(),
        text_cell(&object["spec"]["controller"]),
        shown.into(),
        age_cell(object, now),
    ]
}

pub(in crate::strategy) fn network_policy_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let selector = LabelSelector::from_json(&object["spec"]["podSelector"]).to_string();
    vec![name_cell(object), text_cell_or_none(&selector), age_cell(object, now)]
}

pub(in crate::strategy) fn service_cidr_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let cidrs: Vec<&str> = items(&object["spec"]["cidrs"]).map(string_or_empty).collect();
    vec![name_cell(object), cidrs.join(",").into(), age_cell(object, now)]
}

pub(in crate::strategy) fn ip_address_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let parent = &object["spec"]["parentRef"];
    let text = |field: &str| string_or_empty(&parent[field]);
    let mut path = crate::names::with_group(text("resource"), text("group")).to_lowercase();
    for part in ["namespace", "name"].map(text).into_iter().filter(|part| !part.is_empty()) {
        path.push('/');
        path.push_str(part);
    }
    let shown = if parent.is_null() { "<none>".to_owned() } else { path };
    vec![name_cell(object), shown.into(), age_cell(object, now)]
}

pub(in crate::strategy) fn endpoints_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut addresses = Vec::new();
    for subset in items(&object["subsets"]) {
        let ips = || items(&subset["addresses"]).map(|address| string_or_empty(&address["ip"]));
        if items(&subset["ports"]).next().is_none() {
            addresses.extend(ips().map(str::to_owned));
        }
        for port in items(&subset["ports"]) {
            addresses.extend(ips().map(|ip| {
                if ip.contains(':') {
                    format!("[{ip}]:{}", port["port"])
                } else {
                    format!("{ip}:{}", port["port"])
                }
            }));
        }
    }
    vec![name_cell(object), text_cell_or_none(&join_first(&addresses, MAX_SHOWN)), age_cell(object, now)]
}

pub(in crate::strategy) fn endpoint_slice_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = items(&object["ports"])
        .map(|port| match (&port["port"], &port["name"]) {
            (Value::Null, Value::Null) => "*".to_owned(),
            (Value::Null, name) => string_or_empty(name).to_owned(),
            (number, _) => number_or_text(number),
        })
        .collect();
    let addresses: Vec<String> = items(&object["endpoints"])
        .flat_map(|endpoint| items(&endpoint["addresses"]))
        .map(|address| string_or_empty(address).to_owned())
        .collect();
    let shown = |texts: &[String]| match join_first(texts, MAX_SHOWN) {
        text if text.is_empty() => "<unset>".to_owned(),
        text => text,
    };
    vec![
        name_cell(object),
        text_cell(&object["addressType"]),
        shown(&ports).into(),
        shown(&addresses).into(),
        age_cell(object, now),
    ]
}
