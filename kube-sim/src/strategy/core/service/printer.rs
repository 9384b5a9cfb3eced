//! The `Table` columns of services.

use jiff::Timestamp;
use serde_json::Value;

use crate::store::selector::LabelSelector;
use crate::strategy::printer::{Printer, age_cell, items, or_none, string_or_empty};

pub(super) const PRINTER: Printer =
    Printer { columns: &["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"], cells };

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let ports: Vec<String> = items(&spec["ports"])
        .map(|p| {
            let protocol = p["protocol"].as_str().unwrap_or("TCP");
            match p["nodePort"].as_u64().unwrap_or(0) {
                0 => format!("{}/{protocol}", p["port"]),
                node => format!("{}:{node}/{protocol}", p["port"]),
            }
        })
        .collect();
    let external: Vec<&str> = items(&spec["externalIPs"]).map(string_or_empty).collect();
    let external = match (string_or_empty(&spec["type"]), external.is_empty()) {
        ("ExternalName", _) => string_or_empty(&spec["externalName"]).to_owned(),
        (_, false) => external.join(","),
        ("LoadBalancer", true) => "<pending>".to_owned(),
        _ => String::new(),
    };
    let selector = LabelSelector::of_object(&spec["selector"]).to_string();
    vec![
        string_or_empty(&spec["type"]).into(),
        or_none(string_or_empty(&spec["clusterIP"])),
        or_none(&external),
        or_none(&ports.join(",")),
        age_cell(object, now),
        or_none(&selector),
    ]
}
