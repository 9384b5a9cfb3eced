//! The common steps of create and update requests, such as defaulting and validation. This module also resets
//! the fields that a status update must not change, and builds the response object of a dry run or of a
//! completed deletion.

use std::sync::Arc;

use serde_json::Value;

use crate::clock::Clock;
use crate::registry::Resource;
use crate::schema::{self, FieldError, Schema};
use crate::store::object::StoredObject;

/// Applies the defaults of the schema, then the computed defaults of the kind.
pub(super) fn apply_defaults(resource: &Resource, clock: &Clock, old: Option<&Value>, object: &mut Value) {
    schema::apply_defaults(&resource.schema(), object);
    (resource.strategy.set_defaults)(old, object);
    if let Some(set_times) = resource.strategy.set_times {
        set_times(old, object, &clock.stamp());
    }
}

/// Drops each field of a custom resource that is null but not nullable (`nullable: false` in the schema).
/// Keeps null list items.
pub(super) fn drop_nulls(resource: &Resource, object: &mut Value) {
    if resource.custom_properties().is_some() {
        schema::drop_nulls(&resource.schema(), object);
    }
}

/// Rewrites the numbers of a custom resource as Go serializes them. Validation must run first, because validation
/// needs the numbers as the client sent them.
pub(super) fn rewrite_numbers(resource: &Resource, object: &mut Value) {
    if resource.custom_properties().is_some() {
        schema::normalize_numbers(object);
    }
}

/// Validates an object, except for its metadata, and adds the warnings of its CEL rules to `warnings`.
pub(super) fn validate(
    resource: &Resource,
    old: Option<&Value>,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Vec<FieldError> {
    let Some(custom) = resource.custom_properties() else {
        return resource.strategy.validate(&resource.schema(), old, object);
    };
    let verdict = custom.validate(old, object);
    warnings.extend(verdict.warnings);
    verdict.errors
}

/// The schema of a written custom resource. The server has used this schema to apply defaults and to prune
/// fields. `None` for a built-in kind, and for an object that is converted to another version before it is
/// stored.
pub(super) fn schema_of_written_object(resource: &Resource) -> Option<Arc<Schema>> {
    let custom = resource.custom_properties()?;
    (resource.api_version == *custom.storage_version).then(|| custom.schema.clone())
}

/// Copies `field` from `from` to `to`. If `from` does not have the field, removes the field of `to`.
pub(super) fn copy_field(from: &Value, to: &mut Value, field: &str) {
    let Some(map) = to.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => map.insert(field.to_owned(), value.clone()),
        None => map.remove(field),
    };
}

/// Resets `new` to `old`, except for the status and the metadata fields that a status update may change.
pub(super) fn reset_all_but_status(resource: &Resource, old: &Value, new: &mut Value) {
    let mut kept = old.clone();
    copy_field(new, &mut kept, "status");
    for field in resource.strategy.status_metadata {
        if let (Some(from), Some(to)) = (new.get("metadata"), kept.get_mut("metadata")) {
            copy_field(from, to, field);
        }
    }
    *new = kept;
}

/// Builds the response object of a dry run or of a completed deletion, without storing it. `version` is 0 for an object
/// that was never stored.
pub(crate) fn response_object(
    resource: &Resource,
    key: &Arc<str>,
    version: u64,
    mut value: Value,
) -> Arc<StoredObject> {
    if version == 0 {
        value["metadata"].as_object_mut().map(|m| m.remove("resourceVersion"));
    }
    let fields = resource.field_values(&value);
    let api_version = value["apiVersion"].as_str().and_then(|version| resource.stored_version(version));
    Arc::new(StoredObject::new(key.clone(), version, fields, value).with_api_version(api_version))
}
