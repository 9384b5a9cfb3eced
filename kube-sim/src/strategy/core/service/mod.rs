//! The strategy of services.

mod addresses;
pub(crate) mod node_ports;
mod printer;
mod validation;

use serde_json::{Value, json};

use crate::names;
use crate::strategy::defaulting::{
    has_string, object_in, object_items, object_or_insert, set_default, set_default_string,
};
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::fields::SelectableField;
use crate::strategy::{InitialStatus, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Service",
    allow_create_on_update: true,
    name_problem: |name| names::label_1035_problem(name).map(str::to_owned),
    set_defaults,
    initial_status: InitialStatus::Set(|_| json!({"loadBalancer": {}})),
    prepare_for_create: |service, _| addresses::set_address_fields(service),
    prepare_for_update: |old, new| {
        addresses::preserve(&old["spec"], &mut new["spec"]);
        if new["spec"]["type"] != "LoadBalancer" {
            new["status"]["loadBalancer"] = json!({});
        }
    },
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    warn: warn_of_deprecated_fields,
    status_reset_fields: &["spec"],
    selectable_fields: &[SelectableField::new("spec.clusterIP"), SelectableField::new("spec.type")],
    printer: printer::PRINTER,
    deletion: DeletionStrategy::RETURNS_OBJECT,
    zero_value: Some(|| (json!({}), json!({"loadBalancer": {}}))),
    ..Strategy::DEFAULT
};

fn warn_of_deprecated_fields(_: Option<&Value>, service: &Value, out: &mut Vec<String>) {
    let spec = &service["spec"];
    if spec["externalIPs"].as_array().is_some_and(|addresses| !addresses.is_empty()) {
        out.push(
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned(),
        );
    }
    if spec["trafficDistribution"] == "PreferClose" {
        let replacement = "PreferSameZone";
        out.push(format!("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"{replacement}\""));
    }
}

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "type", "ClusterIP");
    set_default_string(spec, "sessionAffinity", "None");
    if has_string(spec, "sessionAffinity", "ClientIP") {
        let client = object_or_insert(spec, "sessionAffinityConfig")
            .and_then(|config| object_or_insert(config, "clientIP"));
        if let Some(client) = client {
            set_default(client, "timeoutSeconds", 10_800);
        }
    }
    if !has_string(spec, "type", "ExternalName") {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if has_string(spec, "type", "NodePort") || has_string(spec, "type", "LoadBalancer") {
        set_default_string(spec, "externalTrafficPolicy", "Cluster");
    }
    if has_string(spec, "type", "LoadBalancer") {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in object_items(spec, "ports") {
        set_default_string(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        if port.get("targetPort").is_none_or(|target| *target == 0 || target == "") {
            port["targetPort"] = number;
        }
    }
}
