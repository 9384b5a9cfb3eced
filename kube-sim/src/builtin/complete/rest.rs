//! Defaults of services, configuration, storage, autoscaling, policies and webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{ensured, has_text, items, object_in, set_default, set_default_string};

pub(super) fn complete_service(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "type", "ClusterIP");
    set_default_string(spec, "sessionAffinity", "None");
    if has_text(spec, "sessionAffinity", "ClientIP") {
        let client = ensured(spec, "sessionAffinityConfig").and_then(|config| ensured(config, "clientIP"));
        if let Some(client) = client {
            set_default(client, "timeoutSeconds", 10_800);
        }
    }
    if !has_text(spec, "type", "ExternalName") {
        set_default_string(spec, "internalTrafficPolicy", "Cluster");
    }
    if has_text(spec, "type", "NodePort") || has_text(spec, "type", "LoadBalancer") {
        set_default_string(spec, "externalTrafficPolicy", "Cluster");
    }
    if has_text(spec, "type", "LoadBalancer") {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    for port in items(spec, "ports") {
        set_default_string(port, "protocol", "TCP");
        let number = port.get("port").cloned().unwrap_or_default();
        if port.get("targetPort").is_none_or(|target| *target == 0 || target == "") {
            port["targetPort"] = number;
        }
    }
}

/// Moves the values of `stringData` to `data`, because `stringData` is write-only.
pub(super) fn complete_secret(object: &mut Value) {
    set_default_string(object, "type", "Opaque");
    let texts = object.as_object_mut().and_then(|map| map.remove("stringData"));
    let Some(Value::Object(texts)) = texts else { return };
    if let Some(data) = ensured(object, "data") {
        for (key, text) in texts {
            data[&key] = Value::from(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
}

pub(super) fn complete_persistent_volume(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "persistentVolumeReclaimPolicy", "Retain");
    set_default_string(spec, "volumeMode", "Filesystem");
    if let Some(path) = object_in(spec, "hostPath") {
        set_default(path, "type", "");
    }
}

pub(super) fn complete_persistent_volume_claim(object: &mut Value) {
    if let Some(spec) = object_in(object, "spec") {
        set_default_string(spec, "volumeMode", "Filesystem");
    }
}

pub(super) fn complete_storage_class(object: &mut Value) {
    set_default_string(object, "reclaimPolicy", "Delete");
    set_default_string(object, "volumeBindingMode", "Immediate");
}

pub(super) fn complete_csi_driver(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "attachRequired", true);
    for flag in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        set_default(spec, flag, false);
    }
    set_default(spec, "volumeLifecycleModes", json!(["Persistent"]));
    set_default_string(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
}

/// Sets the defaults of an autoscaler of API version `version`. The default metric is a CPU utilization of 80 %.
pub(super) fn complete_autoscaler(version: &str, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "minReplicas", 1);
    if version == "v1" {
        set_default(spec, "targetCPUUtilizationPercentage", 80);
        return;
    }
    let cpu = json!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    });
    set_default(spec, "metrics", json!([cpu]));
}

pub(super) fn complete_network_policy(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    for list in ["ingress", "egress"] {
        for rule in items(spec, list) {
            items(rule, "ports").for_each(|port| set_default_string(port, "protocol", "TCP"));
        }
    }
    let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    set_default(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}

pub(super) fn complete_role_binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    if let Some(role) = object_in(object, "roleRef") {
        set_default_string(role, "apiGroup", GROUP);
    }
    for subject in items(object, "subjects") {
        if has_text(subject, "kind", "User") || has_text(subject, "kind", "Group") {
            set_default_string(subject, "apiGroup", GROUP);
        }
    }
}

pub(super) fn complete_endpoint_slice(object: &mut Value) {
    for port in items(object, "ports") {
        set_default(port, "name", "");
        set_default_string(port, "protocol", "TCP");
    }
}

pub(super) fn complete_webhooks(object: &mut Value, mutating: bool) {
    for hook in items(object, "webhooks") {
        set_default_string(hook, "failurePolicy", "Fail");
        set_default_string(hook, "matchPolicy", "Equivalent");
        set_default(hook, "namespaceSelector", Map::new());
        set_default(hook, "objectSelector", Map::new());
        set_default(hook, "timeoutSeconds", 10);
        if mutating {
            set_default_string(hook, "reinvocationPolicy", "Never");
        }
        items(hook, "rules").for_each(|rule| set_default_string(rule, "scope", "*"));
        if let Some(service) = object_in(hook, "clientConfig").and_then(|config| object_in(config, "service"))
        {
            set_default(service, "port", 443);
        }
    }
}
