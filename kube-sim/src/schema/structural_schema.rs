//! Validation of structural schemas.
//!
//! This module owns the rules of structural schemas: every value has a type, logical junctors (`allOf`, `anyOf`,
//! `oneOf`, `not`) only restrict values, and defaults are valid. This module reads the JSON of the schema instead of
//! a parsed [`Schema`], because errors contain the paths of keywords.

mod open_api;
mod root;

use serde_json::{Map, Value};

use super::field_error::FieldError;
use super::node::Schema;
use super::validate::type_and_format_of;
use super::{apply_defaults, go_regex, prune, validate};

/// The result of [`check`].
pub(super) struct CheckResult {
    pub(super) errors: Vec<FieldError>,
    /// Whether the schema is structural and its defaults are valid.
    pub(super) is_structural: bool,
}

/// Validates `schema`, whose path in its CRD is `path`. `has_status` is true if a version with the schema has a status
/// subresource.
pub(super) fn check(path: &str, schema: &Value, has_status: bool) -> CheckResult {
    let mut errors = Vec::new();
    if has_status {
        root::check(path, schema, &mut errors);
    }
    if bool_keyword(schema, "nullable") {
        errors.push(FieldError::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    let unsupported = open_api::unsupported_construct(schema);
    let mut structural_errors = Vec::new();
    if unsupported.is_none() {
        check_invariants(path, schema, Level::Root, &mut structural_errors);
        check_completeness(path, path, schema, schema, &mut structural_errors);
        structural_errors.sort_by_key(ToString::to_string);
        if structural_errors.is_empty() {
            check_defaults(path, schema, &mut structural_errors);
        }
    }
    let is_structural = unsupported.is_none() && structural_errors.is_empty();
    errors.extend(structural_errors);
    open_api::check(path, schema, &mut errors);
    // Report the unsupported construct only if there is no other error: unless it is `$schema`,
    // `open_api::check` has already reported it.
    if let Some(problem) = unsupported.filter(|_| errors.is_empty()) {
        errors.push(FieldError::invalid(path, "", problem));
    }
    CheckResult { errors, is_structural }
}

/// Whether the schema or one of its subschemas has a default.
pub(super) fn has_default(schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| !default.is_null()) || subschemas(schema).any(has_default)
}

/// The position of a subschema: the root of the CRD's schema, the items of a list, or a field.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Checks the type, properties, items, extensions and logical junctors of a schema that is not inside a logical
/// junctor.
fn check_invariants(path: &str, schema: &Value, level: Level, errors: &mut Vec<FieldError>) {
    let kind = string_keyword(schema, "type");
    let preserve = bool_keyword(schema, "x-kubernetes-preserve-unknown-fields");
    let int_or_string = bool_keyword(schema, "x-kubernetes-int-or-string");
    let embedded = bool_keyword(schema, "x-kubernetes-embedded-resource");
    let items = schema.get("items").filter(|items| items.is_object());
    if kind == "array" && items.is_none() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    if let Some(items) = items {
        check_invariants(&format!("{path}.items"), items, Level::Item, errors);
    }
    for (name, property) in object_entries(schema, "properties") {
        // `check_object_fields` checks the property `metadata` of the root schema.
        if !(level == Level::Root && name == "metadata") {
            check_invariants(&format!("{path}.properties[{name}]"), property, Level::Field, errors);
        }
    }
    if let Some(additional) = schema.get("additionalProperties") {
        let path = format!("{path}.additionalProperties");
        if level == Level::Root {
            errors.push(FieldError::forbidden(path.as_str(), "must not be used at the root"));
        }
        if embedded {
            let why = "must not be used if x-kubernetes-embedded-resource is set";
            errors.push(FieldError::forbidden(path.as_str(), why));
        }
        if additional.is_object() {
            check_invariants(&path, additional, Level::Field, errors);
        }
    }
    for (extension, set) in
        [("x-kubernetes-preserve-unknown-fields", preserve), ("x-kubernetes-embedded-resource", embedded)]
    {
        if int_or_string && set {
            let why = "must be false if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(format!("{path}.{extension}"), true, why));
        }
    }
    check_junctors(path, schema, errors);
    check_type(path, kind, level, int_or_string || preserve, embedded, errors);
    check_object_fields(path, schema, level, embedded, errors);
    if embedded && !preserve && object_entries(schema, "properties").next().is_none() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(format!("{path}.properties"), why));
    }
}

/// Checks that the schema specifies a type unless `type_is_optional` is set, and that the root and embedded resources
/// are objects.
fn check_type(
    path: &str,
    kind: &str,
    level: Level,
    type_is_optional: bool,
    embedded: bool,
    errors: &mut Vec<FieldError>,
) {
    let field = format!("{path}.type");
    if embedded && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => FieldError::required(field, why),
            kind => FieldError::invalid(field, kind, why),
        });
    } else if kind.is_empty() && !type_is_optional {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(field, why));
    } else if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(field, kind, "must be object at the root"));
    }
}

