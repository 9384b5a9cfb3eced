//! The rules of the group `storage.k8s.io`, of persistent volumes and of persistent volume claims.

use std::collections::HashSet;

use serde_json::Value;

use super::Check::{
    AnyText, Custom, PointerOneOf, PointerRange, PointerText, Required, RequiredText, Selector, Text, Unique,
    UniqueBy,
};
use super::{KindRules, MAX_INT32, Rule, texts};
use crate::schema::{FieldError, quantity_exceeds};
use crate::strategy::validation::{Errors, is_empty, join};

const GROUP: &str = "storage.k8s.io";

pub(super) static KIND_RULES: [KindRules; 8] = [
    KindRules::new(GROUP, "CSIDriver", &CSI_DRIVER),
    KindRules::new(GROUP, "CSINode", &CSI_NODE),
    KindRules::new(GROUP, "CSIStorageCapacity", &CSI_STORAGE_CAPACITY),
    KindRules::new(GROUP, "VolumeAttributesClass", &ATTRIBUTES_CLASS),
    KindRules::new(GROUP, "StorageClass", &STORAGE_CLASS),
    KindRules::new(GROUP, "VolumeAttachment", &VOLUME_ATTACHMENT),
    KindRules {
        group: "",
        kind: "PersistentVolume",
        rules: &PERSISTENT_VOLUME,
        moved: &[("spec.accessModes[]", "spec.accessModes")],
    },
    KindRules {
        group: "",
        kind: "PersistentVolumeClaim",
        rules: &CLAIM,
        moved: &[("spec.accessModes[]", "spec.accessModes")],
    },
];

static CSI_DRIVER: [Rule; 4] = [
    ("spec.fsGroupPolicy", PointerOneOf(&["File", "None", "ReadWriteOnceWithFSType"])),
    ("spec.tokenRequests", UniqueBy("audience")),
    ("spec.tokenRequests[].expirationSeconds", PointerRange(600, 1 << 32)),
    ("spec.volumeLifecycleModes", Custom(check_lifecycle_modes)),
];

static CSI_NODE: [Rule; 5] = [
    ("spec.drivers[].name", Custom(check_driver_name)),
    ("spec.drivers[].nodeID", Custom(check_node_id)),
    ("spec.drivers[].allocatable?.count", PointerRange(0, MAX_INT32)),
    ("spec.drivers", UniqueBy("name")),
    ("spec.drivers[]", Custom(check_topology_keys)),
];

static CSI_STORAGE_CAPACITY: [Rule; 3] = [
    ("nodeTopology?", Selector),
    ("storageClassName", AnyText(texts::subdomain_problem)),
    ("capacity", Custom(check_non_negative)),
];

static ATTRIBUTES_CLASS: [Rule; 3] = [
    ("driverName", Text(texts::lowercased_qualified_name_problem)),
    ("parameters", Custom(check_parameters)),
    ("parameters", Custom(require_parameters)),
];

static STORAGE_CLASS: [Rule; 9] = [
    ("parameters", Custom(check_parameters)),
    ("provisioner", Text(texts::lowercased_qualified_name_problem)),
    ("volumeBindingMode", PointerOneOf(&["Immediate", "WaitForFirstConsumer"])),
    ("allowedTopologies[].matchLabelExpressions", Required),
    ("allowedTopologies[].matchLabelExpressions", UniqueBy("key")),
    ("allowedTopologies[].matchLabelExpressions[].key", RequiredText(texts::qualified_name_problem)),
    ("allowedTopologies[].matchLabelExpressions[].values", Required),
    ("allowedTopologies[].matchLabelExpressions[].values", Unique),
    ("allowedTopologies", Custom(reject_equal_topologies)),
];

static VOLUME_ATTACHMENT: [Rule; 4] = [
    ("spec.attacher", RequiredText(texts::subdomain_problem)),
    ("spec.nodeName", RequiredText(texts::subdomain_problem)),
    ("spec.source.persistentVolumeName", PointerText(texts::subdomain_problem)),
    ("spec.source", Custom(check_attached_source)),
];

