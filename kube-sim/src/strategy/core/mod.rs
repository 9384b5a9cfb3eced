//! The strategies of the core group.

mod config_map;
mod namespace;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
pub(super) mod pod;
mod pod_template;
mod replication_controller;
mod secret;
mod service;

use super::Strategy;
use super::deletion::Deletion;
use super::events;
use super::printer::{Printer, age_cell, items};

pub(super) static STRATEGIES: [Strategy; 15] = [
    config_map::STRATEGY,
    Strategy { kind: "Endpoints", allow_create_on_update: true, ..Strategy::DEFAULT },
    events::CORE_EVENT,
    Strategy { kind: "LimitRange", allow_create_on_update: true, ..Strategy::DEFAULT },
    namespace::STRATEGY,
    node::STRATEGY,
    persistent_volume::STRATEGY,
    persistent_volume_claim::STRATEGY,
    pod::STRATEGY,
    pod_template::STRATEGY,
    replication_controller::STRATEGY,
    Strategy {
        kind: "ResourceQuota",
        status_reset_fields: &["spec"],
        deletion: Deletion::RETURNS_OBJECT,
        ..Strategy::DEFAULT
    },
    secret::STRATEGY,
    service::STRATEGY,
    Strategy {
        kind: "ServiceAccount",
        printer: Printer {
            columns: &["Name", "Secrets#", "Age"],
            cells: |object, now| vec![items(&object["secrets"]).count().into(), age_cell(object, now)],
        },
        deletion: Deletion::RETURNS_OBJECT,
        ..Strategy::DEFAULT
    },
];
