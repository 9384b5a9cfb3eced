//! The names of a CRD, in its spec and in the `acceptedNames` of its status.

use serde_json::Value;

use super::super::field_error::FieldError;
use super::{INVALID_LABEL_1035, string_field};
use crate::names;

/// Checks that the spec has the names that a client must set, and the names for which the API server sets defaults.
pub(super) fn check_required(names: &Value, errors: &mut Vec<FieldError>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        if string_field(names, field).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{field}"), ""));
        }
    }
}

/// Checks the form of the names at `path`. Absent names are valid.
pub(super) fn check(path: &str, names: &Value, errors: &mut Vec<FieldError>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        let name = string_field(names, field);
        let is_kind = field.ends_with("ind");
        let fits =
            if is_kind { names::is_label_1035(&name.to_lowercase()) } else { names::is_label_1035(name) };
        if !name.is_empty() && !fits {
            let why = if is_kind {
                format!("may have mixed case, but should otherwise match: {INVALID_LABEL_1035}")
            } else {
                INVALID_LABEL_1035.to_owned()
            };
            errors.push(FieldError::invalid(format!("{path}.{field}"), name, why));
        }
    }
    check_list(path, names, "shortNames", errors);
    let kind = string_field(names, "kind");
    if !kind.is_empty() && kind == string_field(names, "listKind") {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(format!("{path}.listKind"), kind, why));
    }
    check_list(path, names, "categories", errors);
}

fn check_list(path: &str, names: &Value, list: &str, errors: &mut Vec<FieldError>) {
    for (index, name) in names[list].as_array().into_iter().flatten().enumerate() {
        let name = name.as_str().unwrap_or_default();
        if !names::is_label_1035(name) {
            errors.push(FieldError::invalid(format!("{path}.{list}[{index}]"), name, INVALID_LABEL_1035));
        }
    }
}
