//! Rewrites the keywords of a single node: keeps the keywords that Kubernetes supports, translates some other keywords,
//! and drops the rest.
//!
//! This module must not read subschemas.

use serde_json::{Number, Value, json};

use super::{JsonObject, nullable, rewrite::Rewriter};

/// Formats that the API server supports. The server returns a warning for other formats.
const SUPPORTED_FORMATS: &[&str] = &[
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "date-time",
    "datetime",
    "int32",
    "int64",
    "float",
    "double",
    "k8s-short-name",
    "k8s-long-name",
];

/// Keywords that `convert_keywords` drops without a report. Most are annotations or apply to whole documents.
const IGNORED_KEYWORDS: &[&str] = &[
    "$schema",
    "$id",
    "$defs",
    "$comment",
    "$anchor",
    "definitions",
    "components",
    "examples",
    "readOnly",
    "writeOnly",
    "deprecated",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "discriminator",
    "xml",
    "propertyNames",
    "externalDocs",
    "minContains",
    "maxContains",
    "additionalItems",
];

/// Converts the JSON schema keywords of a node into keywords of structural schemas.
pub(super) fn convert_keywords(rewriter: &mut Rewriter, node: &mut JsonObject) {
    convert_type_list(rewriter, node);
    if let Some(value) = node.remove("const") {
        node.insert("enum".to_owned(), json!([value]));
    }
    if let Some(values) = node.remove("unevaluatedProperties") {
        node.entry("additionalProperties").or_insert(values);
    }
    if let Some(rest_items) = node.remove("unevaluatedItems").or_else(|| {
        // In a node with `prefixItems`, `items` is the schema of the items after the prefix. A tuple has `items: false`.
        node.contains_key("prefixItems").then(|| node.remove("items")).flatten()
    }) && rest_items != Value::Bool(false)
    {
        rewriter.report("items after `prefixItems` cannot have a separate schema", "use a list or a struct");
    }
    convert_exclusive_bound(node, "exclusiveMinimum", "minimum");
    convert_exclusive_bound(node, "exclusiveMaximum", "maximum");
    convert_format(node);
    if node.get("default").is_some_and(Value::is_null) {
        node.remove("default");
    }
    // The server rejects a schema that sets this keyword to `false`.
    if node.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        node.remove("x-kubernetes-preserve-unknown-fields");
    }
    if let Some(list) = node.get("items").and_then(Value::as_array).cloned() {
        node.remove("items");
        node.insert("prefixItems".to_owned(), Value::Array(list));
    }
    let unsupported: Vec<String> =
        node.iter().filter(|(key, value)| !is_supported(key, value)).map(|(k, _)| k.clone()).collect();
    for key in unsupported {
        node.remove(&key);
        let foreign = key.starts_with("x-") && !key.starts_with("x-kubernetes-");
        if !IGNORED_KEYWORDS.contains(&key.as_str()) && !foreign {
            rewriter.report(
                format!("the keyword {key:?} is not supported in Kubernetes schemas, or not with this value"),
                "remove it from the schema attributes, or use a validation rule",
            );
        }
    }
}

/// Rewrites a list of types: `[T, null]` becomes `T` with `nullable`, and `[integer, string]` becomes
/// `x-kubernetes-int-or-string`. `[integer, number]` becomes `number`. For any other list of several types, reports a
/// problem and removes the type.
fn convert_type_list(rewriter: &mut Rewriter, node: &mut JsonObject) {
    let Some(Value::Array(list)) = node.get("type") else {
        nullable::rewrite_null_type(node);
        return;
    };
    let mut names: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let all = names.len();
    names.retain(|name| name != "null");
    if names.len() < all {
        nullable::set_nullable(node);
    }
    names.sort_unstable();
    node.remove("type");
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => nullable::accept_null_and_empty_object(node),
        [one] => {
            node.insert("type".to_owned(), json!(one));
        }
        ["integer", "number"] => {
            node.insert("type".to_owned(), json!("number"));
        }
        ["integer", "string"] => {
            node.insert("x-kubernetes-int-or-string".to_owned(), Value::Bool(true));
        }
        _ => {
            rewriter.report(
                format!(
                    "a structural schema cannot describe a value of several types ({})",
                    names.join(", ")
                ),
                "use a single type, or wrap each type in a struct",
            );
            for key in ["properties", "items", "required", "additionalProperties"] {
                node.remove(key);
            }
            node.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
        }
    }
}

