//! The admission plugins StorageObjectInUseProtection and PersistentVolumeClaimResize.

use serde_json::Value;

use super::Write;
use crate::schema;
use crate::status::SimError;
use crate::store::State;

/// The resources whose objects get a finalizer.
pub(super) const PROTECTED_RESOURCES: &[(&str, &str)] = &[
    ("", "persistentvolumes"),
    ("", "persistentvolumeclaims"),
    ("storage.k8s.io", "volumeattributesclasses"),
];

/// Adds the finalizer of the resource, unless the object has this finalizer.
pub(super) fn protect(write: &Write<'_>, object: &mut Value) {
    let finalizer = match write.resource.plural.as_str() {
        "persistentvolumes" => "kubernetes.io/pv-protection",
        "persistentvolumeclaims" => "kubernetes.io/pvc-protection",
        _ => "kubernetes.io/vac-protection",
    };
    let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if finalizers.iter().all(|existing| existing != finalizer) {
        finalizers.push(finalizer.into());
        object["metadata"]["finalizers"] = finalizers.into();
    }
}

/// Refuses to expand a claim that is not bound, or whose storage class does not allow expansion.
pub(super) fn check_resize(state: &State, write: &Write<'_>, claim: &Value) -> Result<(), SimError> {
    let Some(old) = write.old.filter(|_| write.is_to_any(&[("", "persistentvolumeclaims")])) else {
        return Ok(());
    };
    let size = |claim: &Value| {
        let text = claim["spec"]["resources"]["requests"]["storage"].as_str();
        text.and_then(|text| schema::parse_quantity(text).ok()).unwrap_or(0)
    };
    if size(claim) <= size(old) {
        return Ok(());
    }
    if old["status"]["phase"] != "Bound" {
        return Err(write.forbidden(claim, "Only bound persistent volume claims can be expanded"));
    }
    let class = class_of(claim);
    let expands = state
        .get("storage.k8s.io/storageclasses", class)
        .is_some_and(|class| state.decoded_value(class)["allowVolumeExpansion"] == true);
    if class.is_empty() || class != class_of(old) || !expands {
        let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
        return Err(write.forbidden(claim, why));
    }
    Ok(())
}

/// The storage class of a claim: the annotation if it exists, otherwise `spec.storageClassName`; empty if neither is
/// set.
fn class_of(claim: &Value) -> &str {
    let annotation = claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].as_str();
    annotation.or(claim["spec"]["storageClassName"].as_str()).unwrap_or_default()
}