/// Checks the properties `apiVersion`, `kind` and `metadata`. The API server supplies their schemas, so a CRD may only
/// add restrictions. In the metadata of the root, a CRD may restrict only `name` and `generateName`.
fn check_object_fields(
    path: &str,
    schema: &Value,
    level: Level,
    embedded: bool,
    errors: &mut Vec<FieldError>,
) {
    if level != Level::Root && !embedded {
        return;
    }
    for (name, expected) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
        let Some(property) = schema.get("properties").and_then(|properties| properties.get(name)) else {
            continue;
        };
        let found = string_keyword(property, "type");
        if found != expected {
            let field = format!("{path}.properties[{name}].type");
            errors.push(FieldError::invalid(field, found, format!("must be {expected}")));
        }
        if name == "metadata" && level == Level::Root && !restricts_only_name_fields(property) {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(FieldError::forbidden(format!("{path}.properties[metadata]"), why));
        }
    }
}

fn restricts_only_name_fields(metadata: &Value) -> bool {
    let is_allowed = |key: &str| matches!(key, "type" | "properties" | "default" | "description");
    let is_name_field = |(name, _): (&str, &Value)| matches!(name, "name" | "generateName");
    metadata.as_object().is_some_and(|map| map.keys().all(|key| is_allowed(key)))
        && object_entries(metadata, "properties").all(is_name_field)
}

/// Checks that the logical junctors contain only value validations, and that `pattern` compiles. Skips an `anyOf` that
/// lists the types integer and string.
fn check_junctors(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let int_or_string = serde_json::json!([{"type": "integer"}, {"type": "string"}]);
    let any_of_is_int_or_string = schema.get("anyOf") == Some(&int_or_string);
    for key in ["anyOf", "allOf", "oneOf"] {
        if key == "anyOf" && any_of_is_int_or_string {
            continue;
        }
        for (index, nested) in list_keyword(schema, key).iter().enumerate() {
            let path = format!("{path}.{key}[{index}]");
            let skip_any_of = key == "allOf" && index == 0 && nested.get("anyOf") == Some(&int_or_string);
            check_nested_value_validation(&path, nested, skip_any_of, errors);
        }
    }
    if let Some(not) = schema.get("not") {
        check_nested_value_validation(&format!("{path}.not"), not, false, errors);
    }
    let pattern = string_keyword(schema, "pattern");
    if let Err(error) = go_regex::compile(pattern) {
        let why = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(FieldError::invalid(format!("{path}.pattern"), pattern, why));
    }
}

/// Checks that `nested`, a subschema of a logical junctor, contains only value validations. Does not check its `anyOf`
/// if `skip_any_of` is set.
fn check_nested_value_validation(
    path: &str,
    nested: &Value,
    skip_any_of: bool,
    errors: &mut Vec<FieldError>,
) {
    if skip_any_of {
        let mut rest = nested.clone();
        rest.as_object_mut().map(|map| map.remove("anyOf"));
        check_junctors(path, &rest, errors);
    } else {
        check_junctors(path, nested, errors);
    }
    if let Some(items) = nested.get("items") {
        check_nested_value_validation(&format!("{path}.items"), items, false, errors);
    }
    for (name, property) in object_entries(nested, "properties") {
        let path = format!("{path}.properties[{name}]");
        if name == "metadata" {
            errors.push(FieldError::forbidden(path.as_str(), "must not be specified in a nested context"));
        }
        check_nested_value_validation(&path, property, false, errors);
    }
    let forbidden = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ];
    for (key, why) in forbidden {
        let empty = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if nested.get(key).is_some_and(|value| !empty(value)) {
            errors.push(FieldError::forbidden(format!("{path}.{key}"), why));
        }
    }
}

/// Checks structural completeness: a field in a logical junctor must also be specified outside of logical junctors.
/// `schema` is a schema outside of logical junctors, and `path` is its path. `nested` is either `schema`
/// itself, or a schema that restricts the same value inside a logical junctor. `nested_path` is the path of
/// `nested`.
fn check_completeness(
    path: &str,
    nested_path: &str,
    nested: &Value,
    schema: &Value,
    errors: &mut Vec<FieldError>,
) {
    let mut visit = |nested_path: String, nested: &Value| {
        check_completeness(path, &nested_path, nested, schema, errors);
        if let Some(items) = nested.get("items") {
            check_declaration(
                &format!("{path}.items"),
                &format!("{nested_path}.items"),
                items,
                schema.get("items"),
                errors,
            );
        }
        for (name, property) in object_entries(nested, "properties") {
            let declaration = schema.get("properties").and_then(|properties| properties.get(name));
            let step = format!(".properties[{name}]");
            check_declaration(
                &format!("{path}{step}"),
                &format!("{nested_path}{step}"),
                property,
                declaration,
                errors,
            );
        }
    };
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, nested) in list_keyword(nested, key).iter().enumerate() {
            visit(format!("{nested_path}.{key}[{index}]"), nested);
        }
    }
    if let Some(not) = nested.get("not") {
        visit(format!("{nested_path}.not"), not);
    }
}

