//! The subset of OpenAPI v3 that schemas of custom resources may use, and the list and map extensions.
//!
//! This module owns the rules for each keyword. The parent module checks that the schema is structural.

use std::collections::HashSet;

use serde_json::Value;

use super::{bool_keyword, list_keyword, object_entries, string_keyword, subschemas};
use crate::schema::FieldError;

/// The values that `type` may have.
pub(super) const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// The position of a schema in the schema of a custom resource. Some rules depend on the position.
#[derive(Clone, Default)]
struct SchemaPosition {
    is_root: bool,
    /// Whether the schema describes `apiVersion`, `kind` or `metadata` of a resource, or a value inside `metadata`.
    in_object_fields: bool,
    /// The reason why a default is forbidden in the schema; `None` if a default is allowed.
    no_default: Option<String>,
}

/// Checks the OpenAPI v3 keywords, the list and map extensions and the CEL rules of a schema and its subschemas.
pub(super) fn check(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    check_at_position(path, schema, &SchemaPosition { is_root: true, ..SchemaPosition::default() }, errors);
}

fn check_at_position(path: &str, schema: &Value, position: &SchemaPosition, errors: &mut Vec<FieldError>) {
    check_keywords(path, schema, position, errors);
    if bool_keyword(schema, "uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{path}.uniqueItems"), why));
    }
    let nested = SchemaPosition { is_root: false, ..position.clone() };
    check_fields(path, schema, position, &nested, errors);
    let child = |key: &str| schema.get(key).filter(|child| child.is_object());
    if let Some(not) = child("not") {
        check_at_position(&format!("{path}.not"), not, &nested, errors);
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        for (index, child) in list_keyword(schema, key).iter().enumerate() {
            check_at_position(&format!("{path}.{key}[{index}]"), child, &nested, errors);
        }
    }
    for (name, child) in object_entries(schema, "definitions") {
        check_at_position(&format!("{path}.definitions[{name}]"), child, &nested, errors);
    }
    if let Some(items) = child("items") {
        check_at_position(&format!("{path}.items"), items, &nested, errors);
    }
    for (index, item) in list_keyword(schema, "items").iter().enumerate() {
        check_at_position(&format!("{path}.items[{index}]"), item, &nested, errors);
    }
    for (name, child) in object_entries(schema, "dependencies").filter(|(_, child)| child.is_object()) {
        check_at_position(&format!("{path}.dependencies[{name}]"), child, &nested, errors);
    }
    if schema.get(PRESERVE_UNKNOWN_FIELDS) == Some(&Value::Bool(false)) {
        errors.push(FieldError::invalid(
            format!("{path}.{PRESERVE_UNKNOWN_FIELDS}"),
            false,
            "must be true or undefined",
        ));
    }
    check_extensions(path, schema, string_keyword(schema, "type"), errors);
    check_cel_rules(path, schema, errors);
}

const PRESERVE_UNKNOWN_FIELDS: &str = "x-kubernetes-preserve-unknown-fields";

/// Checks `properties` and `additionalProperties`. `position` is that of the schema; `nested` is the position of its
/// subschemas.
fn check_fields(
    path: &str,
    schema: &Value,
    position: &SchemaPosition,
    nested: &SchemaPosition,
    errors: &mut Vec<FieldError>,
) {
    let additional = schema.get("additionalProperties");
    let excludes_properties = additional.is_some_and(|additional| *additional != Value::Bool(true));
    if excludes_properties && object_entries(schema, "properties").next().is_some() {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), why));
    }
    if let Some(additional) = additional.filter(|additional| additional.is_object()) {
        let mut position = nested.clone();
        if position.in_object_fields {
            position.no_default = Some("inside additionalProperties applying to object metadata".to_owned());
        }
        check_at_position(&format!("{path}.additionalProperties"), additional, &position, errors);
    }
    for (name, property) in object_entries(schema, "properties") {
        let mut nested = nested.clone();
        let has_object_fields = position.is_root || bool_keyword(schema, "x-kubernetes-embedded-resource");
        if has_object_fields && matches!(name, "apiVersion" | "kind" | "metadata") {
            nested.in_object_fields = true;
            if position.is_root {
                nested.no_default = Some(format!("in top-level {name}"));
            }
        }
        check_at_position(&format!("{path}.properties[{name}]"), property, &nested, errors);
    }
}

/// The unsupported keywords. `$schema` is not in this list, because only [`unsupported_construct`] reports it. `items` is
/// not in this list, because CRDs support `items` with one schema.
const UNSUPPORTED_KEYWORDS: [&str; 6] =
    ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"];

