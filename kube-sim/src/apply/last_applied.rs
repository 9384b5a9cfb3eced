//! The migration from client-side apply, which stores its configuration in the annotation
//! `kubectl.kubernetes.io/last-applied-configuration`.
//!
//! This module owns the effect of this annotation on server-side apply. Only apply requests of the field manager
//! `kubectl` use this module.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compare::compare;
use super::field_operations::field_set;
use super::field_set::FieldSet;
use super::managers::Manager;
use super::value_types::{self, Type};

/// The annotation that contains the last-applied configuration.
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Removes the conflicts over fields that still have the value that client-side apply set. The field manager `kubectl`
/// may take ownership of these fields.
pub(super) fn without_client_side_applied_fields(
    ty: Type<'_>,
    api_version: &str,
    live: &Value,
    conflicts: BTreeMap<Manager, FieldSet>,
) -> BTreeMap<Manager, FieldSet> {
    let Some(client_side_applied) = client_side_applied_fields(ty, api_version, live) else {
        return conflicts;
    };
    let rest =
        conflicts.into_iter().map(|(manager, fields)| (manager, fields.difference(&client_side_applied)));
    rest.filter(|(_, fields)| !fields.is_empty()).collect()
}

/// The fields of `live` that still have the value in the last-applied configuration; `None` if `live` has no
/// last-applied configuration, or this configuration is invalid or has an API version other than `api_version`.
fn client_side_applied_fields(ty: Type<'_>, api_version: &str, live: &Value) -> Option<FieldSet> {
    let applied: Value = serde_json::from_str(annotation(live)?).ok()?;
    if applied.get("apiVersion")?.as_str()? != api_version
        || value_types::check_type(ty, &applied, false).is_err()
    {
        return None;
    }
    let drift = compare(ty, &applied, live);
    let fields = field_set(ty, &applied);
    Some(fields.difference(&drift.modified).difference(&drift.added).difference(&drift.removed))
}

/// Sets [`ANNOTATION`] of `object` to the text of `config`. The text omits this annotation. Does nothing if `object` does
/// not have the annotation, or if the annotation is empty.
pub(super) fn update_annotation(object: &mut Value, config: &Value) {
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

/// The text of [`ANNOTATION`]; `None` if the object does not have this annotation.
fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}