static PERSISTENT_VOLUME: [Rule; 12] = [
    ("spec.capacity", Required),
    ("spec.capacity", Custom(check_capacity)),
    ("spec.accessModes", Required),
    ("spec.accessModes[]", Required),
    ("spec", Custom(check_volume_source)),
    ("spec.csi?.driver", Custom(check_driver_name)),
    ("spec.csi?.volumeHandle", Required),
    ("spec.nodeAffinity?", Custom(check_volume_affinity)),
    ("spec.storageClassName", Text(texts::subdomain_problem)),
    ("spec.volumeMode", PointerOneOf(&["Block", "Filesystem"])),
    ("spec.nfs?.path", Required),
    ("spec.nfs?.server", Required),
];

/// The rules of a persistent volume claim.
static CLAIM: [Rule; 6] = [
    ("spec.accessModes[]", Required),
    ("spec.selector?", Selector),
    ("spec.storageClassName", Text(texts::subdomain_problem)),
    ("spec.volumeMode", PointerOneOf(&["Block", "Filesystem"])),
    ("spec.dataSource?", Custom(check_data_source)),
    ("spec.dataSourceRef?", Custom(check_data_source)),
];

fn check_lifecycle_modes(path: &str, modes: &Value, out: &mut Errors) {
    let supported = ["Ephemeral", "Persistent"];
    for mode in modes.as_array().into_iter().flatten().map(|mode| mode.as_str().unwrap_or_default()) {
        if !supported.contains(&mode) {
            out.push(FieldError::not_supported(path, mode, &supported));
        }
    }
}

/// Checks the name of a CSI driver or a driver of `resource.k8s.io`. The name is a DNS subdomain with at most 63 bytes, and
/// may contain upper-case letters.
pub(super) fn check_driver_name(path: &str, name: &Value, out: &mut Errors) {
    const MAX_LENGTH: usize = 63;
    let text = name.as_str().unwrap_or_default();
    if text.is_empty() {
        return out.push(FieldError::required(path, ""));
    }
    if text.len() > MAX_LENGTH {
        out.push(FieldError::too_long(path, MAX_LENGTH as u64));
    }
    if let Some(why) = texts::subdomain_problem(&text.to_lowercase()) {
        out.push(FieldError::invalid(path, text, why));
    }
}

fn check_node_id(path: &str, id: &Value, out: &mut Errors) {
    const MAX_LENGTH: usize = 256;
    let text = id.as_str().unwrap_or_default();
    if text.is_empty() {
        out.push(FieldError::required(path, ""));
    } else if text.len() > MAX_LENGTH {
        out.push(FieldError::invalid(path, text, format!("must be {MAX_LENGTH} characters or less")));
    }
}

/// Checks the topology keys of a driver. An error has the path of the driver, as on the API server.
fn check_topology_keys(path: &str, driver: &Value, out: &mut Errors) {
    let mut seen = HashSet::new();
    for key in driver["topologyKeys"].as_array().into_iter().flatten() {
        let key = key.as_str().unwrap_or_default();
        if key.is_empty() {
            out.push(FieldError::required(path, ""));
        }
        if !seen.insert(key) {
            out.push(FieldError::duplicate(path, key));
        }
        if let Some(why) = texts::qualified_name_problem(key) {
            out.push(FieldError::invalid(path, key, why));
        }
    }
}

/// Checks that a claim requests storage. `path` is the path of the claim's spec.
pub(in crate::strategy) fn check_requested_storage(path: &str, spec: &Value, out: &mut Errors) {
    let at = join(path, "resources[storage]");
    match spec["resources"]["requests"]["storage"].as_str() {
        None => out.push(FieldError::required(at, "")),
        Some(text) if !quantity_exceeds(text, "0") => {
            out.push(FieldError::invalid(at, text, "must be greater than zero"));
        }
        Some(_) => {}
    }
}