/// Checks the type, the keywords that CRDs never support, and the keywords that CRDs do not support at `position`.
fn check_keywords(path: &str, schema: &Value, position: &SchemaPosition, errors: &mut Vec<FieldError>) {
    let kind = string_keyword(schema, "type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &TYPES));
    }
    let has_default = schema.get("default").is_some_and(|default| !default.is_null());
    if let Some(reason) = position.no_default.as_deref().filter(|_| has_default) {
        errors.push(FieldError::forbidden(format!("{path}.default"), format!("must not be set {reason}")));
    }
    for key in UNSUPPORTED_KEYWORDS {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(format!("{path}.{key}"), format!("{key} is not supported")));
        }
    }
    if kind == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(format!("{path}.type"), why));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let why = "items must be a schema object and not an array";
        errors.push(FieldError::forbidden(format!("{path}.items"), why));
    }
    if position.in_object_fields && bool_keyword(schema, "x-kubernetes-embedded-resource") {
        let why = "must not be used inside of resource meta";
        errors.push(FieldError::forbidden(format!("{path}.x-kubernetes-embedded-resource"), why));
    }
}

/// The error text for the first construct of the schema that a structural schema cannot represent. The API server does
/// not check whether a schema with this construct is structural.
pub(super) fn unsupported_construct(schema: &Value) -> Option<String> {
    let order =
        ["id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions"];
    let is_set = |key: &str| match schema.get(key) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    };
    if let Some(key) = order.into_iter().find(|key| is_set(key)) {
        let name = if key == "$schema" { "schema" } else { key };
        return Some(format!("OpenAPIV3Schema '{name}' is not supported"));
    }
    if schema.get(PRESERVE_UNKNOWN_FIELDS) == Some(&Value::Bool(false)) {
        return Some(format!("internal error: '{PRESERVE_UNKNOWN_FIELDS}' must be true or undefined"));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        return Some("OpenAPIV3Schema 'items' must be a schema, but is an array".to_owned());
    }
    subschemas(schema).find_map(unsupported_construct)
}

/// Checks the extensions that specify the types of lists and maps.
fn check_extensions(path: &str, schema: &Value, kind: &str, errors: &mut Vec<FieldError>) {
    let types = [
        ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", "array", &["atomic", "set", "map"][..]),
    ];
    for (extension, expected, allowed) in types {
        let Some(found) = schema.get(extension).and_then(Value::as_str) else { continue };
        if kind != expected {
            let why = format!("must be {expected} if {extension} is specified");
            let field = format!("{path}.type");
            errors.push(match kind {
                "" => FieldError::required(field, why),
                kind => FieldError::invalid(field, kind, why),
            });
        } else if (extension, found) == ("x-kubernetes-list-type", "set") {
            check_set_items(path, schema, errors);
        }
        if !allowed.contains(&found) {
            errors.push(FieldError::not_supported(format!("{path}.{extension}"), found, allowed));
        }
    }
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
        _ => {}
    }
    check_nulls_and_keys(path, schema, keys, errors);
}

/// Checks that objects and arrays in a list of type `set` are atomic.
fn check_set_items(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let Some(items) = schema.get("items") else { return };
    let list_type = items.get("x-kubernetes-list-type").unwrap_or(&Value::Null);
    let (key, is_atomic) = match string_keyword(items, "type") {
        "object" => ("x-kubernetes-map-type", string_keyword(items, "x-kubernetes-map-type") == "atomic"),
        "array" => ("x-kubernetes-list-type", list_type.is_null() || list_type == "atomic"),
        _ => return,
    };
    if !is_atomic {
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        // As in the API server, the value in the error is the `x-kubernetes-list-type` of the items, even if
        // the field in the error is `x-kubernetes-map-type`.
        errors.push(FieldError::invalid(format!("{path}.items.{key}"), list_type.clone(), why));
    }
}

/// The number of errors after which the check of one list's keys stops. The API server has no limit.
const MAX_KEY_ERRORS: usize = 100;

