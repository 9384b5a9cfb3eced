//! The strategies of the group `apps`.

mod daemon_set;
mod deployment;
mod replica_set;
mod stateful_set;
pub(super) mod workload;

pub(crate) use self::daemon_set::TEMPLATE_GENERATION_ANNOTATION;
use super::Strategy;
use super::printer::{self, Printer};

/// The part of the strategy that daemon sets, deployments, replica sets and stateful sets share.
const WORKLOAD: Strategy =
    Strategy { group: "apps", has_generation: true, status_reset_fields: &["spec"], ..Strategy::DEFAULT };

pub(super) static STRATEGIES: [Strategy; 5] = [
    Strategy {
        group: "apps",
        kind: "ControllerRevision",
        printer: Printer::new(printer::cluster::controller_revision),
        ..Strategy::DEFAULT
    },
    daemon_set::STRATEGY,
    deployment::STRATEGY,
    replica_set::STRATEGY,
    stateful_set::STRATEGY,
];
