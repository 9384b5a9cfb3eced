//! The strategy of persistent volumes.

use serde_json::{Value, json};

use crate::strategy::defaulting::{object_in, set_default, set_default_string};
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::printer::{self, Printer};
use crate::strategy::{InitialStatus, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "PersistentVolume",
    set_defaults,
    initial_status: InitialStatus::Set(
        |volume| json!({"phase": "Pending", "lastPhaseTransitionTime": volume["metadata"]["creationTimestamp"]}),
    ),
    status_reset_fields: &["spec"],
    printer: Printer::new(printer::storage::volume_cells),
    field_aliases: &[("name", "metadata.name")],
    deletion: DeletionStrategy::RETURNS_OBJECT,
    ..Strategy::DEFAULT
};

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "persistentVolumeReclaimPolicy", "Retain");
    set_default(spec, "volumeMode", "Filesystem");
    if let Some(path) = object_in(spec, "hostPath") {
        set_default(path, "type", "");
    }
}
