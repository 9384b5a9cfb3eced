//! The strategies of the group `storage.k8s.io`.

use serde_json::{Value, json};

use super::Strategy;
use super::defaulting::{object_in, set_default};
use super::deletion::Deletion;
use super::validation::Errors;
use crate::schema::FieldError;

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy =
    Strategy { group: "storage.k8s.io", deletion: Deletion::RETURNS_OBJECT, ..Strategy::DEFAULT };

/// The strategy of kinds whose updates need a resource version.
const CONDITIONAL: Strategy = Strategy { allow_unconditional_update: false, ..DEFAULT };

pub(super) static STRATEGIES: [Strategy; 6] = [
    Strategy { kind: "CSIDriver", set_defaults: set_csi_driver_defaults, ..CONDITIONAL },
    Strategy { kind: "CSINode", ..CONDITIONAL },
    Strategy { kind: "CSIStorageCapacity", deletion: Deletion::DEFAULT, ..CONDITIONAL },
    Strategy {
        kind: "StorageClass",
        set_defaults: set_storage_class_defaults,
        validate: check_storage_class,
        validate_update: Some(check_storage_class_update),
        ..DEFAULT
    },
    Strategy { kind: "VolumeAttachment", ..CONDITIONAL },
    Strategy { kind: "VolumeAttributesClass", ..DEFAULT },
];

fn set_csi_driver_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "attachRequired", true);
    for flag in ["podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"] {
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
