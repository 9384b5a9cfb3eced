//! The admission plugins DefaultStorageClass and DefaultIngressClass.

use std::cmp::Reverse;

use serde_json::Value;

use crate::json::text;
use crate::store::State;

/// Sets the default storage class, if one exists, in a new volume claim that names no class.
pub(super) fn set_storage_class(state: &State, claim: &mut Value) {
    let annotation = &claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    if !annotation.is_null() || !claim["spec"]["storageClassName"].is_null() || !claim["spec"].is_object() {
        return;
    }
    let annotations =
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
    if let Some(name) = default_class(state, "storage.k8s.io/storageclasses", &annotations) {
        claim["spec"]["storageClassName"] = name;
    }
}

/// Sets the default ingress class, if one exists, in a new ingress that names no class.
pub(super) fn set_ingress_class(state: &State, ingress: &mut Value) {
    let annotation = &ingress["metadata"]["annotations"]["kubernetes.io/ingress.class"];
    if !annotation.is_null() || !ingress["spec"]["ingressClassName"].is_null() || !ingress["spec"].is_object()
    {
        return;
    }
    let annotations = ["ingressclass.kubernetes.io/is-default-class"];
    if let Some(name) = default_class(state, "networking.k8s.io/ingressclasses", &annotations) {
        ingress["spec"]["ingressClassName"] = name;
    }
}

/// The name of the newest class that one of the annotations marks as the default; among classes with the same creation
/// time, the first by name.
fn default_class(state: &State, table: &str, annotations: &[&str]) -> Option<Value> {
    let classes = state.objects(table, "");
    let classes: Vec<_> = classes.iter().map(|class| state.decoded_value(class)).collect();
    let metadata = classes.iter().map(|class| &class["metadata"]);
    let defaults = metadata.filter(|class| annotations.iter().any(|key| class["annotations"][key] == "true"));
    let newest =
        defaults.min_by_key(|class| (Reverse(text(&class["creationTimestamp"])), text(&class["name"])));
    newest.map(|class| class["name"].clone())
}
