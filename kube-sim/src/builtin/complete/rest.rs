//! Defaults of services, configuration, storage, autoscaling, policies and webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{ensured, is, items, object_in, put, put_text};

pub(super) fn service(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    put_text(spec, "type", "ClusterIP");
    put_text(spec, "sessionAffinity", "None");
    if is(spec, "sessionAffinity", "ClientIP") {
        let client = ensured(spec, "sessionAffinityConfig").and_then(|config| ensured(config, "clientIP"));
        if let Some(client) = client {
            put(client, "timeoutSeconds", 10_800);
        }
    }
    if !is(spec, "type", "ExternalName") {
        put_text(spec, "internalTrafficPolicy", "Cluster");
    }
    if is(spec, "type", "NodePort") || is(spec, "type", "LoadBalancer") {
        put_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if is(spec, "type", "LoadBalancer") {
        put(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in items(spec, "ports") {
        put_text(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        if port.get("targetPort").is_none_or(|target| *target == 0 || target == "") {
            port["targetPort"] = number;
        }
    }
}

/// Moves the values of `stringData` to `data`, because `stringData` is write-only.
pub(super) fn secret(object: &mut Value) {
    put_text(object, "type", "Opaque");
    let texts = object.as_object_mut().and_then(|map| map.remove("stringData"));
    let Some(Value::Object(texts)) = texts else { return };
    if let Some(data) = ensured(object, "data") {
        for (key, text) in texts {
            data[&key] = Value::from(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
}

pub(super) fn persistent_volume(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    put_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    put_text(spec, "volumeMode", "Filesystem");
    if let Some(path) = object_in(spec, "hostPath") {
        put(path, "type", "");
    }
}

pub(super) fn persistent_volume_claim(object: &mut Value) {
    if let Some(spec) = object_in(object, "spec") {
        put_text(spec, "volumeMode", "Filesystem");
    }
}

pub(super) fn storage_class(object: &mut Value) {
    put_text(object, "reclaimPolicy", "Delete");
    put_text(object, "volumeBindingMode", "Immediate");
}

pub(super) fn csi_driver(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    put(spec, "attachRequired", true);
    for flag in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        put(spec, flag, false);
    }
    put(spec, "volumeLifecycleModes", json!(["Persistent"]));
    put_text(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
}

/// Sets the defaults of an autoscaler of API version `version`. The default metric is a CPU utilization of 80 %.
pub(super) fn autoscaler(version: &str, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    put(spec, "minReplicas", 1);
    if version == "v1" {
        put(spec, "targetCPUUtilizationPercentage", 80);
        return;
    }
    let cpu = json!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    });
    put(spec, "metrics", json!([cpu]));
}

pub(super) fn network_policy(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    for list in ["ingress", "egress"] {
        for rule in items(spec, list) {
            items(rule, "ports").for_each(|port| put_text(port, "protocol", "TCP"));
        }
    }
    let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    put(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}

pub(super) fn role_binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    if let Some(role) = object_in(object, "roleRef") {
        put_text(role, "apiGroup", GROUP);
    }
    for subject in items(object, "subjects") {
        if is(subject, "kind", "User") || is(subject, "kind", "Group") {
            put_text(subject, "apiGroup", GROUP);
        }
    }
}

pub(super) fn endpoint_slice(object: &mut Value) {
    for port in items(object, "ports") {
        put(port, "name", "");
        put_text(port, "protocol", "TCP");
    }
}

pub(super) fn webhooks(object: &mut Value, mutating: bool) {
    for hook in items(object, "webhooks") {
        put_text(hook, "failurePolicy", "Fail");
        put_text(hook, "matchPolicy", "Equivalent");
        put(hook, "namespaceSelector", Map::new());
        put(hook, "objectSelector", Map::new());
        put(hook, "timeoutSeconds", 10);
        if mutating {
            put_text(hook, "reinvocationPolicy", "Never");
        }
        items(hook, "rules").for_each(|rule| put_text(rule, "scope", "*"));
        if let Some(service) = object_in(hook, "clientConfig").and_then(|config| object_in(config, "service"))
        {
            put(service, "port", 443);
        }
    }
}