/// Converts the JSON schema keyword `exclusiveMinimum: 5` into `minimum: 5, exclusiveMinimum: true`. Drops the
/// exclusive bound if the existing `minimum` is stricter. The same applies to a maximum.
fn convert_exclusive_bound(node: &mut JsonObject, exclusive: &str, bound: &str) {
    let Some(limit) = node.get(exclusive).and_then(Value::as_number).cloned() else { return };
    let tighter = match node.get(bound).and_then(Value::as_f64) {
        Some(other) if bound == "minimum" => limit.as_f64().is_some_and(|limit| limit >= other),
        Some(other) => limit.as_f64().is_some_and(|limit| limit <= other),
        None => true,
    };
    if tighter {
        node.insert(bound.to_owned(), Value::Number(limit));
        node.insert(exclusive.to_owned(), Value::Bool(true));
    } else {
        node.remove(exclusive);
    }
}

/// Removes a format that the server does not support. If the node is an integer and the removed format has up to 32 bits,
/// such as `uint8`, the node gets the minimum and the maximum of the format. A bound that the node already has is not
/// changed.
fn convert_format(node: &mut JsonObject) {
    let Some(format) = node.get("format").and_then(Value::as_str) else { return };
    if SUPPORTED_FORMATS.contains(&format) {
        return;
    }
    let range: Option<(i64, i64)> = match format {
        "int8" => Some((i64::from(i8::MIN), i64::from(i8::MAX))),
        "int16" => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
        "uint8" => Some((0, i64::from(u8::MAX))),
        "uint16" => Some((0, i64::from(u16::MAX))),
        "uint32" => Some((0, i64::from(u32::MAX))),
        _ => None,
    };
    node.remove("format");
    if let Some((min, max)) = range
        && type_of(node) == Some("integer")
    {
        node.entry("minimum").or_insert(Value::Number(Number::from(min)));
        node.entry("maximum").or_insert(Value::Number(Number::from(max)));
    }
}

/// Whether Kubernetes supports this keyword with this value. Also true for `prefixItems`, `patternProperties` and
/// `uniqueItems`, which `Rewriter` converts later.
fn is_supported(key: &str, value: &Value) -> bool {
    match key {
        "title"
        | "description"
        | "pattern"
        | "format"
        | "x-kubernetes-list-type"
        | "x-kubernetes-map-type" => value.is_string(),
        "type" => {
            matches!(value.as_str(), Some("object" | "array" | "string" | "integer" | "number" | "boolean"))
        }
        "minimum" | "maximum" | "multipleOf" => value.is_number(),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            value.as_i64().is_some_and(|count| count >= 0)
        }
        "exclusiveMinimum"
        | "exclusiveMaximum"
        | "uniqueItems"
        | "nullable"
        | "x-kubernetes-int-or-string"
        | "x-kubernetes-preserve-unknown-fields"
        | "x-kubernetes-embedded-resource" => value.is_boolean(),
        "enum" | "oneOf" | "anyOf" | "allOf" | "prefixItems" | "x-kubernetes-validations" => value.is_array(),
        "required" | "x-kubernetes-list-map-keys" => {
            value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
        }
        "properties" | "patternProperties" => value.is_object(),
        "items" | "additionalProperties" | "not" => value.is_object() || value.is_boolean(),
        "default" | "example" => true,
        _ => false,
    }
}

/// The value of the keyword `type`, if it is a single type.
pub(super) fn type_of(node: &JsonObject) -> Option<&str> {
    node.get("type").and_then(Value::as_str)
}