/// Checks that a quantity is not negative.
fn check_non_negative(path: &str, quantity: &Value, out: &mut Errors) {
    let text = quantity.as_str().unwrap_or_default();
    if quantity_exceeds("0", text) {
        out.push(FieldError::invalid(path, text, "must be greater than or equal to 0"));
    }
}

/// Checks that the quantities of a capacity are positive.
fn check_capacity(path: &str, capacity: &Value, out: &mut Errors) {
    for (resource, quantity) in capacity.as_object().into_iter().flatten() {
        let path = format!("{path}[{resource}]");
        check_non_negative(&path, quantity, out);
        let text = quantity.as_str().unwrap_or_default();
        if !quantity_exceeds(text, "0") {
            out.push(FieldError::invalid(path, text, "must be greater than zero"));
        }
    }
}

/// Checks the number of parameters, and the total size of their keys and values. Rejects an empty key.
fn check_parameters(path: &str, parameters: &Value, out: &mut Errors) {
    const MAX_COUNT: usize = 512;
    const MAX_SIZE: usize = 256 << 10;
    let Some(parameters) = parameters.as_object() else { return };
    if parameters.len() > MAX_COUNT {
        return out.push(FieldError::too_long(path, MAX_COUNT as u64));
    }
    if parameters.contains_key("") {
        out.push(FieldError::invalid(path, "", "field can not be empty."));
    }
    let size = parameters.iter().map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len());
    if size.sum::<usize>() > MAX_SIZE {
        out.push(FieldError::too_long(path, MAX_SIZE as u64));
    }
}

/// Checks that there is at least one parameter.
fn require_parameters(path: &str, parameters: &Value, out: &mut Errors) {
    if is_empty(parameters) {
        out.push(FieldError::required(path, "must contain at least one key/value pair"));
    }
}

/// Reports each topology that equals an earlier topology.
fn reject_equal_topologies(path: &str, topologies: &Value, out: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, term) in topologies.as_array().into_iter().flatten().enumerate() {
        if !is_empty(&term["matchLabelExpressions"]) && !seen.insert(term.to_string()) {
            out.push(FieldError::duplicate(format!("{path}[{index}].matchLabelExpressions"), ""));
        }
    }
}

/// Checks that exactly one source of a volume attachment is set.
fn check_attached_source(path: &str, source: &Value, out: &mut Errors) {
    match (source["persistentVolumeName"].is_null(), source["inlineVolumeSpec"].is_null()) {
        (true, true) => {
            out.push(FieldError::required(
                path,
                "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            ));
        }
        (false, false) => {
            out.push(FieldError::forbidden(
                path,
                "must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            ));
        }
        _ => {}
    }
}

/// The fields in the spec of a persistent volume that do not describe the volume source. Every other field, such as `nfs`,
/// is a volume source.
const NON_SOURCE_FIELDS: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

/// Checks that the volume has a source.
fn check_volume_source(path: &str, spec: &Value, out: &mut Errors) {
    let fields = spec.as_object().into_iter().flatten();
    if !fields
        .filter(|(_, value)| !value.is_null())
        .any(|(field, _)| !NON_SOURCE_FIELDS.contains(&field.as_str()))
    {
        out.push(FieldError::required(path, "must specify a volume type"));
    }
}

/// Checks that the node affinity of a volume has the field `required`, and validates this field.
fn check_volume_affinity(path: &str, affinity: &Value, out: &mut Errors) {
    let field = join(path, "required");
    if affinity["required"].is_null() {
        out.push(FieldError::required(field, "must specify required node constraints"));
    } else {
        super::pod::check_node_selector(&field, &affinity["required"], out);
    }
}

/// Checks `dataSource` or `dataSourceRef` of a claim. An error of `dataSource` also appears for `dataSourceRef`, because
/// the API server copies `dataSource` to `dataSourceRef`.
fn check_data_source(path: &str, source: &Value, out: &mut Errors) {
    if is_empty(&source["name"]) {
        out.push(FieldError::required(join(path, "name"), ""));
        if let Some(parent) = path.strip_suffix("dataSource") {
            out.push(FieldError::required(format!("{parent}dataSourceRef.name"), ""));
        }
    }
}
