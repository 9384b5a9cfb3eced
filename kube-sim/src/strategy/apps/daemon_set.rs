//! The strategy of daemon sets.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{WORKLOAD, workload};
use crate::store::selector::LabelSelector;
use crate::strategy::Strategy;
use crate::strategy::core::pod;
use crate::strategy::defaulting::{object_in, object_or_insert, set_default};
use crate::strategy::printer::{Printer, age_cell, name_cell, number_or_zero, text_cell_or_none};

/// The annotation that counts the versions of the pod template of a daemon set.
pub(crate) const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "DaemonSet",
    set_defaults,
    validate: workload::validate,
    validate_update: Some(workload::validate_update),
    warn: |old, new, out| {
        if old.is_none_or(|old| old["spec"]["template"] != new["spec"]["template"]) {
            pod::warn_of_template("spec.template", None, new, out);
        }
    },
    printer: Printer::new(cells),
    ..WORKLOAD
};

/// Sets the defaults of a daemon set, and increments the template generation if the pod template has changed.
fn set_defaults(old: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "revisionHistoryLimit", 10);
    workload::set_rolling_update_defaults(
        spec,
        "updateStrategy",
        &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))],
    );
    pod::set_template_defaults(spec);
    let template = |object: &Value| object.get("spec").and_then(|spec| spec.get("template")).cloned();
    let count = |object: &Value| {
        let text =
            object.get("metadata")?.get("annotations")?.get(TEMPLATE_GENERATION_ANNOTATION)?.as_str()?;
        text.parse::<u64>().ok()
    };
    let generation = match old {
        None => 1,
        Some(old) => count(old).unwrap_or(1) + u64::from(template(old) != template(object)),
    };
    if let Some(annotations) =
        object_in(object, "metadata").and_then(|metadata| object_or_insert(metadata, "annotations"))
    {
        annotations[TEMPLATE_GENERATION_ANNOTATION] = Value::from(generation.to_string());
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let [names, images] = workload::container_names_and_images(&object["spec"]["template"]);
    let nodes = LabelSelector::from_json(&object["spec"]["template"]["spec"]["nodeSelector"]).to_string();
    vec![
        name_cell(object),
        json!(number_or_zero(&status["desiredNumberScheduled"])),
        json!(number_or_zero(&status["currentNumberScheduled"])),
        json!(number_or_zero(&status["numberReady"])),
        json!(number_or_zero(&status["updatedNumberScheduled"])),
        json!(number_or_zero(&status["numberAvailable"])),
        text_cell_or_none(&nodes),
        age_cell(object, now),
        names,
        images,
        workload::selector_cell(object),
    ]
}
