//! The strategies of the group `coordination.k8s.io`.

use serde_json::Value;

use super::Strategy;
use super::printer::{Printer, age_cell, string_or_empty};
use super::validation::Errors;

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "coordination.k8s.io",
    kind: "Lease",
    allow_create_on_update: true,
    allow_unconditional_update: false,
    validate: check_lease,
    printer: Printer {
        columns: &["Name", "Holder", "Age"],
        cells: |lease, now| {
            vec![string_or_empty(&lease["spec"]["holderIdentity"]).into(), age_cell(lease, now)]
        },
    },
    ..Strategy::DEFAULT
}];

fn check_lease(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    out.require_at_least("spec", spec, "leaseDurationSeconds", 1);
    out.require_at_least("spec", spec, "leaseTransitions", 0);
}
