//! The validation of lists of `metav1.Condition`, and a function that tells whether a condition is true.

use std::collections::HashSet;

use serde_json::Value;

use super::rules::qualified_name_problem;
use super::validation::{Errors, items, string_in};
use crate::json::has_condition;
use crate::schema::FieldError;

const INVALID_REASON_ERROR: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
/// The maximum length of a reason in bytes.
const MAX_REASON_BYTES: usize = 1 << 10;
/// The maximum length of a message in bytes.
const MAX_MESSAGE_BYTES: usize = 32 << 10;

/// Checks `status.conditions` of an object.
pub(super) fn check_status_conditions(object: &Value, out: &mut Errors) {
    check_conditions_in("status", &object["status"], out);
}

/// Checks the field `conditions` of the value at `path`.
pub(super) fn check_conditions_in(path: &str, parent: &Value, out: &mut Errors) {
    let mut seen = HashSet::new();
    for (path, condition) in items(path, parent, "conditions") {
        let kind = string_in(condition, "type");
        if !seen.insert(kind) {
            out.push(FieldError::duplicate(path.as_str(), kind));
        }
        check_condition(&path, condition, out);
    }
}

fn check_condition(path: &str, condition: &Value, out: &mut Errors) {
    let at = |field: &str| format!("{path}.{field}");
    let kind = string_in(condition, "type");
    if kind.is_empty() {
        out.push(FieldError::required(at("type"), "is required"));
    } else if let Some(why) = qualified_name_problem(kind) {
        out.push(FieldError::invalid(at("type"), kind, why));
    }
    match string_in(condition, "status") {
        "" => out.push(FieldError::required(at("status"), "")),
        "True" | "False" | "Unknown" => {}
        other => out.push(FieldError::not_supported(at("status"), other, &["False", "True", "Unknown"])),
    }
    if let Some(generation) = condition["observedGeneration"].as_i64().filter(|number| *number < 0) {
        let why = "must be greater than or equal to zero";
        out.push(FieldError::invalid(at("observedGeneration"), generation, why));
    }
    if condition["lastTransitionTime"].is_null() {
        out.push(FieldError::required(at("lastTransitionTime"), ""));
    }
    let reason = string_in(condition, "reason");
    if reason.is_empty() {
        out.push(FieldError::required(at("reason"), ""));
    } else if !is_reason(reason) {
        out.push(FieldError::invalid(at("reason"), reason, INVALID_REASON_ERROR));
    }
    for (field, limit) in [("reason", MAX_REASON_BYTES), ("message", MAX_MESSAGE_BYTES)] {
        if string_in(condition, field).len() > limit {
            out.push(FieldError::too_long(at(field), limit as u64));
        }
    }
}

/// Whether a text has the form of the `reason` of a condition.
fn is_reason(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_,:".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(inner)
        && !text.ends_with([',', ':'])
}

/// Whether `object` has a condition of the type `kind` with the status `True`.
pub(super) fn is_condition_true(object: &Value, kind: &str) -> bool {
    has_condition(object, kind, "True")
}
