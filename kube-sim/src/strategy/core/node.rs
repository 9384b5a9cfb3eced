//! The strategy of nodes.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::schema::FieldError;
use crate::strategy::defaulting::object_in;
use crate::strategy::fields::SelectableField;
use crate::strategy::printer::{
    Printer, age_cell, items, name_cell, string_or_empty, text_cell, text_cell_or_none,
};
use crate::strategy::validation::{self, Errors, string_in};
use crate::strategy::{InitialStatus, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Node",
    set_defaults: |_, node| sync_pod_cidrs(node),
    initial_status: InitialStatus::Kept,
    validate: |object, out| check_taints(&object["spec"], out),
    status_reset_fields: &["spec"],
    selectable_fields: &[SelectableField::with_value_if_absent("spec.unschedulable", "false")],
    field_aliases: &[("name", "metadata.name")],
    printer: Printer::new(cells),
    zero_value: Some(zero_value_of_spec_and_status),
    ..Strategy::DEFAULT
};

/// Sets an absent `podCIDR` to the first item of `podCIDRs`. A `podCIDR` that differs from the first item replaces the
/// list.
fn sync_pod_cidrs(node: &mut Value) {
    let Some(spec) = object_in(node, "spec") else { return };
    let single = string_in(spec, "podCIDR").to_owned();
    let first = spec["podCIDRs"][0].as_str().map(str::to_owned);
    match first {
        Some(first) if single.is_empty() && !first.is_empty() => spec["podCIDR"] = first.into(),
        Some(first) if !single.is_empty() && first != single => spec["podCIDRs"] = json!([single]),
        None if !single.is_empty() => spec["podCIDRs"] = json!([single]),
        _ => {}
    }
}

fn zero_value_of_spec_and_status() -> (Value, Value) {
    let status = json!({
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": {
            "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
            "containerRuntimeVersion": "", "kubeletVersion": "", "kubeProxyVersion": "",
            "operatingSystem": "", "architecture": "",
        },
    });
    (json!({}), status)
}

/// Checks that no two taints have the same key and effect.
fn check_taints(spec: &Value, out: &mut Errors) {
    let mut seen = HashSet::new();
    for (path, taint) in validation::items("metadata", spec, "taints") {
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

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let ready = items(&status["conditions"]).find(|c| c["type"] == "Ready");
    let mut state = match ready.map(|c| string_or_empty(&c["status"])) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object["spec"]["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let roles: BTreeSet<&str> = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| match key.as_str() {
            "kubernetes.io/role" => value.as_str(),
            _ => key.strip_prefix("node-role.kubernetes.io/"),
        })
        .filter(|role| !role.is_empty())
        .collect();
    let roles: Vec<&str> = roles.into_iter().collect();
    let address = |kind: &str| {
        items(&status["addresses"]).find(|a| a["type"] == kind).map_or("", |a| string_or_empty(&a["address"]))
    };
    let info = &status["nodeInfo"];
    let known = |field: &str| match string_or_empty(&info[field]) {
        "" => "<unknown>".to_owned(),
        text => text.to_owned(),
    };
    let mut kernel = known("kernelVersion");
    if let Some(architecture) = info["architecture"].as_str().filter(|text| !text.is_empty()) {
        kernel = format!("{kernel} ({architecture})");
    }
    vec![
        name_cell(object),
        state.into(),
        text_cell_or_none(&roles.join(",")),
        age_cell(object, now),
        text_cell(&info["kubeletVersion"]),
        text_cell_or_none(address("InternalIP")),
        text_cell_or_none(address("ExternalIP")),
        known("osImage").into(),
        kernel.into(),
        known("containerRuntimeVersion").into(),
    ]
}