/// Checks the keys and items of a list of type `map`.
fn check_list_map_items(path: &str, schema: &Value, keys: &[Value], errors: &mut Vec<FieldError>) {
    let keys_field = format!("{path}.x-kubernetes-list-map-keys");
    if keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(keys_field.as_str(), why));
    }
    let items = match schema.get("items") {
        Some(items) if items.is_object() => items,
        Some(other) => {
            let why = "must only have a single schema if x-kubernetes-list-type is map";
            let lists = other.as_array().map(|list| Value::from(list.clone()));
            let printed = serde_json::json!({"Schema": null, "JSONSchemas": lists});
            return errors.push(FieldError::invalid(format!("{path}.items"), printed, why));
        }
        None => {
            let why = "must have a schema if x-kubernetes-list-type is map";
            return errors.push(FieldError::required(format!("{path}.items"), why));
        }
    };
    let kind = string_keyword(items, "type");
    if kind != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.push(FieldError::invalid(format!("{path}.items.type"), kind, why));
    }
    let all = || Value::Array(keys.to_vec());
    let mut earlier = HashSet::new();
    let first = errors.len();
    for key in keys {
        // An error can contain all keys, so unlimited errors would take quadratic space.
        if errors.len() - first >= MAX_KEY_ERRORS {
            return;
        }
        let name = key.as_str().unwrap_or_default();
        match items.get("properties").and_then(|properties| properties.get(name)) {
            None => {
                let why = "entries must all be names of item properties";
                errors.push(FieldError::invalid(keys_field.as_str(), all(), why));
            }
            Some(property) if matches!(string_keyword(property, "type"), "object" | "array") => {
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                let field = format!("{path}.items.properties[{name}].type");
                errors.push(FieldError::invalid(field, kind, why));
            }
            Some(_) => {}
        }
        if !earlier.insert(name) {
            let why = "must not contain duplicate entries";
            errors.push(FieldError::invalid(keys_field.as_str(), all(), why));
        }
    }
}

/// Checks that the items of a list of type `set` or `map` are not nullable, and that each key of a list of type `map` is
/// required or has a default, and is not nullable.
fn check_nulls_and_keys(path: &str, schema: &Value, keys: &[Value], errors: &mut Vec<FieldError>) {
    let list_type = string_keyword(schema, "x-kubernetes-list-type");
    let Some(items) = schema.get("items").filter(|items| items.is_object()) else { return };
    if !matches!(list_type, "set" | "map") {
        return;
    }
    if bool_keyword(items, "nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(format!("{path}.items.nullable"), why));
    }
    for key in keys.iter().filter(|_| list_type == "map") {
        let name = key.as_str().unwrap_or_default();
        let Some(property) = items.get("properties").and_then(|properties| properties.get(name)) else {
            continue;
        };
        let field = format!("{path}.items.properties[{name}]");
        let required = list_keyword(items, "required").contains(key);
        if !required && property.get("default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(format!("{field}.default"), why));
        }
        if bool_keyword(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(format!("{field}.nullable"), why));
        }
    }
}

/// Checks the CEL rules (`x-kubernetes-validations`), except for their expressions, which `crate::cel` compiles.
fn check_cel_rules(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    const REASONS: [&str; 4] =
        ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    let has_break = |text: &str| text.contains(['\n', '\r']);
    for (index, rule) in list_keyword(schema, "x-kubernetes-validations").iter().enumerate() {
        let at = |key: &str| format!("{path}.x-kubernetes-validations[{index}].{key}");
        let invalid = |key: &str, why: &str| FieldError::invalid(at(key), string_keyword(rule, key), why);
        let is_blank = |text: &str| !text.is_empty() && text.trim().is_empty();
        let (source, message) = (string_keyword(rule, "rule").trim(), string_keyword(rule, "message"));
        if source.is_empty() {
            errors.push(FieldError::required(at("rule"), "rule is not specified"));
        } else if is_blank(message) {
            errors.push(invalid("message", "must be non-empty if specified"));
        } else if has_break(message.trim()) {
            errors.push(invalid("message", "must not contain line breaks"));
        } else if has_break(source) && message.is_empty() {
            let why = "message must be specified if rule contains line breaks";
            errors.push(FieldError::required(at("message"), why));
        }
        if is_blank(string_keyword(rule, "messageExpression")) {
            let why = "messageExpression must be non-empty if specified";
            errors.push(FieldError::required(at("messageExpression"), why));
        }
        let reason = rule.get("reason").and_then(Value::as_str);
        if let Some(reason) = reason.filter(|reason| !REASONS.contains(reason)) {
            errors.push(FieldError::not_supported(at("reason"), reason, &REASONS));
        }
        let field_path = string_keyword(rule, "fieldPath");
        if is_blank(field_path) {
            errors.push(invalid("fieldPath", "must be non-empty if specified"));
        }
        if has_break(field_path) {
            errors.push(invalid("fieldPath", "must not contain line breaks"));
        }
        if !field_path.is_empty() && super::super::field_path(field_path, schema).is_err() {
            errors.push(invalid("fieldPath", "must be a valid path"));
        }
    }
}
