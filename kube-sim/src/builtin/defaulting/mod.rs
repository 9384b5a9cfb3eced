//! The defaults of built-in kinds, which Kubernetes implements in Go (`SetDefaults_*`).
//!
//! Owns one function for each kind, which [`set_defaults`] calls. `schema::default` must run before. This module
//! must not read other objects, and must not choose random values (addresses, ports, names).

mod other_kinds;
mod pods;
mod workloads;

use serde_json::{Map, Value};

use super::Resource;

/// Sets the defaults that the schema of a built-in kind does not contain. `old` is the stored object if the request is
/// an update.
///
/// The function is idempotent. A kind without a function has no such defaults, or only defaults on which clients do not
/// depend.
pub(crate) fn set_defaults(resource: &Resource, old: Option<&Value>, new: &mut Value) {
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::set_pod_defaults(new, old.is_none()),
        ("", "PodTemplate") => pods::set_template_defaults(new),
        ("", "ReplicationController") => workloads::set_replication_controller_defaults(new),
        ("apps", "Deployment") => workloads::set_deployment_defaults(new),
        ("apps", "ReplicaSet") => workloads::set_replica_set_defaults(new),
        ("apps", "StatefulSet") => workloads::set_stateful_set_defaults(new),
        ("apps", "DaemonSet") => workloads::set_daemon_set_defaults(old, new),
        ("batch", "Job") => workloads::set_job_defaults(new, old.is_none()),
        ("batch", "CronJob") => workloads::set_cron_job_defaults(new),
        ("", "Service") => other_kinds::set_service_defaults(new),
        ("", "Secret") => other_kinds::set_secret_defaults(new),
        ("", "PersistentVolume") => other_kinds::set_persistent_volume_defaults(new),
        ("", "PersistentVolumeClaim") => other_kinds::set_persistent_volume_claim_defaults(new),
        ("storage.k8s.io", "StorageClass") => other_kinds::set_storage_class_defaults(new),
        ("storage.k8s.io", "CSIDriver") => other_kinds::set_csi_driver_defaults(new),
        ("scheduling.k8s.io", "PriorityClass") => {
            set_default(new, "preemptionPolicy", "PreemptLowerPriority");
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            other_kinds::set_autoscaler_defaults(resource.version, new);
        }
        ("networking.k8s.io", "NetworkPolicy") => other_kinds::set_network_policy_defaults(new),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            other_kinds::set_role_binding_defaults(new);
        }
        ("discovery.k8s.io", "EndpointSlice") => other_kinds::set_endpoint_slice_defaults(new),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
            other_kinds::set_webhooks_defaults(new, false);
        }
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => {
            other_kinds::set_webhooks_defaults(new, true);
        }
        _ => {}
    }
}

/// Sets `field` to `value` if the field is absent or null.
fn set_default(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        let present = map.entry(field).or_insert(Value::Null);
        if present.is_null() {
            *present = value.into();
        }
    }
}

/// Sets `field` to `value` if the field is absent, null or an empty string.
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

/// Inserts an empty object in `field` if the field is absent or null. Returns the value of the field if it is an
/// object.
fn object_or_insert<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    set_default(object, field, Map::new());
    object_in(object, field)
}

/// The items of the list in `field` that are objects.
fn object_items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter(|item| item.is_object())
}

/// Whether `field` is the string `text`.
fn has_string(object: &Value, field: &str, text: &str) -> bool {
    object.get(field).and_then(Value::as_str) == Some(text)
}

#[cfg(test)]
mod tests;
