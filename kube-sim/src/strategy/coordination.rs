//! The strategies of the group `coordination.k8s.io`.

use serde_json::Value;

use super::Strategy;
use super::printer::{Printer, age_cell, name_cell, text_cell};
use super::validation::Errors;

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "coordination.k8s.io",
    kind: "Lease",
    allow_create_on_update: true,
    allow_unconditional_update: false,
    prepare_for_create: |lease, _| drop_disabled_fields(lease),
    prepare_for_update: |_, lease| drop_disabled_fields(lease),
    validate: check_lease,
    printer: Printer::new(|lease, now| {
        vec![name_cell(lease), text_cell(&lease["spec"]["holderIdentity"]), age_cell(lease, now)]
    }),
    ..Strategy::DEFAULT
}];

/// Drops the fields of the feature gate `CoordinatedLeaderElection`, which is disabled.
fn drop_disabled_fields(lease: &mut Value) {
    if let Some(spec) = lease["spec"].as_object_mut() {
        spec.retain(|field, _| !matches!(field.as_str(), "strategy" | "preferredHolder"));
    }
}

fn check_lease(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    out.require_at_least("spec", spec, "leaseDurationSeconds", 1);
    out.require_at_least("spec", spec, "leaseTransitions", 0);
}
