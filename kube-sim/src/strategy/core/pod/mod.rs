//! The strategy of pods, and the defaults and validation of pod templates.

mod defaults;
mod lists;
mod printer;
mod profile_annotations;
mod references;
mod subresources;
mod update;
mod validation;
mod warnings;

use serde_json::{Value, json};

pub(in crate::strategy) use self::defaults::set_template_defaults;
pub(in crate::strategy) use self::validation::check_spec;
pub(in crate::strategy) use self::warnings::{
    increments_generation, warn_of_claim, warn_of_name, warn_of_template,
};
use crate::schema::FieldError;
use crate::strategy::deletion::Deletion;
use crate::strategy::fields::SelectableField;
use crate::strategy::{InitialStatus, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Pod",
    has_generation: true,
    set_defaults: |_, pod| defaults::set_pod_defaults(pod),
    warn_of_new: profile_annotations::warn_of_app_armor,
    prepare_for_create: |pod, _| profile_annotations::set_app_armor_profiles(pod),
    prepare_for_update: defaults::keep_service_account,
    initial_status: InitialStatus::Set(|pod| json!({"phase": "Pending", "qosClass": qos_class(pod)})),
    validate: |pod, out| {
        profile_annotations::check(pod, out);
        check_spec("spec", &pod["spec"], out);
        if pod["spec"]["ephemeralContainers"].as_array().is_some_and(|list| !list.is_empty()) {
            out.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
        }
        profile_annotations::check_fields(pod, out);
    },
    validate_update: Some(|old, new, out| {
        profile_annotations::check(new, out);
        check_spec("spec", &new["spec"], out);
        profile_annotations::check_update(old, new, out);
        update::validate(&old["spec"], &new["spec"], out);
        update::check_qos_class(new, qos_class(new), out);
    }),
    validate_subresource: |update, new, out| {
        if update.subresource == "ephemeralcontainers" {
            update::check_ephemeral_containers(&update.old["spec"], &new["spec"], out);
        }
    },
    warn: |old, pod, out| {
        if old.is_none() {
            warnings::warn_of_pod(pod, out);
        }
    },
    status_reset_fields: &["metadata.deletionTimestamp", "metadata.ownerReferences", "spec"],
    copy_subresource: Some(subresources::copy_fields),
    selectable_fields: &[
        SelectableField::new("spec.nodeName"),
        SelectableField::new("spec.restartPolicy"),
        SelectableField::new("spec.schedulerName"),
        SelectableField::new("spec.serviceAccountName"),
        SelectableField::with_absent("spec.hostNetwork", "false"),
        SelectableField::new("status.phase"),
        SelectableField::new("status.podIP"),
        SelectableField::new("status.podIPs"),
        SelectableField::new("status.nominatedNodeName"),
    ],
    field_aliases: &[("spec.host", "spec.nodeName")],
    printer: printer::PRINTER,
    deletion: Deletion { grace_period: Some(grace_period), ..Deletion::RETURNS_OBJECT },
    zero_value: Some(|| (json!({"containers": null}), json!({}))),
    ..Strategy::DEFAULT
};

/// The grace period of a pod in seconds; 0 for a pod that is not scheduled or has terminated.
fn grace_period(pod: &Value, requested: Option<i64>) -> i64 {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let requested = requested.or(pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0);
    match pod["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        // A second deletion can shorten the grace period, but not extend it.
        Some(current) => current.min(requested),
        None => requested,
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
