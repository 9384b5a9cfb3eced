//! The bridge from client-side apply: the annotation that `kubectl apply` keeps its last configuration in.
//!
//! Owns what happens to it under server-side apply by the manager `kubectl`; other managers do not see it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::compare;
use super::managers::Manager;
use super::set::FieldSet;
use super::typed::{self, Type};
use super::walk::field_set;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The conflicts that remain when fields which still hold what client-side apply set may be taken over.
pub(super) fn without_allowed(
    ty: Type<'_>,
    api_version: &str,
    live: &Value,
    conflicts: BTreeMap<Manager, FieldSet>,
) -> BTreeMap<Manager, FieldSet> {
    let Some(allowed) = allowed(ty, api_version, live) else { return conflicts };
    let rest = conflicts.into_iter().map(|(manager, fields)| (manager, fields.difference(&allowed)));
    rest.filter(|(_, fields)| !fields.is_empty()).collect()
}

fn allowed(ty: Type<'_>, api_version: &str, live: &Value) -> Option<FieldSet> {
    let applied: Value = serde_json::from_str(annotation(live)?).ok()?;
    if applied.get("apiVersion")?.as_str()? != api_version || typed::check(ty, &applied, false).is_err() {
        return None;
    }
    let drift = compare(ty, &applied, live);
    let fields = field_set(ty, &applied);
    Some(fields.difference(&drift.modified).difference(&drift.added).difference(&drift.removed))
}

/// Writes the configuration into the annotation, where the object has one.
pub(super) fn refresh(object: &mut Value, config: &Value) {
    if annotation(object).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(ANNOTATION.to_owned(), Value::from(format!("{config}\n")));
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}
