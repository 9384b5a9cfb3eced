//! The cells of volumes, claims, and the kinds of `storage.k8s.io`.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Row, age_cell, items, name_cell, number_or_text, string_or_empty, text_cell, text_cell_or,
    text_cell_or_none,
};

/// The annotation that contained the storage class before the field `storageClassName` existed.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// The annotations that mark the default storage class, for claims without a class.
const DEFAULT_CLASS_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// The abbreviations of the access modes, in a fixed order.
fn access_modes(modes: &Value) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let shown = known.iter().filter(|(mode, _)| items(modes).any(|given| given == mode));
    shown.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The cell with the phase; `Terminating` for an object that is being deleted.
fn phase_cell(object: &Value) -> Value {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".into();
    }
    text_cell(&object["status"]["phase"])
}

fn storage_class_name_cell(object: &Value) -> Value {
    match object["metadata"]["annotations"][CLASS_ANNOTATION].as_str() {
        Some(class) => class.into(),
        None => text_cell(&object["spec"]["storageClassName"]),
    }
}

pub(in crate::strategy) fn volume_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let claim = match &spec["claimRef"] {
        Value::Null => String::new(),
        claim => format!("{}/{}", string_or_empty(&claim["namespace"]), string_or_empty(&claim["name"])),
    };
    let capacity = number_or_text(&spec["capacity"]["storage"]);
    vec![
        name_cell(object),
        if capacity.is_empty() { "0" } else { &capacity }.into(),
        access_modes(&spec["accessModes"]).into(),
        text_cell(&spec["persistentVolumeReclaimPolicy"]),
        phase_cell(object),
        claim.into(),
        storage_class_name_cell(object),
        text_cell_or(&spec["volumeAttributesClassName"], "<unset>"),
        text_cell(&object["status"]["reason"]),
        age_cell(object, now),
        text_cell_or(&spec["volumeMode"], "<unset>"),
    ]
}

pub(in crate::strategy) fn claim_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let volume = string_or_empty(&spec["volumeName"]);
    let (capacity, modes) = match (volume, number_or_text(&status["capacity"]["storage"])) {
        ("", _) => (String::new(), String::new()),
        (_, size) if size.is_empty() => ("0".to_owned(), access_modes(&status["accessModes"])),
        (_, size) => (size, access_modes(&status["accessModes"])),
    };
    vec![
        name_cell(object),
        phase_cell(object),
        volume.into(),
        capacity.into(),
        modes.into(),
        storage_class_name_cell(object),
        text_cell_or(&spec["volumeAttributesClassName"], "<unset>"),
        age_cell(object, now),
        text_cell_or(&spec["volumeMode"], "<unset>"),
    ]
}

pub(in crate::strategy) fn storage_class_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name_cell(object),
        text_cell(&object["provisioner"]),
        text_cell_or(&object["reclaimPolicy"], "Delete"),
        text_cell_or(&object["volumeBindingMode"], "Immediate"),
        (object["allowVolumeExpansion"] == true).into(),
        age_cell(object, now),
    ]
}

/// Marks the default storage class: the newest class that has one of the [`DEFAULT_CLASS_ANNOTATIONS`] with the value
/// `true`. If several of these classes are the newest, marks the first of them in the list.
pub(in crate::strategy) fn mark_default_class(rows: &mut [Row]) {
    let is_default = |object: &Value| {
        let annotations = &object["metadata"]["annotations"];
        DEFAULT_CLASS_ANNOTATIONS.iter().any(|key| annotations[*key] == "true")
    };
    let created = |row: &Row| string_or_empty(&row.object["metadata"]["creationTimestamp"]).to_owned();
    let mut found: Option<&mut Row> = None;
    for row in rows.iter_mut().filter(|row| is_default(&row.object)) {
        if found.as_ref().is_none_or(|found| created(row) > created(found)) {
            found = Some(row);
        }
    }
    if let Some(Row { cells, .. }) = found {
        cells[0] = format!("{} (default)", string_or_empty(&cells[0])).into();
    }
}

pub(in crate::strategy) fn volume_attachment_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    vec![
        name_cell(object),
        text_cell(&spec["attacher"]),
        text_cell(&spec["source"]["persistentVolumeName"]),
        text_cell(&spec["nodeName"]),
        (object["status"]["attached"] == true).into(),
        age_cell(object, now),
    ]
}

pub(in crate::strategy) fn volume_attributes_class_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_cell(object), text_cell(&object["driverName"]), age_cell(object, now)]
}

pub(in crate::strategy) fn csi_driver_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let flag = |field: &str, fallback: bool| Value::from(spec[field].as_bool().unwrap_or(fallback));
    let tokens = spec["tokenRequests"].as_array().map(|requests| {
        requests.iter().map(|request| string_or_empty(&request["audience"])).collect::<Vec<_>>().join(",")
    });
    let modes: Vec<&str> = items(&spec["volumeLifecycleModes"]).map(string_or_empty).collect();
    vec![
        name_cell(object),
        flag("attachRequired", true),
        flag("podInfoOnMount", false),
        flag("storageCapacity", false),
        tokens.unwrap_or_else(|| "<unset>".to_owned()).into(),
        flag("requiresRepublish", false),
        text_cell_or_none(&modes.join(",")),
        age_cell(object, now),
    ]
}

pub(in crate::strategy) fn csi_node_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name_cell(object), items(&object["spec"]["drivers"]).count().into(), age_cell(object, now)]
}
