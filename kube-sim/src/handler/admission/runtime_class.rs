//! The admission plugin RuntimeClass: adds the overhead, the node selector and the tolerations of a runtime class to the
//! pods that name the class.

use std::sync::Arc;

use serde_json::Value;

use super::{PODS, Write, tolerations};
use crate::schema::{self, quote};
use crate::status::SimError;
use crate::store::State;
use crate::store::object::StoredObject;

/// Adds the overhead, the node selector and the tolerations of the runtime class to a new pod.
///
/// # Errors
/// 403 if the runtime class does not exist, or if the pod contradicts it.
pub(super) fn apply(state: &State, write: &Write<'_>, pod: &mut Value) -> Result<(), SimError> {
    let Some(class) = class_of(state, write, pod)? else { return Ok(()) };
    let class = state.decoded_value(&class);
    let overhead = &class["overhead"]["podFixed"];
    if !class["overhead"].is_null() {
        let has_own = pod["spec"]["overhead"].as_object().is_some_and(|own| !own.is_empty());
        if has_own && !is_equal(overhead, &pod["spec"]["overhead"]) {
            return Err(write.forbidden(pod, MISMATCH));
        }
        if overhead.is_object() {
            pod["spec"]["overhead"] = overhead.clone();
        }
    }
    let scheduling = &class["scheduling"];
    for (key, value) in scheduling["nodeSelector"].as_object().into_iter().flatten() {
        let own = pod["spec"].get("nodeSelector").and_then(|own| own.get(key));
        if let Some(own) = own.filter(|own| *own != value) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (theirs, own) = (text(value), text(own));
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {theirs}; pod.spec.nodeSelector[{key}] = {own}"
            );
            return Err(write.forbidden(pod, &why));
        }
        pod["spec"]["nodeSelector"][key] = value.clone();
    }
    if !scheduling.is_null() {
        let merged = tolerations::merge(&pod["spec"]["tolerations"], &scheduling["tolerations"]);
        if !merged.is_empty() {
            pod["spec"]["tolerations"] = merged.into();
        }
    }
    Ok(())
}

/// Refuses a new pod whose overhead differs from the overhead of its runtime class.
pub(super) fn check(state: &State, write: &Write<'_>, pod: &Value) -> Result<(), SimError> {
    if write.old.is_some() || !write.is_to_any(PODS) {
        return Ok(());
    }
    let class = class_of(state, write, pod)?;
    let own = &pod["spec"]["overhead"];
    let class = class.as_ref().map(|class| state.decoded_value(class));
    let overhead = class.as_ref().map(|class| &class["overhead"]);
    match overhead.filter(|overhead| !overhead.is_null()) {
        Some(overhead) if !is_equal(&overhead["podFixed"], own) => Err(write.forbidden(pod, MISMATCH)),
        None if !own.is_null() => {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            Err(write.forbidden(pod, why))
        }
        _ => Ok(()),
    }
}

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

/// The runtime class of a pod; `None` if the pod names no class.
fn class_of(state: &State, write: &Write<'_>, pod: &Value) -> Result<Option<Arc<StoredObject>>, SimError> {
    let Some(name) = pod["spec"]["runtimeClassName"].as_str() else { return Ok(None) };
    match state.get("node.k8s.io/runtimeclasses", name) {
        Some(class) => Ok(Some(class.clone())),
        None => Err(write.forbidden(pod, &format!("pod rejected: RuntimeClass {} not found", quote(name)))),
    }
}

/// Whether two lists of resources have the same quantities.
fn is_equal(left: &Value, right: &Value) -> bool {
    let amounts = |list: &Value| -> Vec<(String, Option<i128>)> {
        let pairs = list.as_object().into_iter().flatten();
        let amount = |quantity: &Value| schema::parse_quantity(quantity.as_str()?).ok();
        pairs.map(|(name, quantity)| (name.clone(), amount(quantity))).collect()
    };
    amounts(left) == amounts(right)
}
