//! Sets the addresses of new services, and preserves addresses and node ports in updates. The handler of the request
//! allocates the cluster IP and the node ports.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::node_ports::{allocates_node_ports, has_node_ports, of_ports};
use crate::strategy::validation::is_empty;

/// Sets `clusterIPs` of a service to its cluster IP. Sets the IP families and their policy if the request omits them.
/// Skips a service of the type `ExternalName`.
pub(super) fn set_address_fields(object: &mut Value) {
    let Some(spec) = object["spec"].as_object_mut() else { return };
    if spec.get("type").is_some_and(|kind| kind == "ExternalName") {
        return;
    }
    let wanted = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    // A headless service without a selector may have endpoints of both families.
    let has_selector =
        spec.get("selector").and_then(Value::as_object).is_some_and(|labels| !labels.is_empty());
    let (families, policy) = if wanted == "None" && !has_selector {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    if !wanted.is_empty() {
        spec.insert("clusterIPs".into(), json!([wanted]));
    }
    spec.entry("ipFamilies").or_insert(families);
    spec.entry("ipFamilyPolicy").or_insert_with(|| policy.into());
}

/// Restores each of these fields that an update omits: the cluster IPs, the IP families, the IP family policy
/// and the node ports. If an update changes only one of the fields `clusterIP` and `clusterIPs`, adapts the
/// other field. If an update changes the type, removes each field that the new type does not have, unless the
/// update changes the value of the field. For example, a service that becomes an `ExternalName` loses its
/// cluster IPs. `old` and `new` are the specs of the service.
pub(super) fn preserve(old: &Value, new: &mut Value) {
    if !new.is_object() {
        return;
    }
    drop_unused_fields(old, new);
    preserve_node_ports(old, new);
    let is_local = new["type"] == "LoadBalancer" && new["externalTrafficPolicy"] == "Local";
    if is_local && is_empty(&new["healthCheckNodePort"]) && !is_empty(&old["healthCheckNodePort"]) {
        new["healthCheckNodePort"] = old["healthCheckNodePort"].clone();
    }
    let fields = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];
    if new["type"] == "ExternalName" {
        // An ExternalName service has no cluster IPs: drop the addresses of the old object.
        let is_policy_unchanged = old["internalTrafficPolicy"] == new["internalTrafficPolicy"];
        if old["type"] != "ExternalName"
            && let Some(spec) = new.as_object_mut()
        {
            if is_policy_unchanged {
                spec.remove("internalTrafficPolicy");
            }
            spec.retain(|key, value| {
                !fields.contains(&key.as_str()) || !(is_empty(value) || old[key] == *value)
            });
        }
        return;
    }
    if !is_empty(&new["clusterIP"]) && new["clusterIP"] != old["clusterIP"] {
        if is_empty(&new["clusterIPs"]) || new["clusterIPs"] == old["clusterIPs"] {
            new["clusterIPs"] = json!([new["clusterIP"]]);
        }
    } else if is_empty(&new["clusterIP"])
        && !is_empty(&new["clusterIPs"])
        && new["clusterIPs"] != old["clusterIPs"]
    {
        new["clusterIP"] = new["clusterIPs"][0].clone();
    }
    for field in fields {
        if is_empty(&new[field]) {
            match old.get(field).filter(|value| !is_empty(value)) {
                Some(value) => new[field] = value.clone(),
                None => {
                    new.as_object_mut().map(|spec| spec.remove(field));
                }
            }
        }
    }
}

/// Restores the node ports that an update omits. The name identifies a port. A node port that the update gives to another
/// port is not restored.
fn preserve_node_ports(old: &Value, new: &mut Value) {
    if !allocates_node_ports(old) || !allocates_node_ports(new) {
        return;
    }
    let requested = of_ports(new);
    let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_owned();
    let old_ports = old["ports"].as_array().into_iter().flatten();
    let before: HashMap<String, u64> =
        old_ports.filter_map(|port| Some((name(port), port["nodePort"].as_u64()?))).collect();
    for port in new["ports"].as_array_mut().into_iter().flatten() {
        if is_empty(&port["nodePort"])
            && let Some(node_port) = before.get(&name(port)).filter(|port| !requested.contains(port))
        {
            port["nodePort"] = (*node_port).into();
        }
    }
}

/// Removes the fields that the new type does not have, except for values that the update changes.
fn drop_unused_fields(old: &Value, new: &mut Value) {
    let is_balanced = |spec: &Value| spec["type"] == "LoadBalancer";
    let is_local = |spec: &Value| is_balanced(spec) && spec["externalTrafficPolicy"] == "Local";
    let is_external =
        |spec: &Value| has_node_ports(spec) || spec["type"] == "ClusterIP" && !is_empty(&spec["externalIPs"]);
    let loses_balancer = is_balanced(old) && !is_balanced(new);
    let unused = [
        ("healthCheckNodePort", is_local(old) && !is_local(new)),
        ("allocateLoadBalancerNodePorts", loses_balancer),
        ("loadBalancerClass", loses_balancer),
        ("externalTrafficPolicy", is_external(old) && !is_external(new)),
    ];
    let loses_node_ports =
        has_node_ports(old) && !has_node_ports(new) && of_ports(old).is_superset(&of_ports(new));
    let Some(spec) = new.as_object_mut() else { return };
    for (field, is_unused) in unused {
        if is_unused && spec.get(field) == old.get(field) {
            spec.remove(field);
        }
    }
    if loses_node_ports {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            port.as_object_mut().map(|port| port.remove("nodePort"));
        }
    }
}
