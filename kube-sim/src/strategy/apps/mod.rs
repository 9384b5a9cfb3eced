//! The strategies of the group `apps`.

mod daemon_set;
mod deployment;
mod replica_set;
mod stateful_set;
pub(super) mod workload;

use serde_json::Value;

pub(crate) use self::daemon_set::TEMPLATE_GENERATION_ANNOTATION;

use super::core::pod;
use super::printer::{self, Printer};
use super::{Errors, Strategy};
use crate::schema::FieldError;

/// The default strategy of daemon sets, deployments, replica sets and stateful sets. Each kind replaces some fields.
const WORKLOAD: Strategy = Strategy {
    group: "apps",
    has_generation: true,
    warn: |old, new, out| pod::warn_of_template("spec.template", old, new, out),
    status_reset_fields: &["spec"],
    ..Strategy::DEFAULT
};

pub(super) static STRATEGIES: [Strategy; 5] = [
    Strategy {
        group: "apps",
        kind: "ControllerRevision",
        validate: |revision, out| {
            check_revision_number(revision, out);
            if revision["data"].is_null() {
                out.push(FieldError::required("data", "data is mandatory"));
            }
        },
        validate_update: Some(|old, revision, out| {
            check_revision_number(revision, out);
            if old["data"] != revision["data"] {
                out.push(FieldError::invalid("data", revision["data"].clone(), "field is immutable"));
            }
        }),
        printer: Printer::new(printer::cluster::controller_revision_cells),
        ..Strategy::DEFAULT
    },
    daemon_set::STRATEGY,
    deployment::STRATEGY,
    replica_set::STRATEGY,
    stateful_set::STRATEGY,
];

fn check_revision_number(revision: &Value, out: &mut Errors) {
    if let Some(number) = revision["revision"].as_i64().filter(|number| *number < 0) {
        out.push(FieldError::invalid("revision", number, "must be greater than or equal to 0"));
    }
}