/// Checks that the field at `path`, which `nested` restricts in a logical junctor, is also specified outside of logical
/// junctors. `schema` is the schema of the field outside of logical junctors; `None` if the field is not specified.
fn check_declaration(
    path: &str,
    nested_path: &str,
    nested: &Value,
    schema: Option<&Value>,
    errors: &mut Vec<FieldError>,
) {
    match schema {
        None => {
            errors.push(FieldError::required(path, format!("because it is defined in {nested_path}")));
        }
        Some(schema) => {
            let wrapped = serde_json::json!({"allOf": [nested]});
            // `check_completeness` visits only subschemas of logical junctors, so `nested` is wrapped in `allOf`. The
            // errors must not contain the path of the wrapper.
            let mut found = Vec::new();
            check_completeness(path, nested_path, &wrapped, schema, &mut found);
            for mut error in found {
                error.detail = error.detail.replacen(&format!("{nested_path}.allOf[0]"), nested_path, 1);
                errors.push(error);
            }
        }
    }
}

/// Checks that each default outside of `additionalProperties` is valid, and that pruning would not change it.
fn check_defaults(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    if let Some(declared) = schema.get("default").filter(|declared| !declared.is_null()) {
        let field = format!("{path}.default");
        let wrapped = Schema::of_custom_resource(&serde_json::json!({"properties": {"v": schema}}));
        let mut object = serde_json::json!({"v": declared});
        if !prune(&wrapped, &mut object).is_empty() {
            errors.push(FieldError::invalid(
                field.as_str(),
                declared.clone(),
                "must not have unknown fields",
            ));
        }
        let kind = string_keyword(schema, "type");
        if !kind.is_empty() && !open_api::TYPES.contains(&kind) {
            let (found, _) = type_and_format_of(declared);
            let why = format!(" in body must be of type {kind}: \"{found}\"");
            errors.push(FieldError::type_invalid(field.as_str(), found, why));
        }
        apply_defaults(&wrapped, &mut object);
        for mut error in validate(&wrapped, &object) {
            let below = error
                .field
                .strip_prefix("<nil>")
                .or(error.field.strip_prefix("v"))
                .unwrap_or(&error.field)
                .to_owned();
            error.field = format!("{field}{below}");
            error.detail = remove_wrapper_path(&error.detail);
            errors.push(error);
        }
    }
    // As in the API server, the defaults in `additionalProperties` are not checked.
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        check_defaults(&format!("{path}.items"), items, errors);
    }
    for (name, property) in object_entries(schema, "properties") {
        check_defaults(&format!("{path}.properties[{name}]"), property, errors);
    }
}

/// Removes the path `v` from the text of an error about a default. [`check_defaults`] adds this path for validation.
fn remove_wrapper_path(detail: &str) -> String {
    if let Some(rest) = detail.strip_prefix('v').filter(|rest| rest.starts_with(['.', '[', ' '])) {
        // The server prints the path in this error with a leading dot.
        let keeps_dot = detail.ends_with(" is a forbidden property");
        return if keeps_dot { rest.to_owned() } else { rest.trim_start_matches('.').to_owned() };
    }
    detail.strip_suffix(" in v").map_or_else(|| detail.to_owned(), |rest| format!("{rest} in "))
}

/// The direct subschemas of a schema.
fn subschemas(schema: &Value) -> impl Iterator<Item = &Value> {
    let maps = ["properties", "patternProperties", "definitions", "dependencies"];
    let lists = ["allOf", "anyOf", "oneOf", "items"];
    let single = ["items", "additionalProperties", "additionalItems", "not"];
    maps.into_iter()
        .flat_map(move |key| object_entries(schema, key).map(|(_, nested)| nested))
        .chain(lists.into_iter().flat_map(move |key| list_keyword(schema, key)))
        .chain(single.into_iter().filter_map(move |key| schema.get(key)))
        .filter(|nested| nested.is_object())
}

fn object_entries<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let map = schema.get(key).and_then(Value::as_object);
    map.into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn list_keyword<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn string_keyword<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn bool_keyword(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}
