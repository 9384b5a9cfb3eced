//! Whether the schema of a custom resource is one that a server accepts.
//!
//! Owns the rules of structural schemas: every part has a type, nothing is decided inside logical junctors, extensions are
//! used where they belong, defaults fit. It works on the schema as written, so that it can name what is wrong where.

use serde_json::{Map, Value};

use super::field_error::FieldError;
use super::node::Schema;
use super::{default, prune, validate};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// Everything that a server has against `schema`, whose place in its CRD is `path`.
pub(super) fn check(path: &str, schema: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if flag(schema, "nullable") {
        errors.push(FieldError::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    let mut structural = Vec::new();
    if mentions(schema, "$ref") {
        forbidden_constructs(path, schema, &mut errors);
    } else {
        invariants(path, schema, Level::Root, &mut structural);
        completeness(path, path, schema, schema, &mut structural);
        structural.sort_by_key(ToString::to_string);
        errors.extend(structural);
    }
    open_api(path, schema, &mut errors);
    if errors.is_empty() {
        defaults(path, schema, &mut errors);
    }
    errors
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The parts that carry structure.
fn invariants(path: &str, schema: &Value, level: Level, errors: &mut Vec<FieldError>) {
    let kind = text(schema, "type");
    let preserve = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let int_or_string = flag(schema, "x-kubernetes-int-or-string");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    if kind == "array" && schema.get("items").is_none() {
        errors.push(FieldError::required(format!("{path}.items"), "must be specified"));
    }
    if let Some(items) = schema.get("items") {
        invariants(&format!("{path}.items"), items, Level::Item, errors);
    }
    for (name, property) in entries(schema, "properties") {
        // Metadata at the root is judged on its own below.
        if !(level == Level::Root && name == "metadata") {
            invariants(&format!("{path}.properties[{name}]"), property, Level::Field, errors);
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
            invariants(&path, additional, Level::Field, errors);
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
    junctors(path, schema, errors);
    missing_type(path, kind, level, int_or_string || preserve, embedded, errors);
    object_fields(path, schema, level, embedded, errors);
    if embedded && !preserve && entries(schema, "properties").next().is_none() {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(format!("{path}.properties"), why));
    }
}

fn missing_type(
    path: &str,
    kind: &str,
    level: Level,
    free: bool,
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
    } else if kind.is_empty() && !free {
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

/// `apiVersion`, `kind` and `metadata` of an object are given; a schema may only restrict the object's name.
fn object_fields(path: &str, schema: &Value, level: Level, embedded: bool, errors: &mut Vec<FieldError>) {
    if level != Level::Root && !embedded {
        return;
    }
    for (name, expected) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
        let Some(property) = schema.get("properties").and_then(|properties| properties.get(name)) else {
            continue;
        };
        let found = text(property, "type");
        if found != expected {
            let field = format!("{path}.properties[{name}].type");
            errors.push(FieldError::invalid(field, found, format!("must be {expected}")));
        }
        if name == "metadata" && level == Level::Root && !restricts_names_only(property) {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(FieldError::forbidden(format!("{path}.properties[metadata]"), why));
        }
    }
}

fn restricts_names_only(metadata: &Value) -> bool {
    let known = |key: &str| matches!(key, "type" | "properties" | "default" | "description");
    let names = |(name, _): (&str, &Value)| matches!(name, "name" | "generateName");
    metadata.as_object().is_some_and(|map| map.keys().all(|key| known(key)))
        && entries(metadata, "properties").all(names)
}

/// `allOf`, `anyOf`, `oneOf` and `not` may restrict values, and nothing else; so may `pattern`.
fn junctors(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let int_or_string = serde_json::json!([{"type": "integer"}, {"type": "string"}]);
    let any_of_is_given = schema.get("anyOf") == Some(&int_or_string);
    for key in ["anyOf", "allOf", "oneOf"] {
        if key == "anyOf" && any_of_is_given {
            continue;
        }
        for (index, nested) in list(schema, key).iter().enumerate() {
            let path = format!("{path}.{key}[{index}]");
            let first = key == "allOf" && index == 0 && nested.get("anyOf") == Some(&int_or_string);
            nested_value(&path, nested, first, errors);
        }
    }
    if let Some(not) = schema.get("not") {
        nested_value(&format!("{path}.not"), not, false, errors);
    }
    let pattern = text(schema, "pattern");
    if let Err(error) = regex::Regex::new(pattern) {
        let why = format!("must be a valid regular expression, but isn't: {}", one_line(&error));
        errors.push(FieldError::invalid(format!("{path}.pattern"), pattern, why));
    }
}

fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn nested_value(path: &str, nested: &Value, skip_any_of: bool, errors: &mut Vec<FieldError>) {
    if skip_any_of {
        let mut rest = nested.clone();
        rest.as_object_mut().map(|map| map.remove("anyOf"));
        junctors(path, &rest, errors);
    } else {
        junctors(path, nested, errors);
    }
    if let Some(items) = nested.get("items") {
        nested_value(&format!("{path}.items"), items, false, errors);
    }
    for (name, property) in entries(nested, "properties") {
        let path = format!("{path}.properties[{name}]");
        if name == "metadata" {
            errors.push(FieldError::forbidden(path.as_str(), "must not be specified in a nested context"));
        }
        nested_value(&path, property, false, errors);
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

/// What a junctor mentions must be declared outside of it.
fn completeness(path: &str, mentioned: &str, nested: &Value, schema: &Value, errors: &mut Vec<FieldError>) {
    let mut visit = |mentioned: String, nested: &Value| {
        completeness(path, &mentioned, nested, schema, errors);
        if let Some(items) = nested.get("items") {
            declared(
                &format!("{path}.items"),
                &format!("{mentioned}.items"),
                items,
                schema.get("items"),
                errors,
            );
        }
        for (name, property) in entries(nested, "properties") {
            let declaration = schema.get("properties").and_then(|properties| properties.get(name));
            let step = format!(".properties[{name}]");
            declared(&format!("{path}{step}"), &format!("{mentioned}{step}"), property, declaration, errors);
        }
    };
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, nested) in list(nested, key).iter().enumerate() {
            visit(format!("{mentioned}.{key}[{index}]"), nested);
        }
    }
    if let Some(not) = nested.get("not") {
        visit(format!("{mentioned}.not"), not);
    }
}

fn declared(
    path: &str,
    mentioned: &str,
    nested: &Value,
    schema: Option<&Value>,
    errors: &mut Vec<FieldError>,
) {
    match schema {
        None => {
            errors.push(FieldError::required(path, format!("because it is defined in {mentioned}")));
        }
        Some(schema) => {
            let wrapped = serde_json::json!({"allOf": [nested]});
            // Going through one more junctor visits what `nested` itself mentions; its name is corrected by cutting it.
            let mut found = Vec::new();
            completeness(path, mentioned, &wrapped, schema, &mut found);
            for mut error in found {
                error.detail = error.detail.replacen(&format!("{mentioned}.allOf[0]"), mentioned, 1);
                errors.push(error);
            }
        }
    }
}

/// The rules of OpenAPI v3 as CRDs use it, and of the extensions for lists and maps.
fn open_api(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let kind = text(schema, "type");
    if flag(schema, "uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(format!("{path}.uniqueItems"), why));
    }
    let additional = schema.get("additionalProperties");
    if let Some(additional) = additional.filter(|additional| additional.is_object()) {
        if entries(schema, "properties").next().is_some() {
            let why = "additionalProperties and properties are mutual exclusive";
            errors.push(FieldError::forbidden(format!("{path}.additionalProperties"), why));
        }
        open_api(&format!("{path}.additionalProperties"), additional, errors);
    }
    for (name, property) in entries(schema, "properties") {
        open_api(&format!("{path}.properties[{name}]"), property, errors);
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        for (index, nested) in list(schema, key).iter().enumerate() {
            open_api(&format!("{path}.{key}[{index}]"), nested, errors);
        }
    }
    for key in ["not", "items"] {
        if let Some(nested) = schema.get(key).filter(|nested| nested.is_object()) {
            open_api(&format!("{path}.{key}"), nested, errors);
        }
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(field, false, "must be true or undefined"));
    }
    extensions(path, schema, kind, errors);
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(format!("{path}.type"), kind, &TYPES));
    }
    if !mentions(schema, "$ref") {
        forbidden_constructs(path, schema, errors);
    }
    rules(path, schema, errors);
}

fn extensions(path: &str, schema: &Value, kind: &str, errors: &mut Vec<FieldError>) {
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
    let one_of = |key: &str, allowed: &[&str], errors: &mut Vec<FieldError>| {
        if let Some(value) = schema.get(key).and_then(Value::as_str).filter(|value| !allowed.contains(value))
        {
            errors.push(FieldError::not_supported(format!("{path}.{key}"), value, allowed));
        }
    };
    one_of("x-kubernetes-map-type", &["atomic", "granular"], errors);
    one_of("x-kubernetes-list-type", &["atomic", "set", "map"], errors);
    let keys = list(schema, "x-kubernetes-list-map-keys");
    match text(schema, "x-kubernetes-list-type") {
        "map" => list_of_maps(path, schema, keys, errors),
        other if !keys.is_empty() => {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            let field = format!("{path}.x-kubernetes-list-type");
            errors.push(match other {
                "" => FieldError::required(field, why),
                other => FieldError::invalid(field, other, why),
            });
        }
        "set" => set_of_atoms(path, schema, errors),
        _ => {}
    }
}

/// The items of a set count as one value each.
fn set_of_atoms(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    let Some(items) = schema.get("items") else { return };
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let key = match text(items, "type") {
        "object" => "x-kubernetes-map-type",
        "array" => "x-kubernetes-list-type",
        _ => return,
    };
    let found = items.get(key).cloned().unwrap_or(Value::Null);
    let fits = found == "atomic" || (found.is_null() && key == "x-kubernetes-list-type");
    if !fits {
        errors.push(FieldError::invalid(format!("{path}.items.{key}"), found, why));
    }
    if flag(items, "nullable") {
        let why = "cannot be nullable when x-kubernetes-list-type is set";
        errors.push(FieldError::forbidden(format!("{path}.items.nullable"), why));
    }
}

fn list_of_maps(path: &str, schema: &Value, keys: &[Value], errors: &mut Vec<FieldError>) {
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
    if text(items, "type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(format!("{path}.items.type"), text(items, "type"), why));
    }
    if flag(items, "nullable") {
        let why = "cannot be nullable when x-kubernetes-list-type is map";
        errors.push(FieldError::forbidden(format!("{path}.items.nullable"), why));
    }
    let all = || Value::Array(keys.to_vec());
    let mut needing = Vec::new();
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
        if matches!(text(property, "type"), "object" | "array") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(format!("{field}.type"), text(items, "type"), why));
        }
        let required = list(items, "required").contains(key);
        if !required && property.get("default").is_none() {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            needing.push(FieldError::required(format!("{field}.default"), why));
        }
        if flag(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            needing.push(FieldError::forbidden(format!("{field}.nullable"), why));
        }
    }
    errors.extend(needing);
}

