//! The validation rules for built-in kinds, which Kubernetes implements in Go.
//!
//! Owns one function for each kind, which [`validate`] calls, and the API server's error texts. Defaulting must run
//! first. This module must not change the validated object, and must not read other objects. It implements only a part
//! of Kubernetes' rules; a violation of any other rule is not reported.

mod cron;
mod events;
mod other_kinds;
mod pod_references;
mod pods;
mod unique_items;
mod workloads;

use serde_json::Value;

use super::Resource;
use crate::schema::{FieldError, enum_errors};

/// Validates an object of a built-in kind, except for its metadata. `old` is the stored object if the request is an
/// update.
pub(crate) fn validate(resource: &Resource, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
    let mut errors = Errors(Vec::new());
    let out = &mut errors;
    match (resource.group, resource.kind) {
        ("", "Pod") => pods::check_pod(old, new, out),
        ("", "PodTemplate") => pods::check_spec("template.spec", &new["template"]["spec"], out),
        ("", "ReplicationController") => workloads::check_replication_controller(new, out),
        ("apps", "Deployment") => workloads::check_deployment(old, new, out),
        ("apps", "ReplicaSet" | "DaemonSet" | "StatefulSet") => {
            workloads::check_replicated_workload(old, new, out);
        }
        ("batch", "Job") => workloads::check_job(old, new, out),
        ("batch", "CronJob") => workloads::check_cron_job(old, new, out),
        ("", "Event") => events::check_core_event(old, new, out),
        ("events.k8s.io", "Event") => events::check_event(old, new, out),
        ("", "Service") => other_kinds::check_service(old, new, out),
        ("", "ConfigMap") => other_kinds::check_config_map(old, new, out),
        ("", "Secret") => other_kinds::check_secret(old, new, out),
        ("", "PersistentVolumeClaim") => other_kinds::check_persistent_volume_claim(old, new, out),
        ("storage.k8s.io", "StorageClass") => other_kinds::check_storage_class(old, new, out),
        ("scheduling.k8s.io", "PriorityClass") => other_kinds::check_priority_class(old, new, out),
        ("autoscaling", "HorizontalPodAutoscaler") => other_kinds::check_autoscaler(new, out),
        ("coordination.k8s.io", "Lease") => other_kinds::check_lease(new, out),
        ("networking.k8s.io", "Ingress") => other_kinds::check_ingress(new, out),
        ("policy", "PodDisruptionBudget") => other_kinds::check_disruption_budget(new, out),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => other_kinds::check_role(new, out),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            other_kinds::check_role_binding(old, new, out);
        }
        _ => {}
    }
    unique_items::check_lists(resource, new, out);
    if let Some(schema) = resource.schema() {
        // Skip fields with an error of a function above: such an error is more specific than an enum error.
        let reported: Vec<String> = errors.0.iter().map(|error| error.field.clone()).collect();
        let more = enum_errors(&schema, new).into_iter().filter(|error| !reported.contains(&error.field));
        errors.0.extend(more);
    }
    errors.0
}

/// The errors that the functions of this module have found.
struct Errors(Vec<FieldError>);

impl Errors {
    fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Requires a non-empty string.
    fn require_string(&mut self, path: &str, object: &Value, field: &str) {
        if string_in(object, field).is_empty() {
            self.push(FieldError::required(join(path, field), ""));
        }
    }

    /// Requires a number of at least `limit`, if the field is set.
    fn require_at_least(&mut self, path: &str, object: &Value, field: &str, limit: i64) {
        if let Some(number) = object[field].as_i64().filter(|number| *number < limit) {
            let why = match limit {
                1 => "must be greater than 0".to_owned(),
                limit => format!("must be greater than or equal to {limit}"),
            };
            self.push(FieldError::invalid(join(path, field), number, why));
        }
    }

    /// Requires that the data of a config map or secret has at most 1 MiB; `size` is in bytes.
    fn limit_size(&mut self, path: &str, size: usize) {
        const LIMIT: usize = 1 << 20;
        if size > LIMIT {
            self.push(FieldError::too_long(path, LIMIT as u64));
        }
    }

    /// Rejects an update that changes the field.
    fn reject_change(&mut self, field: &str, old: Option<&Value>, new: &Value) {
        let pointer = format!("/{}", field.replace('.', "/"));
        let Some(old) = old else { return };
        let now = new.pointer(&pointer).cloned().unwrap_or_default();
        if old.pointer(&pointer).cloned().unwrap_or_default() != now {
            self.push(FieldError::invalid(field, now, "field is immutable"));
        }
    }
}

/// The path of `field` in the object at `path`.
fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// The string in `field`; empty if the field is absent.
fn string_in<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The items of the list in `field`, each with its path.
fn items<'a>(path: &str, object: &'a Value, field: &str) -> impl Iterator<Item = (String, &'a Value)> {
    let path = join(path, field);
    let list = object[field].as_array().map_or(&[][..], Vec::as_slice);
    list.iter().enumerate().map(move |(index, item)| (format!("{path}[{index}]"), item))
}

#[cfg(test)]
mod tests;
