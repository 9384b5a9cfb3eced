//! The subset of OpenAPI v3 that schemas of custom resources may use, and the list and map extensions.
//!
//! Owns the rules for each keyword. The parent module checks that the schema is structural.

use serde_json::Value;

use super::{bool_keyword, list_keyword, mentions, object_entries, string_keyword};
use crate::schema::FieldError;

/// The values that `type` may have.
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Checks the OpenAPI v3 keywords that CRDs support, and the list and map extensions.
pub(super) fn check(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let kind = string_keyword(schema, "type");
    if bool_keyword(schema, "uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{path}.uniqueItems"), why));
    }
    let additional = schema.get("additionalProperties");
    let excludes_properties = additional.is_some_and(|additional| *additional != Value::Bool(true));
    if excludes_properties && object_entries(schema, "properties").next().is_some() {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), why));
    }
    if let Some(additional) = additional.filter(|additional| additional.is_object()) {
        check(&format!("{path}.additionalProperties"), additional, errors);
    }
    for (name, property) in object_entries(schema, "properties") {
        check(&format!("{path}.properties[{name}]"), property, errors);
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        for (index, nested) in list_keyword(schema, key).iter().enumerate() {
            check(&format!("{path}.{key}[{index}]"), nested, errors);
        }
    }
    for key in ["not", "items"] {
        if let Some(nested) = schema.get(key).filter(|nested| nested.is_object()) {
            check(&format!("{path}.{key}"), nested, errors);
        }
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(field, false, "must be true or undefined"));
    }
    check_extensions(path, schema, kind, errors);
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &TYPES));
    }
    if !mentions(schema, "$ref") {
        check_forbidden_constructs(path, schema, errors);
    }
    check_cel_rules(path, schema, errors);
}

/// Checks the extensions that specify the types of lists and maps.
fn check_extensions(path: &str, schema: &Value, kind: &str, errors: &mut Vec<FieldError>) {
    let uses = [("x-kubernetes-map-type", "object"), ("x-kubernetes-list-type", "array")];
    for (extension, expected) in uses {
        if schema.get(extension).is_none() || kind == expected {
            continue;
        }
        let why = format!("must be {expected} if {extension} is specified");
        let field = format!("{path}.type");
        errors.push(match kind {
            "" => FieldError::required(field, why),
            kind => FieldError::invalid(field, kind, why),
        });
    }
    let check_allowed_value = |key: &str, allowed: &[&str], errors: &mut Vec<FieldError>| {
        if let Some(value) = schema.get(key).and_then(Value::as_str).filter(|value| !allowed.contains(value))
        {
            errors.push(FieldError::not_supported(format!("{path}.{key}"), value, allowed));
        }
    };
    check_allowed_value("x-kubernetes-map-type", &["atomic", "granular"], errors);
    check_allowed_value("x-kubernetes-list-type", &["atomic", "set", "map"], errors);
    let keys = list_keyword(schema, "x-kubernetes-list-map-keys");
    match string_keyword(schema, "x-kubernetes-list-type") {
        "map" => check_list_map_items(path, schema, keys, errors),
        other if !keys.is_empty() => {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            let field = format!("{path}.x-kubernetes-list-type");
            errors.push(match other {
                "" => FieldError::required(field, why),
                other => FieldError::invalid(field, other, why),
            });
        }
        "set" => check_set_items(path, schema, errors),
        _ => {}
    }
}

/// Checks the items of a list of type `set`: objects and arrays must be atomic, and no item may be nullable.
fn check_set_items(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let Some(items) = schema.get("items") else { return };
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let key = match string_keyword(items, "type") {
        "object" => Some("x-kubernetes-map-type"),
        "array" => Some("x-kubernetes-list-type"),
        _ => None,
    };
    if let Some(key) = key {
        let found = items.get(key).cloned().unwrap_or(Value::Null);
        let fits = found == "atomic" || (found.is_null() && key == "x-kubernetes-list-type");
        if !fits {
            errors.push(FieldError::invalid(format!("{path}.items.{key}"), found, why));
        }
    }
    if bool_keyword(items, "nullable") {
        let why = "cannot be nullable when x-kubernetes-list-type is set";
        errors.push(FieldError::forbidden(format!("{path}.items.nullable"), why));
    }
}

