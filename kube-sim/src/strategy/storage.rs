//! The strategies of the group `storage.k8s.io`.

use serde_json::{Value, json};

use super::Strategy;
use super::defaulting::{object_in, set_default};
use super::deletion::Deletion;
use super::printer::{self, Printer};
use super::validation::Errors;
use crate::schema::FieldError;

const UNSET_TOKENS_IN_SECRETS: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy =
    Strategy { group: "storage.k8s.io", deletion: Deletion::RETURNS_OBJECT, ..Strategy::DEFAULT };

/// The strategy of kinds whose updates need a resource version.
const CONDITIONAL: Strategy = Strategy { allow_unconditional_update: false, ..DEFAULT };

pub(super) static STRATEGIES: [Strategy; 6] = [
    Strategy {
        kind: "CSIDriver",
        set_defaults: set_csi_driver_defaults,
        warn: |old, driver, out| {
            if old.is_none()
                && driver["spec"]["serviceAccountTokenInSecrets"].is_null()
                && driver["spec"]["tokenRequests"].as_array().is_some_and(|requests| !requests.is_empty())
            {
                out.push(UNSET_TOKENS_IN_SECRETS.to_owned());
            }
        },
        printer: Printer::new(printer::storage::csi_driver),
        ..CONDITIONAL
    },
    Strategy { kind: "CSINode", printer: Printer::new(printer::storage::csi_node), ..CONDITIONAL },
    Strategy {
        kind: "CSIStorageCapacity",
        deletion: Deletion::DEFAULT,
        printer: Printer::new(printer::storage::csi_capacity),
        ..CONDITIONAL
    },
    Strategy {
        kind: "StorageClass",
        set_defaults: set_storage_class_defaults,
        validate: check_storage_class,
        validate_update: Some(check_storage_class_update),
        printer: Printer {
            arrange: printer::storage::mark_default_class,
            ..Printer::new(printer::storage::class)
        },
        ..DEFAULT
    },
    Strategy { kind: "VolumeAttachment", printer: Printer::new(printer::storage::attachment), ..CONDITIONAL },
    Strategy {
        kind: "VolumeAttributesClass",
        printer: Printer::new(printer::storage::attributes_class),
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
