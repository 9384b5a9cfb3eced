//! The strategy of pods, and the defaults and validation of pod templates.

mod defaults;
mod printer;
mod profile_annotations;
mod references;
pub(crate) mod resources;
mod subresources;
mod unique_items;
mod update;
mod validation;
mod warnings;

use serde_json::{Value, json};

pub(in crate::strategy) use self::defaults::set_template_defaults;
use self::resources::qos_class;
pub(in crate::strategy) use self::validation::check_spec;
pub(in crate::strategy) use self::warnings::{
    increments_generation, warn_of_claim, warn_of_name, warn_of_template,
};
use crate::schema::FieldError;
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::fields::SelectableField;
use crate::strategy::{InitialStatus, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Pod",
    has_generation: true,
    set_defaults: |_, pod| defaults::set_pod_defaults(pod),
    warn_of_new: profile_annotations::warn_of_app_armor,
    initial_status: InitialStatus::Set(|_| json!({"phase": "Pending"})),
    prepare_for_create: |pod, _| {
        profile_annotations::set_app_armor_profiles(pod);
        resources::set_defaults(pod);
        pod["status"]["qosClass"] = qos_class(pod).into();
    },
    prepare_for_update: |old, pod| {
        defaults::keep_service_account(old, pod);
        resources::prepare_for_update(old, pod);
    },
    validate: |pod, out| {
        profile_annotations::check_annotations(pod, out);
        check_spec("spec", &pod["spec"], out);
        if pod["spec"]["ephemeralContainers"].as_array().is_some_and(|list| !list.is_empty()) {
            out.push(FieldError::forbidden("spec.ephemeralContainers", "cannot be set on create"));
        }
        profile_annotations::check_profile_fields(pod, out);
    },
    validate_update: Some(|old, new, out| {
        profile_annotations::check_annotations(new, out);
        check_spec("spec", &new["spec"], out);
        profile_annotations::check_update(old, new, out);
        update::validate(&old["spec"], &new["spec"], out);
        update::check_qos_class(new, qos_class(new), out);
    }),
    validate_subresource: |update, new, out| {
        if update.subresource == "ephemeralcontainers" {
            update::check_ephemeral_containers(&update.old["spec"], &new["spec"], out);
        }
        if update.subresource == "resize" {
            resources::check_resize(&update.old["spec"], &new["spec"], out);
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
        SelectableField::with_value_if_absent("spec.hostNetwork", "false"),
        SelectableField::new("status.phase"),
        SelectableField::new("status.podIP"),
        SelectableField::new("status.podIPs"),
        SelectableField::new("status.nominatedNodeName"),
    ],
    field_aliases: &[("spec.host", "spec.nodeName")],
    printer: printer::PRINTER,
    deletion: DeletionStrategy { grace_period: Some(grace_period), ..DeletionStrategy::RETURNS_OBJECT },
    zero_value: Some(|| (json!({"containers": null}), json!({}))),
    ..Strategy::DEFAULT
};

/// Returns the grace period of a pod in seconds. A pod that is not scheduled or has terminated has the grace period 0.
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
