//! Sets the addresses and node ports of new services, and preserves the addresses in updates. The handler of the request
//! has already allocated the cluster IP.

use serde_json::{Value, json};

use crate::clock::Random;
use crate::strategy::validation::is_empty;

/// Sets `clusterIPs` of a service to its cluster IP. Sets the IP families and their policy, the node ports and the health
/// check node port if the service needs these fields and the request omits them. Skips a service of the type
/// `ExternalName`.
pub(super) fn allocate(object: &mut Value, random: &mut Random) {
    let Some(spec) = object["spec"].as_object_mut() else { return };
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
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
    let is_balanced = kind == "LoadBalancer";
    if is_balanced && spec.get("externalTrafficPolicy").is_some_and(|policy| policy == "Local") {
        let port = 30_000 + random.below(2_768);
        spec.entry("healthCheckNodePort").or_insert_with(|| port.into());
    }
    let allocates = spec.get("allocateLoadBalancerNodePorts").is_none_or(|allocates| *allocates != false);
    if kind == "NodePort" || is_balanced && allocates {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if port["nodePort"].as_u64().unwrap_or(0) == 0 && port.is_object() {
                port["nodePort"] = (30_000 + random.below(2_768)).into();
            }
        }
    }
}

/// Restores the cluster IPs, the IP families and their policy, and the health check node port if an update omits these
/// fields. If an update changes only one of the fields `clusterIP` and `clusterIPs`, adapts the other field. If an update
/// changes the type to `ExternalName`, removes the cluster IPs, IP families and policies instead, except for values that
/// the update changes. `old` and `new` are the specs of the service.
pub(super) fn preserve(old: &Value, new: &mut Value) {
    if !new.is_object() {
        return;
    }
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