fn forbidden_constructs(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    if text(schema, "type") == "null" {
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
        for (name, property) in entries(schema, "properties") {
            forbidden_constructs(&format!("{path}.properties[{name}]"), property, errors);
        }
        for key in ["items", "additionalProperties", "not"] {
            if let Some(nested) = schema.get(key).filter(|nested| nested.is_object()) {
                forbidden_constructs(&format!("{path}.{key}"), nested, errors);
            }
        }
    }
}

/// What can be said of CEL rules without compiling them.
fn rules(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
    for (index, rule) in list(schema, "x-kubernetes-validations").iter().enumerate() {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        let message = rule.get("message").and_then(Value::as_str);
        if text(rule, "rule").trim().is_empty() {
            errors.push(FieldError::required(format!("{path}.rule"), "rule is not specified"));
        } else if text(rule, "rule").trim().contains('\n') && message.is_none_or(str::is_empty) {
            let why = "message must be specified if rule contains line breaks";
            errors.push(FieldError::required(format!("{path}.message"), why));
        } else if message.is_some_and(|message| message.trim().contains('\n')) {
            let why = "must not contain line breaks";
            errors.push(FieldError::invalid(format!("{path}.message"), message.unwrap_or_default(), why));
        }
        let reasons =
            ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
        if let Some(reason) =
            rule.get("reason").and_then(Value::as_str).filter(|reason| !reasons.contains(reason))
        {
            errors.push(FieldError::not_supported(format!("{path}.reason"), reason, &reasons));
        }
    }
}

