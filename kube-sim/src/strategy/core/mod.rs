//! The strategies of the core group.

mod config_map;
mod limit_range;
mod namespace;
mod node;
mod persistent_volume;
mod persistent_volume_claim;
pub(super) mod pod;
mod pod_template;
mod replication_controller;
mod secret;
pub(super) mod service;

use super::Strategy;
use super::deletion::DeletionStrategy;
use super::events;
use super::printer::{self, Printer};

pub(super) static STRATEGIES: [Strategy; 15] = [
    config_map::STRATEGY,
    Strategy {
        kind: "Endpoints",
        allow_create_on_update: true,
        printer: Printer::new(printer::networking::endpoints_cells),
        ..Strategy::DEFAULT
    },
    events::CORE_EVENT,
    limit_range::STRATEGY,
    namespace::STRATEGY,
    node::STRATEGY,
    persistent_volume::STRATEGY,
    persistent_volume_claim::STRATEGY,
    pod::STRATEGY,
    pod_template::STRATEGY,
    replication_controller::STRATEGY,
    Strategy {
        kind: "ResourceQuota",
        printer: Printer::new(printer::cluster::quota_cells),
        status_reset_fields: &["spec"],
        deletion: DeletionStrategy::RETURNS_OBJECT,
        ..Strategy::DEFAULT
    },
    secret::STRATEGY,
    service::STRATEGY,
    Strategy {
        kind: "ServiceAccount",
        printer: Printer::new(printer::cluster::service_account_cells),
        deletion: DeletionStrategy::RETURNS_OBJECT,
        ..Strategy::DEFAULT
    },
];
