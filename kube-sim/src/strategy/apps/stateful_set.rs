//! The strategy of stateful sets.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{WORKLOAD, workload};
use crate::schema::FieldError;
use crate::strategy::Strategy;
use crate::strategy::core::pod;
use crate::strategy::defaulting::{
    object_in, object_items, object_or_insert, set_default, set_default_string,
};
use crate::strategy::printer::{Printer, age_cell, name_cell, number_or_zero};
use crate::strategy::validation::{Errors, items};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "StatefulSet",
    set_defaults,
    validate: workload::validate,
    validate_update: Some(|old, new, out| {
        workload::validate_update(old, new, out);
        for field in ["spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"] {
            out.reject_change(field, old, new);
        }
        check_status(&new["status"], out);
    }),
    warn,
    printer: Printer::new(cells),
    ..WORKLOAD
};

fn warn(old: Option<&Value>, new: &Value, out: &mut Vec<String>) {
    pod::warn_of_template("spec.template", old, new, out);
    for (path, claim) in items("spec", &new["spec"], "volumeClaimTemplates") {
        // As in the API server, the path in the warning about an update contains `Spec`, the name of the field in Go.
        let path = if old.is_some() { format!("{path}.Spec") } else { path };
        pod::warn_of_claim(&path, &claim["spec"], out);
    }
    if new["spec"]["revisionHistoryLimit"].as_i64().is_some_and(|limit| limit < 0) {
        let why = "a negative value retains all historical revisions; a value >= 0 is recommended";
        out.push(format!("spec.revisionHistoryLimit: {why}"));
    }
}

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default_string(spec, "podManagementPolicy", "OrderedReady");
    workload::set_rolling_update_defaults(
        spec,
        "updateStrategy",
        &[("partition", json!(0)), ("maxUnavailable", json!(1))],
    );
    if let Some(policy) = object_or_insert(spec, "persistentVolumeClaimRetentionPolicy") {
        set_default_string(policy, "whenDeleted", "Retain");
        set_default_string(policy, "whenScaled", "Retain");
    }
    for claim in object_items(spec, "volumeClaimTemplates") {
        set_default_string(claim, "apiVersion", "v1");
        set_default_string(claim, "kind", "PersistentVolumeClaim");
        if let Some(spec) = object_in(claim, "spec") {
            set_default(spec, "volumeMode", "Filesystem");
        }
        if let Some(status) = object_or_insert(claim, "status") {
            set_default_string(status, "phase", "Pending");
        }
    }
    pod::set_template_defaults(spec);
}

/// Checks that `replicas` in the status is not negative, that no other count exceeds it, and that `availableReplicas`
/// does not exceed `readyReplicas`.
fn check_status(status: &Value, out: &mut Errors) {
    out.require_at_least("status", status, "replicas", 0);
    let number = |field: &str| status[field].as_i64().unwrap_or(0);
    for field in ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"] {
        if number(field) > number("replicas") {
            let why = "cannot be greater than status.replicas";
            out.push(FieldError::invalid(format!("status.{field}"), number(field), why));
        }
    }
    if number("availableReplicas") > number("readyReplicas") {
        let why = "cannot be greater than status.readyReplicas";
        out.push(FieldError::invalid("status.availableReplicas", number("availableReplicas"), why));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let [names, images] = workload::container_names_and_images(&object["spec"]["template"]);
    vec![
        name_cell(object),
        format!("{}/{wanted}", number_or_zero(&object["status"]["readyReplicas"])).into(),
        age_cell(object, now),
        names,
        images,
    ]
}
