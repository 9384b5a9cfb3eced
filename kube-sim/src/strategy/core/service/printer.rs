//! The `Table` rows of services.

use jiff::Timestamp;
use serde_json::Value;

use crate::store::selector::LabelSelector;
use crate::strategy::printer::networking::load_balancer_addresses;
use crate::strategy::printer::{
    Printer, age_cell, items, name_cell, string_or_empty, text_cell, text_cell_or_none,
};

pub(super) const PRINTER: Printer = Printer::new(cells);

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
    let selector = LabelSelector::from_json(&spec["selector"]).to_string();
    vec![
        name_cell(object),
        text_cell(&spec["type"]),
        text_cell_or_none(string_or_empty(&spec["clusterIPs"][0])),
        external_addresses(object).into(),
        text_cell_or_none(&ports.join(",")),
        age_cell(object, now),
        text_cell_or_none(&selector),
    ]
}

fn external_addresses(object: &Value) -> String {
    let spec = &object["spec"];
    let own = items(&spec["externalIPs"]).map(string_or_empty);
    let (addresses, absent): (Vec<&str>, _) = match string_or_empty(&spec["type"]) {
        "ExternalName" => return string_or_empty(&spec["externalName"]).to_owned(),
        "LoadBalancer" => {
            (load_balancer_addresses(&object["status"]).into_iter().chain(own).collect(), "<pending>")
        }
        _ => (own.collect(), "<none>"),
    };
    if addresses.is_empty() { absent.to_owned() } else { addresses.join(",") }
}
