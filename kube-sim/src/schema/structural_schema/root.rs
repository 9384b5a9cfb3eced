//! The rules for the root of a schema if the kind has a status subresource. The API server extracts the schema of the
//! status from the root. Therefore, the API server allows only keywords that do not get lost in the extraction.

use serde_json::Value;

use super::string_keyword;
use crate::schema::FieldError;

/// The keywords that the root may have, each with its name in the API server's error. The error contains the names in this
/// order.
const ALLOWED_KEYWORDS: [(&str, &str); 22] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
];

/// The forbidden keywords that precede `type` in the Go struct `JSONSchemaProps`. The API server reports only the first
/// error, in the order of the struct's fields.
const KEYWORDS_BEFORE_TYPE: [&str; 3] = ["id", "$schema", "$ref"];

/// Checks the keywords of the root. Reports the first error only.
pub(super) fn check(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let Some(map) = schema.as_object() else { return };
    let is_set = |key: &str| map.get(key).is_some_and(|value| !is_zero(value));
    let is_forbidden =
        |key: &str| is_set(key) && !ALLOWED_KEYWORDS.iter().any(|(allowed, _)| *allowed == key);
    let kind = string_keyword(schema, "type");
    if !kind.is_empty() && kind != "object" && !KEYWORDS_BEFORE_TYPE.iter().any(|key| is_set(key)) {
        let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(FieldError::invalid(format!("{path}.type"), kind, why));
    } else if map.keys().any(|key| is_forbidden(key)) {
        let names: Vec<&str> = ALLOWED_KEYWORDS.iter().map(|(_, name)| *name).collect();
        let why = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        errors.push(FieldError::invalid(path, schema.clone(), why));
    }
}

/// Whether Go decodes the value as the zero value of its type.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}
