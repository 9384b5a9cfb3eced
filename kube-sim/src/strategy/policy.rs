//! The strategies of the group `policy`.

use serde_json::Value;

use super::Strategy;
use super::printer::{self, Printer};
use super::validation::Errors;
use crate::schema::FieldError;

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "policy",
    kind: "PodDisruptionBudget",
    has_generation: true,
    allow_unconditional_update: false,
    name_problem: |_| None,
    validate: check_disruption_budget,
    status_reset_fields: &["spec"],
    printer: Printer::new(printer::cluster::disruption_budget_cells),
    ..Strategy::DEFAULT
}];

fn check_disruption_budget(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        out.push(FieldError::invalid("spec", spec.clone(), why));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        out.require_at_least("spec", spec, field, 0);
    }
}
