//! Defaults of services, configuration, storage, autoscaling, policies and webhooks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{has_string, object_in, object_items, object_or_insert, set_default, set_default_string};

pub(super) fn set_service_defaults(object: &mut Value) {
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
        set_default_string(spec, "internalTrafficPolicy", "Cluster");
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

/// Moves the values of `stringData` to `data`, because `stringData` is write-only.
pub(super) fn set_secret_defaults(object: &mut Value) {
    set_default_string(object, "type", "Opaque");
    let texts = object.as_object_mut().and_then(|map| map.remove("stringData"));
    let Some(Value::Object(texts)) = texts else { return };
    if let Some(data) = object_or_insert(object, "data") {
        for (key, text) in texts {
            data[&key] = Value::from(STANDARD.encode(text.as_str().unwrap_or_default()));
        }
    }
}

pub(super) fn set_persistent_volume_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "persistentVolumeReclaimPolicy", "Retain");
    set_default_string(spec, "volumeMode", "Filesystem");
    if let Some(path) = object_in(spec, "hostPath") {
        set_default(path, "type", "");
    }
}

pub(super) fn set_persistent_volume_claim_defaults(object: &mut Value) {
    if let Some(spec) = object_in(object, "spec") {
        set_default_string(spec, "volumeMode", "Filesystem");
    }
}

pub(super) fn set_storage_class_defaults(object: &mut Value) {
    set_default_string(object, "reclaimPolicy", "Delete");
    set_default_string(object, "volumeBindingMode", "Immediate");
}

pub(super) fn set_csi_driver_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "attachRequired", true);
    for flag in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
        set_default(spec, flag, false);
    }
    set_default(spec, "volumeLifecycleModes", json!(["Persistent"]));
    set_default_string(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
}

/// Sets the defaults of an autoscaler of API version `version`. The default metric is a CPU utilization of 80 %.
pub(super) fn set_autoscaler_defaults(version: &str, object: &mut Value) {
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

pub(super) fn set_network_policy_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    for list in ["ingress", "egress"] {
        for rule in object_items(spec, list) {
            object_items(rule, "ports").for_each(|port| set_default_string(port, "protocol", "TCP"));
        }
    }
    let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    set_default(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}

pub(super) fn set_role_binding_defaults(object: &mut Value) {
    const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
    if let Some(role) = object_in(object, "roleRef") {
        set_default_string(role, "apiGroup", RBAC_GROUP);
    }
    for subject in object_items(object, "subjects") {
        if has_string(subject, "kind", "User") || has_string(subject, "kind", "Group") {
            set_default_string(subject, "apiGroup", RBAC_GROUP);
        }
    }
}

pub(super) fn set_endpoint_slice_defaults(object: &mut Value) {
    for port in object_items(object, "ports") {
        set_default(port, "name", "");
        set_default_string(port, "protocol", "TCP");
    }
}

/// Sets the defaults of the webhooks in a configuration; `mutating` is true for a MutatingWebhookConfiguration.
pub(super) fn set_webhooks_defaults(object: &mut Value, mutating: bool) {
    for hook in object_items(object, "webhooks") {
        set_default_string(hook, "failurePolicy", "Fail");
        set_default_string(hook, "matchPolicy", "Equivalent");
        set_default(hook, "namespaceSelector", Map::new());
        set_default(hook, "objectSelector", Map::new());
        set_default(hook, "timeoutSeconds", 10);
        if mutating {
            set_default_string(hook, "reinvocationPolicy", "Never");
        }
        object_items(hook, "rules").for_each(|rule| set_default_string(rule, "scope", "*"));
        if let Some(service) = object_in(hook, "clientConfig").and_then(|config| object_in(config, "service"))
        {
            set_default(service, "port", 443);
        }
    }
}
