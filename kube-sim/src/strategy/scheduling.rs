//! The strategies of the group `scheduling.k8s.io`.

use serde_json::Value;

use super::Strategy;
use super::defaulting::set_default;
use super::printer::{self, Printer};
use super::validation::Errors;
use crate::schema::FieldError;

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    has_generation: true,
    set_defaults: |_, object| set_default(object, "preemptionPolicy", "PreemptLowerPriority"),
    validate_update: Some(check_update),
    printer: Printer::new(printer::cluster::priority_class),
    ..Strategy::DEFAULT
}];

fn check_update(old: &Value, new: &Value, out: &mut Errors) {
    for field in ["value", "preemptionPolicy"] {
        if old[field] != new[field] {
            out.push(FieldError::forbidden(field, "may not be changed in an update."));
        }
    }
}