/// A default must be a value that the schema accepts without dropping any of it.
fn defaults(path: &str, schema: &Value, errors: &mut Vec<FieldError>) {
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
        default(&wrapped, &mut object);
        for mut error in validate(&wrapped, &object) {
            let below = error.field.strip_prefix('v').unwrap_or(&error.field).to_owned();
            error.field = format!("{field}{below}");
            let told = error.detail.strip_prefix('v').map(|rest| rest.trim_start_matches('.').to_owned());
            error.detail = told.unwrap_or(error.detail);
            errors.push(error);
        }
    }
    for (name, property) in entries(schema, "properties") {
        defaults(&format!("{path}.properties[{name}]"), property, errors);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(nested) = schema.get(key).filter(|nested| nested.is_object()) {
            defaults(&format!("{path}.{key}"), nested, errors);
        }
    }
}

/// Whether a key is used as a keyword anywhere in the structure.
fn mentions(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).is_some()
        || entries(schema, "properties").any(|(_, property)| mentions(property, keyword))
        || ["items", "additionalProperties", "not"]
            .iter()
            .filter_map(|key| schema.get(key))
            .any(|nested| mentions(nested, keyword))
}

fn entries<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let map = schema.get(key).and_then(Value::as_object);
    map.into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).and_then(Value::as_bool).unwrap_or(false)
}
