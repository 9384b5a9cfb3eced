//! The strategy of namespaces.

use serde_json::{Value, json};

use crate::clock::Random;
use crate::names;
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::fields::SelectableField;
use crate::strategy::printer::{Printer, age_cell, name_cell, text_cell};
use crate::strategy::{InitialStatus, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Namespace",
    name_problem: |name| names::dns_label_problem(name).map(str::to_owned),
    set_defaults: |_, object| set_name_label(object),
    initial_status: InitialStatus::Set(|_| json!({"phase": "Active"})),
    prepare_for_create,
    prepare_for_update: |old, new| {
        // Only the `finalize` subresource changes the finalizers in a namespace's spec.
        new["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
    },
    status_reset_fields: &["spec"],
    selectable_fields: &[SelectableField::new("status.phase")],
    field_aliases: &[("name", "metadata.name")],
    printer: Printer::new(|object, now| {
        vec![name_cell(object), text_cell(&object["status"]["phase"]), age_cell(object, now)]
    }),
    deletion: DeletionStrategy {
        has_spec_finalizers: true,
        mark: set_terminating,
        ..DeletionStrategy::DEFAULT
    },
    zero_value: Some(|| (json!({}), json!({}))),
    ..Strategy::DEFAULT
};

/// Sets the label `kubernetes.io/metadata.name`, which every namespace has.
fn set_name_label(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
}

fn prepare_for_create(object: &mut Value, _: &mut Random) {
    if object["spec"].is_null() {
        object["spec"] = json!({});
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(list) = finalizers.as_array_mut()
            && !list.contains(&json!("kubernetes"))
        {
            list.push("kubernetes".into());
        }
    }
}

fn set_terminating(object: &mut Value) {
    object["status"]["phase"] = "Terminating".into();
    object["metadata"].as_object_mut().map(|metadata| metadata.remove("deletionGracePeriodSeconds"));
}
