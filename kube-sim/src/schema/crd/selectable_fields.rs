//! `selectableFields`: the JSON paths that field selectors of a custom resource may use (KEP-4358).
//!
//! This module owns the validation of the paths against the JSON of the schema. The registry evaluates the selectors.

use std::collections::HashSet;

use serde_json::Value;

use super::super::field_error::FieldError;
use super::string_field;

/// The maximum number of selectable fields of a version.
const MAX_FIELDS: u64 = 8;

/// Validates `fields`, the selectable fields of a version with the schema `schema`. `path` is the path of `fields` in
/// the CRD.
pub(super) fn check(path: &str, fields: &Value, schema: &Value, errors: &mut Vec<FieldError>) {
    let mut seen = HashSet::new();
    for (index, field) in fields.as_array().into_iter().flatten().enumerate() {
        let error_path = format!("{path}[{index}].jsonPath");
        let json_path = string_field(field, "jsonPath");
        if json_path.is_empty() {
            errors.push(FieldError::required(error_path, ""));
            continue;
        }
        let found = match schema_at(json_path, schema) {
            Ok(found) => found,
            Err(problem) => {
                let why = format!("is an invalid path: {problem}");
                errors.push(FieldError::invalid(error_path, json_path, why));
                continue;
            }
        };
        if json_path.strip_prefix(".metadata").is_some_and(|rest| rest.starts_with('.')) {
            let why = "must not point to fields in metadata";
            errors.push(FieldError::invalid(error_path.as_str(), json_path, why));
        }
        if !matches!(string_field(found, "type"), "string" | "boolean" | "integer") {
            let why = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(FieldError::invalid(error_path.as_str(), json_path, why));
        }
        if !seen.insert(json_path) {
            errors.push(FieldError::duplicate(error_path, json_path));
        }
    }
    let count = seen.len() as u64;
    if count > MAX_FIELDS {
        errors.push(FieldError::too_many(path, count, MAX_FIELDS));
    }
}

/// Returns the subschema of the field at a JSON path such as `.spec.size`, or an error text if the path is malformed or
/// the schema does not specify the field. The schema must specify even `apiVersion`, `kind` and `metadata`.
fn schema_at<'a>(path: &str, mut schema: &'a Value) -> Result<&'a Value, String> {
    let mut rest = path;
    while !rest.is_empty() {
        let Some(after) = rest.strip_prefix('.') else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            return Err(match end {
                0 => "array notation is not allowed".to_owned(),
                end => format!("expected [ or . but got: {}", &rest[..end]),
            });
        };
        if after.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        let (name, after) = after.split_at(after.find(['.', '[']).unwrap_or(after.len()));
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        let entry = property.or_else(|| schema.get("additionalProperties").filter(|entry| entry.is_object()));
        schema = entry.filter(|_| !name.is_empty()).ok_or("does not refer to a valid field")?;
        rest = after;
    }
    Ok(schema)
}
