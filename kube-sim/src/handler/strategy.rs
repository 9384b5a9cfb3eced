//! The strategy of each kind: prepare for create and update, generation, deletion.
//!
//! The module `builtin` contains the defaults and the validation of built-in kinds. This file contains only the steps
//! that need the store or that depend on the verb.

use serde_json::{Value, json};

use crate::registry::Resource;
use crate::store::State;

/// Whether the server maintains `metadata.generation` for the kind.
pub(crate) fn maintains_generation(resource: &Resource) -> bool {
    if resource.custom().is_some() {
        return true;
    }
    match resource.group.as_str() {
        "" => matches!(resource.kind.as_str(), "Pod" | "PodTemplate" | "ReplicationController"),
        "apps" => resource.kind != "ControllerRevision",
        "batch"
        | "policy"
        | "flowcontrol.apiserver.k8s.io"
        | "apiextensions.k8s.io"
        | "admissionregistration.k8s.io"
        | "autoscaling"
        | "discovery.k8s.io" => true,
        "networking.k8s.io" => matches!(resource.kind.as_str(), "Ingress" | "NetworkPolicy" | "IngressClass"),
        "scheduling.k8s.io" => resource.kind == "PriorityClass",
        "resource.k8s.io" => {
            matches!(resource.kind.as_str(), "ResourceSlice" | "DeviceClass" | "DeviceTaintRule")
        }
        _ => false,
    }
}

/// Whether an update increments `metadata.generation`: it changes a field outside the metadata and the status.
pub(crate) fn increments_generation(resource: &Resource, old: &Value, new: &Value) -> bool {
    let ignored = |key: &str| {
        matches!(key, "metadata" | "apiVersion" | "kind") || (key == "status" && resource.has_status())
    };
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
    let differs = |a: &serde_json::Map<String, Value>, b: &serde_json::Map<String, Value>| {
        a.iter().any(|(key, value)| !ignored(key) && b.get(key) != Some(value))
    };
    differs(old, new) || differs(new, old)
}

/// Whether an update creates the object if it does not exist (`AllowCreateOnUpdate`).
pub(crate) fn creates_on_update(resource: &Resource) -> bool {
    match resource.group.as_str() {
        "" => matches!(resource.kind.as_str(), "LimitRange" | "Event" | "Service" | "Endpoints"),
        "events.k8s.io" | "rbac.authorization.k8s.io" | "coordination.k8s.io" => true,
        "node.k8s.io" => resource.kind == "RuntimeClass",
        _ => false,
    }
}

/// Whether an update may omit the resource version (`AllowUnconditionalUpdate`).
pub(crate) fn allows_unconditional_update(resource: &Resource) -> bool {
    if resource.custom().is_some() {
        return false;
    }
    !matches!(
        resource.kind.as_str(),
        "CustomResourceDefinition"
            | "Lease"
            | "LeaseCandidate"
            | "PodDisruptionBudget"
            | "RuntimeClass"
            | "CSIDriver"
            | "CSINode"
            | "CSIStorageCapacity"
            | "VolumeAttachment"
            | "MutatingWebhookConfiguration"
            | "ValidatingWebhookConfiguration"
            | "ValidatingAdmissionPolicy"
            | "ValidatingAdmissionPolicyBinding"
            | "MutatingAdmissionPolicy"
            | "MutatingAdmissionPolicyBinding"
            | "StorageVersionMigration"
    )
}

/// Whether the response to a deletion is the object instead of a `Status`.
pub(crate) fn returns_deleted_object(resource: &Resource) -> bool {
    match resource.group.as_str() {
        "" => matches!(
            resource.kind.as_str(),
            "Pod"
                | "Service"
                | "ServiceAccount"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "PodTemplate"
                | "ResourceQuota"
        ),
        "storage.k8s.io" => resource.kind != "CSIStorageCapacity",
        "resource.k8s.io" => true,
        _ => false,
    }
}

/// Whether the default propagation policy of the kind is `Orphan`.
pub(crate) fn orphans_by_default(resource: &Resource) -> bool {
    (resource.group == "batch" && matches!(resource.kind.as_str(), "Job" | "CronJob"))
        || (resource.group.is_empty() && resource.kind == "ReplicationController")
}

