//! The strategies of the group `storage.k8s.io`.

use serde_json::{Value, json};

use super::Strategy;
use super::defaulting::{object_in, object_items, set_default};
use super::deletion::DeletionStrategy;
use super::printer::{self, Printer};
use super::validation::Errors;
use crate::schema::FieldError;

const TOKEN_IN_SECRETS_UNSET_WARNING: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy =
    Strategy { group: "storage.k8s.io", deletion: DeletionStrategy::RETURNS_OBJECT, ..Strategy::DEFAULT };

/// The strategy of kinds whose updates need a resource version.
const CONDITIONAL_UPDATE: Strategy = Strategy { allow_unconditional_update: false, ..DEFAULT };

pub(super) static STRATEGIES: [Strategy; 6] = [
    Strategy {
        kind: "CSIDriver",
        set_defaults: set_csi_driver_defaults,
        warn: |old, driver, out| {
            if old.is_none()
                && driver["spec"]["serviceAccountTokenInSecrets"].is_null()
                && driver["spec"]["tokenRequests"].as_array().is_some_and(|requests| !requests.is_empty())
            {
                out.push(TOKEN_IN_SECRETS_UNSET_WARNING.to_owned());
            }
        },
        printer: Printer::new(printer::storage::csi_driver_cells),
        ..CONDITIONAL_UPDATE
    },
    Strategy {
        kind: "CSINode",
        set_defaults: set_csi_node_defaults,
        validate_update: Some(check_csi_node_update),
        status_metadata: &["managedFields"],
        prepare_status: |_, node| drop_storage_health(node),
        printer: Printer::new(printer::storage::csi_node_cells),
        ..CONDITIONAL_UPDATE
    },
    Strategy {
        kind: "CSIStorageCapacity",
        deletion: DeletionStrategy::DEFAULT,
        validate_update: Some(check_capacity_update),
        ..CONDITIONAL_UPDATE
    },
    Strategy {
        kind: "StorageClass",
        set_defaults: set_storage_class_defaults,
        validate: check_storage_class,
        validate_update: Some(check_storage_class_update),
        printer: Printer {
            arrange: printer::storage::mark_default_class,
            ..Printer::new(printer::storage::storage_class_cells)
        },
        ..DEFAULT
    },
    Strategy {
        kind: "VolumeAttachment",
        printer: Printer::new(printer::storage::volume_attachment_cells),
        ..CONDITIONAL_UPDATE
    },
    Strategy {
        kind: "VolumeAttributesClass",
        validate: |new, out| out.require_string("", new, "driverName"),
        validate_update: Some(check_attributes_class_update),
        printer: Printer::new(printer::storage::volume_attributes_class_cells),
        ..DEFAULT
    },
];

fn set_csi_driver_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "attachRequired", true);
    for flag in [
        "podInfoOnMount",
        "storageCapacity",
        "requiresRepublish",
        "seLinuxMount",
        "preventPodSchedulingIfMissing",
    ] {
        set_default(spec, flag, false);
    }
    set_default(spec, "volumeLifecycleModes", json!(["Persistent"]));
    set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
}

fn set_storage_class_defaults(_: Option<&Value>, object: &mut Value) {
    set_default(object, "reclaimPolicy", "Delete");
    set_default(object, "volumeBindingMode", "Immediate");
}

fn check_storage_class(new: &Value, out: &mut Errors) {
    out.require_string("", new, "provisioner");
}

fn check_storage_class_update(old: &Value, new: &Value, out: &mut Errors) {
    out.require_string("", new, "provisioner");
    for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        if old[field] == new[field] {
            continue;
        }
        if matches!(field, "reclaimPolicy" | "volumeBindingMode") {
            out.reject_change(field, old, new);
        } else {
            out.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
        }
    }
}

/// Sets an absent `topologyKeys` of a driver to null: the API server serializes a nil slice as null.
fn set_csi_node_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    for driver in object_items(spec, "drivers") {
        set_default(driver, "topologyKeys", Value::Null);
    }
}

/// Drops `status.storageHealth`: the feature gate `CSIVolumeHealth` is off by default.
fn drop_storage_health(node: &mut Value) {
    if let Some(status) = object_in(node, "status").and_then(Value::as_object_mut) {
        status.remove("storageHealth");
    }
}

/// Rejects changes of a driver of a node, except for `allocatable`.
fn check_csi_node_update(old: &Value, new: &Value, out: &mut Errors) {
    let drivers = |node: &Value| -> Vec<Value> {
        let mut drivers = node["spec"]["drivers"].as_array().cloned().unwrap_or_default();
        for driver in drivers.iter_mut().filter_map(Value::as_object_mut) {
            driver.remove("allocatable");
        }
        drivers
    };
    let new = drivers(new);
    for driver in drivers(old) {
        for changed in new.iter().filter(|new| new["name"] == driver["name"] && **new != driver) {
            out.push(FieldError::invalid("spec.drivers", changed.clone(), "field is immutable"));
        }
    }
}

fn check_capacity_update(old: &Value, new: &Value, out: &mut Errors) {
    out.reject_change("nodeTopology", old, new);
    out.reject_change("storageClassName", old, new);
}

fn check_attributes_class_update(old: &Value, new: &Value, out: &mut Errors) {
    for field in ["driverName", "parameters"] {
        if old[field] != new[field] {
            out.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
        }
    }
    out.require_string("", new, "driverName");
}
