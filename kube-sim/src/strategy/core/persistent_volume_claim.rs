//! The strategy of persistent volume claims.

use serde_json::{Value, json};

use crate::schema::FieldError;
use crate::strategy::defaulting::{object_in, set_default};
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::printer::{self, Printer};
use crate::strategy::rules::check_requested_storage;
use crate::strategy::validation::Errors;
use crate::strategy::{InitialStatus, Strategy};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "PersistentVolumeClaim",
    set_defaults,
    initial_status: InitialStatus::Set(|_| json!({"phase": "Pending"})),
    prepare_for_create: |claim, _| copy_data_source(claim),
    prepare_for_update: |_, claim| copy_data_source(claim),
    validate,
    validate_update: Some(validate_update),
    status_reset_fields: &["spec"],
    printer: Printer::new(printer::storage::claim_cells),
    deletion: DeletionStrategy::RETURNS_OBJECT,
    ..Strategy::DEFAULT
};

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    if let Some(spec) = object_in(object, "spec") {
        set_default(spec, "volumeMode", "Filesystem");
        set_api_group_defaults(spec);
    }
}

/// If only one of the fields `dataSource` and `dataSourceRef` is present, copies its value to the other field. Does not
/// copy a `dataSourceRef` with a namespace.
fn copy_data_source(claim: &mut Value) {
    let Some(spec) = object_in(claim, "spec") else { return };
    let (source, reference) = (spec["dataSource"].clone(), spec["dataSourceRef"].clone());
    match (source.is_object(), reference.is_object()) {
        (true, false) => spec["dataSourceRef"] = source,
        (false, true) if reference["namespace"].is_null() => spec["dataSource"] = reference,
        _ => {}
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|field, value| !field.starts_with("dataSource") || value.is_object());
    }
}

/// Sets an absent `apiGroup` of a data source to null: Go serializes an absent API group as null.
fn set_api_group_defaults(spec: &mut Value) {
    for field in ["dataSource", "dataSourceRef"] {
        if let Some(Value::Object(reference)) = spec.get_mut(field) {
            reference.entry("apiGroup").or_insert(Value::Null);
        }
    }
}

fn validate(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if spec["accessModes"].as_array().is_none_or(Vec::is_empty) {
        out.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    check_requested_storage("spec", spec, out);
}

fn validate_update(old: &Value, new: &Value, out: &mut Errors) {
    validate(new, out);
    let is_bound = old["status"]["phase"] == "Bound";
    if without_mutable_fields(&old["spec"], is_bound) != without_mutable_fields(&new["spec"], is_bound) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        out.push(FieldError::forbidden("spec", why));
    }
}

/// A copy of the spec without its mutable fields. `resources.requests` is mutable only in a bound claim.
fn without_mutable_fields(spec: &Value, is_bound: bool) -> Value {
    let mut spec = spec.clone();
    if let Some(resources) = spec["resources"].as_object_mut().filter(|_| is_bound) {
        resources.remove("requests");
    }
    if let Some(map) = spec.as_object_mut() {
        for field in ["volumeAttributesClassName", "volumeName"] {
            map.remove(field);
        }
    }
    spec
}
