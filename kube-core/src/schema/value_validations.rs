//! Reduces a subschema of `oneOf`, `anyOf` or `not` to value validations. In a structural schema, these keywords may
//! contain only value validations, and only for fields that are also specified outside of these keywords.
//!
//! The reduced subschema omits value validations that are also outside of the keyword.

use serde_json::{Value, json};

use super::{
    JsonObject,
    keywords::{accepts_any_type, type_of},
    rewrite::Rewriter,
};

/// The keywords of value validations, except `required` and the keywords that contain subschemas.
const VALUE_VALIDATIONS: &[&str] = &[
    "minimum",
    "maximum",
    "multipleOf",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "enum",
];

/// Returns the value validations of `variant` that `whole` lacks, or has with another value. `variant` is a
/// subschema of `oneOf`, `anyOf` or `not`. `whole` is the schema outside of this keyword. For `oneOf` and
/// `anyOf`, `whole` is the union of all variants. For `not`, `whole` is the node that has the keyword.
/// Returns an empty object if `whole` has no `type`.
pub(super) fn value_validations_missing_in(
    rewriter: &mut Rewriter,
    variant: &JsonObject,
    whole: &JsonObject,
) -> JsonObject {
    let mut rest = JsonObject::new();
    if accepts_any_type(whole) || type_of(whole).is_none() {
        return rest;
    }
    for key in VALUE_VALIDATIONS {
        if let Some(value) = variant.get(*key)
            && whole.get(*key) != Some(value)
        {
            rest.insert((*key).to_owned(), value.clone());
        }
    }
    // `exclusiveMinimum` has no effect without `minimum`. If `rest` has one of the two, copy the other one,
    // too. The same applies to the maximum.
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if (rest.contains_key(exclusive) || rest.contains_key(bound))
            && let Some(value) = variant.get(bound)
        {
            rest.insert(bound.to_owned(), value.clone());
            if let Some(flag) = variant.get(exclusive) {
                rest.insert(exclusive.to_owned(), flag.clone());
            }
        }
    }
    if let Some(names) = variant.get("required").and_then(Value::as_array) {
        let known = whole.get("required").and_then(Value::as_array);
        let new: Vec<_> =
            names.iter().filter(|name| !known.is_some_and(|known| known.contains(name))).collect();
        if !new.is_empty() {
            rest.insert("required".to_owned(), json!(new));
        }
    }
    add_property_validations(rewriter, &mut rest, variant, whole);
    if let (Some(Value::Object(item)), Some(Value::Object(whole))) =
        (variant.get("items"), whole.get("items"))
    {
        let item = rewriter.at_path_segment("[*]", |this| value_validations_missing_in(this, item, whole));
        if !item.is_empty() {
            rest.insert("items".to_owned(), Value::Object(item));
        }
    }
    // `composition` reduced these subschemas to value validations when it rewrote the variant.
    for key in ["oneOf", "anyOf", "allOf", "not"] {
        if let Some(value) = variant.get(key)
            && whole.get(key) != Some(value)
            && constrained_fields_have_types(value, whole)
        {
            rest.insert(key.to_owned(), value.clone());
        }
    }
    rest
}

/// Adds the value validations of a variant's fields to `rest`. For a field named `metadata`, reports a problem instead,
/// because the API server rejects validations of such a field at any depth.
fn add_property_validations(
    rewriter: &mut Rewriter,
    rest: &mut JsonObject,
    variant: &JsonObject,
    whole: &JsonObject,
) {
    let (Some(Value::Object(own)), Some(Value::Object(all))) =
        (variant.get("properties"), whole.get("properties"))
    else {
        return;
    };
    let mut stripped = JsonObject::new();
    for (name, property) in own {
        if let (Value::Object(property), Some(Value::Object(outer))) = (property, all.get(name)) {
            rewriter.at_path_segment(&format!(".{name}"), |this| {
                let property = value_validations_missing_in(this, property, outer);
                if property.is_empty() {
                    return;
                }
                if name == "metadata" {
                    this.report(
                        "the validations of a field named `metadata` cannot depend on the variant",
                        "rename the field, or add a validation rule to the enum",
                    );
                } else {
                    stripped.insert(name.clone(), Value::Object(property));
                }
            });
        }
    }
    if !stripped.is_empty() {
        rest.insert("properties".to_owned(), Value::Object(stripped));
    }
}

/// Whether `whole` specifies a type for each field that `validation` constrains, as the server requires.
fn constrained_fields_have_types(validation: &Value, whole: &JsonObject) -> bool {
    match validation {
        Value::Array(parts) => parts.iter().all(|part| constrained_fields_have_types(part, whole)),
        Value::Object(part) => part.iter().all(|(key, value)| match key.as_str() {
            "oneOf" | "anyOf" | "allOf" | "not" => constrained_fields_have_types(value, whole),
            "items" => match whole.get("items") {
                Some(Value::Object(items)) => {
                    !accepts_any_type(items) && constrained_fields_have_types(value, items)
                }
                _ => false,
            },
            "properties" => {
                let all = whole.get("properties").and_then(Value::as_object);
                value.as_object().into_iter().flatten().all(|(name, property)| {
                    match all.and_then(|all| all.get(name)) {
                        Some(Value::Object(outer)) => {
                            !accepts_any_type(outer) && constrained_fields_have_types(property, outer)
                        }
                        _ => false,
                    }
                })
            }
            _ => true,
        }),
        _ => true,
    }
}