/// Prepare for create: sets the initial status and the fields that the server allocates.
pub(crate) fn prepare_for_create(state: &mut State, resource: &Resource, object: &mut Value) {
    if !object.is_object() {
        return;
    }
    if resource.has_status() {
        match (resource.group.as_str(), resource.kind.as_str()) {
            ("", "Node") | ("apiregistration.k8s.io", _) => {}
            ("", "Pod") => object["status"] = json!({"phase": "Pending", "qosClass": qos_class(object)}),
            ("", "Namespace") => object["status"] = json!({"phase": "Active"}),
            ("", "PersistentVolume" | "PersistentVolumeClaim") => {
                object["status"] = json!({"phase": "Pending"});
            }
            ("", "Service") => object["status"] = json!({"loadBalancer": {}}),
            ("apiextensions.k8s.io", _) => {
                object["status"] = json!({
                    "conditions": null,
                    "acceptedNames": {"plural": "", "kind": ""},
                    "storedVersions": stored_versions(object),
                });
            }
            _ if resource.custom().is_some() => {
                object.as_object_mut().map(|o| o.remove("status"));
            }
            _ => object["status"] = json!({}),
        }
    }
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace") => prepare_namespace_for_create(object),
        ("", "Service") => allocate_addresses(state, object),
        _ => {}
    }
}

/// The initial `status.storedVersions` of a CustomResourceDefinition.
fn stored_versions(crd: &Value) -> Vec<Value> {
    let versions = crd["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|v| v["storage"] == true).map(|v| v["name"].clone()).collect()
}

fn prepare_namespace_for_create(object: &mut Value) {
    if object["spec"].is_null() {
        object["spec"] = json!({});
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(list) = finalizers.as_array_mut()
            && !list.contains(&json!("kubernetes"))
        {
            list.push("kubernetes".into());
        }
    }
    label_namespace(object);
}

/// Sets the label `kubernetes.io/metadata.name`, which every namespace has.
pub(crate) fn label_namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
}

/// Allocates the cluster IP and the node ports of a service, unless the request sets them.
fn allocate_addresses(state: &mut State, object: &mut Value) {
    let Some(spec) = object["spec"].as_object_mut() else { return };
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        return;
    }
    let wanted = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let address = if wanted.is_empty() {
        let n = state.random.below(250 * 255);
        format!("10.96.{}.{}", n / 250, n % 250 + 2)
    } else {
        wanted
    };
    spec.insert("clusterIPs".into(), json!([address]));
    spec.insert("clusterIP".into(), address.into());
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy").or_insert_with(|| json!("SingleStack"));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if port["nodePort"].as_u64().unwrap_or(0) == 0 && port.is_object() {
                port["nodePort"] = (30_000 + state.random.below(2_768)).into();
            }
        }
    }
}

/// The quality of service class of a pod, from the requests and limits of its containers.
fn qos_class(pod: &Value) -> &'static str {
    let containers = || {
        let plain = pod["spec"]["containers"].as_array().into_iter().flatten();
        plain.chain(pod["spec"]["initContainers"].as_array().into_iter().flatten())
    };
    let filled = |v: &Value| v.as_object().is_some_and(|m| m.contains_key("cpu") || m.contains_key("memory"));
    if !containers().any(|c| filled(&c["resources"]["requests"]) || filled(&c["resources"]["limits"])) {
        return "BestEffort";
    }
    let guaranteed = containers().all(|c| {
        let limits = &c["resources"]["limits"];
        let requests = &c["resources"]["requests"];
        ["cpu", "memory"]
            .iter()
            .all(|r| limits[r].is_string() && (requests[r].is_null() || requests[r] == limits[r]))
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}

/// Prepare for update: restores the fields of the old object that an update of the main resource cannot change.
pub(crate) fn prepare_for_update(resource: &Resource, old: &Value, new: &mut Value) {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace") => {
            // Only the `finalize` subresource changes the finalizers in a namespace's spec.
            new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
            label_namespace(new);
        }
        ("", "Service") => keep_addresses(&old["spec"], &mut new["spec"]),
        _ => {}
    }
}

/// Restores the allocated addresses of a service, and makes `clusterIP` equal to the first of `clusterIPs`.
fn keep_addresses(old: &Value, new: &mut Value) {
    if !new.is_object() {
        return;
    }
    let is_empty = |v: &Value| match v {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let fields = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];
    if new["type"] == "ExternalName" {
        // An ExternalName service has no cluster IPs: drop the addresses of the old object.
        if old["type"] != "ExternalName"
            && let Some(spec) = new.as_object_mut()
        {
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
