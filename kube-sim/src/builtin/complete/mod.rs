//! The defaulting of built-in kinds that Kubernetes implements in Go (`SetDefaults_*`).
//!
//! Owns one function for each kind, which [`complete`] calls. `schema::default` must run before. This module
//! must not read other objects, and must not choose random values (addresses, ports, names).

mod pods;
mod rest;
mod workloads;

use serde_json::{Map, Value};

use super::Resource;

/// Sets the defaults of an object of a built-in kind that are not in its schema. `old` is the stored object if the
/// request is an update.
///
/// The function is idempotent. Kinds without a function have no such defaults, or none that clients depend on.
pub(crate) fn complete(resource: &Resource, old: Option<&Value>, new: &mut Value) {
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::complete_pod(new, old.is_none()),
        ("", "PodTemplate") => pods::complete_template(new),
        ("", "ReplicationController") => workloads::complete_replication_controller(new),
        ("apps", "Deployment") => workloads::complete_deployment(new),
        ("apps", "ReplicaSet") => workloads::complete_replica_set(new),
        ("apps", "StatefulSet") => workloads::complete_stateful_set(new),
        ("apps", "DaemonSet") => workloads::complete_daemon_set(old, new),
        ("batch", "Job") => workloads::complete_job(new, old.is_none()),
        ("batch", "CronJob") => workloads::complete_cron_job(new),
        ("", "Service") => rest::complete_service(new),
        ("", "Secret") => rest::complete_secret(new),
        ("", "PersistentVolume") => rest::complete_persistent_volume(new),
        ("", "PersistentVolumeClaim") => rest::complete_persistent_volume_claim(new),
        ("storage.k8s.io", "StorageClass") => rest::complete_storage_class(new),
        ("storage.k8s.io", "CSIDriver") => rest::complete_csi_driver(new),
        ("scheduling.k8s.io", "PriorityClass") => {
            set_default(new, "preemptionPolicy", "PreemptLowerPriority");
        }
        ("autoscaling", "HorizontalPodAutoscaler") => rest::complete_autoscaler(resource.version, new),
        ("networking.k8s.io", "NetworkPolicy") => rest::complete_network_policy(new),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            rest::complete_role_binding(new);
        }
        ("discovery.k8s.io", "EndpointSlice") => rest::complete_endpoint_slice(new),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            rest::complete_webhooks(new, false);
        }
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => {
            rest::complete_webhooks(new, true);
        }
        _ => {}
    }
}

/// Sets `field` to `value` if it is absent or null.
fn set_default(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        let present = map.entry(field).or_insert(Value::Null);
        if present.is_null() {
            *present = value.into();
        }
    }
}

/// Sets `field` to `value` if it is absent, null or an empty string.
fn set_default_string(object: &mut Value, field: &str, value: &str) {
    if object.get(field).is_some_and(|present| present == "") {
        object[field] = Value::from(value);
    }
    set_default(object, field, value);
}

/// The value of `field` if it is an object.
fn object_in<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    object.get_mut(field).filter(|value| value.is_object())
}

/// Sets `field` to an empty object if it is absent or null. Returns its value if that is an object.
fn ensured<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    set_default(object, field, Map::new());
    object_in(object, field)
}

/// The items of the list in `field` that are objects.
fn items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter(|item| item.is_object())
}

/// Whether `field` is the string `text`.
fn has_text(object: &Value, field: &str, text: &str) -> bool {
    object.get(field).and_then(Value::as_str) == Some(text)
}

#[cfg(test)]
mod tests;
