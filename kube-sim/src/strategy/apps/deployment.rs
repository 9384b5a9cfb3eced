//! The strategy of deployments.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{WORKLOAD, workload};
use crate::schema::FieldError;
use crate::strategy::Strategy;
use crate::strategy::core::pod;
use crate::strategy::defaulting::{object_in, set_default};
use crate::strategy::printer::{Printer, age_cell, name_cell, number_or_zero};
use crate::strategy::validation::{Errors, string_in};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Deployment",
    set_defaults,
    validate: |object, out| {
        workload::validate(object, out);
        reword_empty_selector_error(out);
        check_update_strategy(object, out);
    },
    validate_update: Some(|old, new, out| {
        workload::validate_update(old, new, out);
        reword_empty_selector_error(out);
        check_update_strategy(new, out);
    }),
    warn: |old, new, out| {
        pod::warn_of_name(old, new, out);
        pod::warn_of_template("spec.template", old, new, out);
    },
    generation_metadata: &["annotations"],
    status_metadata: &["managedFields", "annotations", "finalizers"],
    status_reset_fields: &["metadata.labels", "spec"],
    printer: Printer::new(cells),
    zero_value: Some(|| {
        let template = json!({"metadata": {}, "spec": {"containers": null}});
        (json!({"selector": null, "template": template, "strategy": {}}), json!({}))
    }),
    ..WORKLOAD
};

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    workload::set_rolling_update_defaults(
        spec,
        "strategy",
        &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
    );
    pod::set_template_defaults(spec);
}

/// Replaces the error text for an empty selector: for deployments, the API server has a different text.
fn reword_empty_selector_error(out: &mut Errors) {
    for error in &mut out.0 {
        if error.field == "spec.selector" && error.detail.starts_with("empty selector is invalid") {
            "empty selector is invalid for deployment".clone_into(&mut error.detail);
        }
    }
}

fn check_update_strategy(new: &Value, out: &mut Errors) {
    let strategy = &new["spec"]["strategy"];
    if string_in(strategy, "type") == "Recreate" && strategy["rollingUpdate"].is_object() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        out.push(FieldError::forbidden("spec.strategy.rollingUpdate", why));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let wanted = object["spec"]["replicas"].as_i64().unwrap_or(1);
    let [names, images] = workload::container_names_and_images(&object["spec"]["template"]);
    vec![
        name_cell(object),
        format!("{}/{wanted}", number_or_zero(&status["readyReplicas"])).into(),
        number_or_zero(&status["updatedReplicas"]).into(),
        number_or_zero(&status["availableReplicas"]).into(),
        age_cell(object, now),
        names,
        images,
        workload::selector_cell(object),
    ]
}