/// Whether the boolean keyword `key` is true.
pub(super) fn has_flag(node: &JsonObject, key: &str) -> bool {
    node.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// Whether a rewritten node accepts a value of any type.
pub(super) fn accepts_any_type(node: &JsonObject) -> bool {
    type_of(node).is_none() && !has_flag(node, "x-kubernetes-int-or-string")
}

/// If the node has no type, infers the type from the other keywords. If the other keywords imply no type, makes the node
/// accept values of any type. Removes the type of a node with `x-kubernetes-int-or-string`: the server rejects a node
/// with both.
pub(super) fn infer_type(node: &mut JsonObject) {
    if has_flag(node, "x-kubernetes-int-or-string") {
        for key in ["type", "format", "x-kubernetes-preserve-unknown-fields"] {
            node.remove(key);
        }
        return;
    }
    if type_of(node).is_some() {
        return;
    }
    let has = |keys: &[&str]| keys.iter().any(|key| node.contains_key(*key));
    let implied = if has_flag(node, "x-kubernetes-embedded-resource")
        || has(&["properties", "additionalProperties", "required", "minProperties", "maxProperties"])
    {
        Some("object")
    } else if has(&["items", "minItems", "maxItems", "uniqueItems"]) {
        Some("array")
    } else if has(&["pattern", "minLength", "maxLength"]) {
        Some("string")
    } else if has(&["minimum", "maximum", "multipleOf"]) {
        Some("number")
    } else {
        common_type_of_enum(node)
    };
    if let Some(implied) = implied {
        node.insert("type".to_owned(), json!(implied));
    } else {
        // A node without a type also accepts null, unless the node has an enumeration.
        if !node.contains_key("enum") {
            nullable::set_nullable(node);
        }
        node.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
    }
}

/// The largest `maximum` that the API server supports for an integer. The server parses bounds as floating-point
/// numbers, and rejects every object if the parsed bound does not fit into an `i64`.
const LARGEST_MAXIMUM: f64 = 9_223_372_036_854_774_784.0;

/// Drops a `maximum` above `LARGEST_MAXIMUM` from a node of type `integer`. Reports a problem if the dropped maximum was
/// exclusive.
pub(super) fn drop_unsupported_maximum(rewriter: &mut Rewriter, node: &mut JsonObject) {
    let maximum = node.get("maximum").and_then(Value::as_f64);
    if type_of(node) != Some("integer") || maximum.is_none_or(|maximum| maximum <= LARGEST_MAXIMUM) {
        return;
    }
    node.remove("maximum");
    if node.remove("exclusiveMaximum") == Some(Value::Bool(true)) {
        rewriter.report(
            "the API server does not support an exclusive maximum of this size",
            "remove the maximum, or use a smaller one",
        );
    }
}

/// Drops keywords that do not apply to the node's type. These keywords have no effect, and the server rejects some of
/// them.
///
/// Reports each merge strategy that it drops, because the type of the field is probably wrong.
pub(super) fn drop_inapplicable_keywords(rewriter: &mut Rewriter, node: &mut JsonObject) {
    let Some(own) = type_of(node).map(str::to_owned) else { return };
    for (key, applicable_type) in [("x-kubernetes-list-type", "array"), ("x-kubernetes-map-type", "object")] {
        if node.contains_key(key) && own != applicable_type {
            rewriter.report(
                format!("`{key}` has no effect on a value of type {own}"),
                "remove the merge strategy, or change the type of the field",
            );
        }
    }
    node.retain(|key, _| {
        let applicable_type = match key.as_str() {
            "properties"
            | "additionalProperties"
            | "required"
            | "minProperties"
            | "maxProperties"
            | "x-kubernetes-preserve-unknown-fields"
            | "x-kubernetes-map-type"
            | "x-kubernetes-embedded-resource" => "object",
            "items"
            | "minItems"
            | "maxItems"
            | "uniqueItems"
            | "x-kubernetes-list-type"
            | "x-kubernetes-list-map-keys" => "array",
            "minLength" | "maxLength" | "pattern" => "string",
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => "number",
            _ => return true,
        };
        own == applicable_type || (applicable_type == "number" && own == "integer")
    });
}

/// The type of the values of an `enum`, if all values except null have the same type.
fn common_type_of_enum(node: &JsonObject) -> Option<&'static str> {
    let mut types = node.get("enum")?.as_array()?.iter().filter(|value| !value.is_null()).map(type_of_value);
    let first = types.next()?;
    types.all(|other| other == first).then_some(first)
}

/// The schema type of a JSON value. Null has no type in Kubernetes, and counts as an object.
pub(super) fn type_of_value(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Array(_) => "array",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Object(_) | Value::Null => "object",
    }
}
