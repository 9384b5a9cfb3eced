//! The properties of one version of a CRD: the deprecation warning, the subresource `scale` and the printer columns.

use serde_json::Value;

use super::super::field_error::FieldError;
use super::string_field;

/// Validates `deprecationWarning`, the text of the `Warning` header for requests to a deprecated version.
pub(super) fn check_deprecation_warning(path: &str, version: &Value, errors: &mut Vec<FieldError>) {
    let Some(warning) = version["deprecationWarning"].as_str() else { return };
    let mut report = |why: &str| {
        errors.push(FieldError::invalid(format!("{path}.deprecationWarning"), warning, why));
    };
    if version["deprecated"] != true {
        report("can only be set for deprecated versions");
        return;
    }
    if warning.len() > 256 {
        report("must be <= 256 characters long");
    }
    if warning.is_empty() {
        report("must not be an empty string");
    }
    let printable = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace());
    if let Some((index, _)) = warning.char_indices().find(|(_, c)| !printable(*c)) {
        report(&format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        ));
    }
}

/// The error text for a path that does not begin with a dot.
const INVALID_JSON_PATH: &str = "must be a simple json path starting with .";

/// Validates the paths of the subresource `scale`.
pub(super) fn check_scale(path: &str, scale: &Value, errors: &mut Vec<FieldError>) {
    if !scale.is_object() {
        return;
    }
    for (field, root) in [("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")] {
        let found = string_field(scale, field);
        let field = format!("{path}.{field}");
        if found.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if !found.starts_with('.') {
            errors.push(FieldError::invalid(field, found, INVALID_JSON_PATH));
        } else if !found.starts_with(&format!("{root}.")) {
            errors.push(FieldError::invalid(field, found, format!("should be a json path under {root}")));
        }
    }
    let selector = string_field(scale, "labelSelectorPath");
    let field = format!("{path}.labelSelectorPath");
    if !(selector.is_empty() || selector.starts_with('.')) {
        errors.push(FieldError::invalid(field, selector, INVALID_JSON_PATH));
    } else if !(selector.is_empty() || selector.starts_with(".spec.") || selector.starts_with(".status.")) {
        let why = "should be a json path under either .spec or .status";
        errors.push(FieldError::invalid(field, selector, why));
    }
}

/// The formats of a printer column (`OpenAPI` v2).
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// Validates `additionalPrinterColumns`.
pub(super) fn check_printer_columns(path: &str, columns: &Value, errors: &mut Vec<FieldError>) {
    const INVALID_TYPE: &str = "must be one of boolean,date,integer,number,string";
    for (index, column) in columns.as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}[{index}]");
        if string_field(column, "name").is_empty() {
            errors.push(FieldError::required(format!("{path}.name"), ""));
        }
        match string_field(column, "type") {
            "boolean" | "date" | "integer" | "number" | "string" => {}
            "" => errors.push(FieldError::required(format!("{path}.type"), INVALID_TYPE)),
            other => errors.push(FieldError::invalid(format!("{path}.type"), other, INVALID_TYPE)),
        }
        let format = string_field(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(FieldError::invalid(format!("{path}.format"), format, why));
        }
        match string_field(column, "jsonPath") {
            "" => errors.push(FieldError::required(format!("{path}.JSONPath"), "")),
            found if !found.starts_with('.') => {
                errors.push(FieldError::invalid(format!("{path}.JSONPath"), found, INVALID_JSON_PATH));
            }
            _ => {}
        }
    }
}