/// Checks the keys and items of a list of type `map`.
fn check_list_map_items(path: &str, schema: &Value, keys: &[Value], errors: &mut Vec<FieldError>) {
    let keys_field = format!("{path}.x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(FieldError::required(
            keys_field.as_str(),
            "must not be empty if x-kubernetes-list-type is map",
        ));
    }
    let Some(items) = schema.get("items") else {
        let why = "must have a schema if x-kubernetes-list-type is map";
        errors.push(FieldError::required(format!("{path}.items"), why));
        return;
    };
    if string_keyword(items, "type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(format!("{path}.items.type"), string_keyword(items, "type"), why));
    }
    if bool_keyword(items, "nullable") {
        let why = "cannot be nullable when x-kubernetes-list-type is map";
        errors.push(FieldError::forbidden(format!("{path}.items.nullable"), why));
    }
    let all = || Value::Array(keys.to_vec());
    let mut key_errors = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        if keys[..index].contains(key) {
            errors.push(FieldError::invalid(
                keys_field.as_str(),
                all(),
                "must not contain duplicate entries",
            ));
            continue;
        }
        let Some(property) = items.get("properties").and_then(|properties| properties.get(name)) else {
            let why = "entries must all be names of item properties";
            errors.push(FieldError::invalid(keys_field.as_str(), all(), why));
            continue;
        };
        let field = format!("{path}.items.properties[{name}]");
        if matches!(string_keyword(property, "type"), "object" | "array") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(format!("{field}.type"), string_keyword(items, "type"), why));
        }
        let required = list_keyword(items, "required").contains(key);
        if !required && property.get("default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            key_errors.push(FieldError::required(format!("{field}.default"), why));
        }
        if bool_keyword(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            key_errors.push(FieldError::forbidden(format!("{field}.nullable"), why));
        }
    }
    errors.extend(key_errors);
}

/// Adds an error for each OpenAPI keyword that CRDs do not support, such as `$ref`.
pub(super) fn check_forbidden_constructs(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    if string_keyword(schema, "type") == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(format!("{path}.type"), why));
    }
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if schema.get(key).is_some() {
            errors.push(FieldError::forbidden(format!("{path}.{key}"), format!("{key} is not supported")));
        }
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let why = "items must be a schema object and not an array";
        errors.push(FieldError::forbidden(format!("{path}.items"), why));
    }
    if mentions(schema, "$ref") {
        for (name, property) in object_entries(schema, "properties") {
            check_forbidden_constructs(&format!("{path}.properties[{name}]"), property, errors);
        }
        for key in ["items", "additionalProperties", "not"] {
            if let Some(nested) = schema.get(key).filter(|nested| nested.is_object()) {
                check_forbidden_constructs(&format!("{path}.{key}"), nested, errors);
            }
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            for (index, nested) in list_keyword(schema, key).iter().enumerate() {
                check_forbidden_constructs(&format!("{path}.{key}[{index}]"), nested, errors);
            }
        }
    }
}

/// Checks the CEL rules (`x-kubernetes-validations`), except for their expressions, which `crate::cel` compiles.
fn check_cel_rules(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let has_break = |text: &str| text.contains(['\n', '\r']);
    for (index, rule) in list_keyword(schema, "x-kubernetes-validations").iter().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        let mut invalid = |key: &str, why: &str| {
            errors.push(FieldError::invalid(format!("{path}.{key}"), string_keyword(rule, key), why));
        };
        let (source, message) = (string_keyword(rule, "rule").trim(), string_keyword(rule, "message"));
        if !source.is_empty() && !message.is_empty() && message.trim().is_empty() {
            invalid("message", "must be non-empty if specified");
        } else if !source.is_empty() && has_break(message.trim()) {
            invalid("message", "must not contain line breaks");
        }
        let field_path = string_keyword(rule, "fieldPath");
        if !field_path.is_empty() && field_path.trim().is_empty() {
            invalid("fieldPath", "must be non-empty if specified");
        }
        if has_break(field_path) {
            invalid("fieldPath", "must not contain line breaks");
        }
        if super::super::field_path(field_path, schema).is_err() {
            invalid("fieldPath", "must be a valid path");
        }
        let mut required =
            |key: &str, why: &str| errors.push(FieldError::required(format!("{path}.{key}"), why));
        if source.is_empty() {
            required("rule", "rule is not specified");
        } else if has_break(source) && message.trim().is_empty() {
            required("message", "message must be specified if rule contains line breaks");
        }
        let expression = string_keyword(rule, "messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            required("messageExpression", "messageExpression must be non-empty if specified");
        }
        let reason = rule.get("reason").and_then(Value::as_str);
        if let Some(reason) = reason.filter(|reason| !REASONS.contains(reason)) {
            errors.push(FieldError::not_supported(format!("{path}.reason"), reason, &REASONS));
        }
    }
}
