//! What is left of a variant inside of `oneOf`: pure validation, on fields that exist outside, beyond what the
//! outside says already.

use serde_json::{Value, json};

use super::{
    Object,
    keywords::{is_anything, type_of},
    rewrite::Rewriter,
};

/// Keywords that only validate.
const SCALAR: &[&str] = &[
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

/// The validation in `variant` that `whole` lacks. `whole` accepts everything that `variant` does.
pub(super) fn strip(rewriter: &mut Rewriter, variant: &Object, whole: &Object) -> Object {
    let mut rest = Object::new();
    if is_anything(whole) || type_of(whole).is_none() {
        return rest;
    }
    for key in SCALAR {
        if let Some(value) = variant.get(*key)
            && whole.get(*key) != Some(value)
        {
            rest.insert((*key).to_owned(), value.clone());
        }
    }
    // An exclusive bound means nothing without the bound.
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
    properties(rewriter, &mut rest, variant, whole);
    if let (Some(Value::Object(item)), Some(Value::Object(whole))) =
        (variant.get("items"), whole.get("items"))
    {
        let item = rewriter.at("[*]", |this| strip(this, item, whole));
        if !item.is_empty() {
            rest.insert("items".to_owned(), Value::Object(item));
        }
    }
    // These were stripped when the variant itself was made of variants.
    for key in ["oneOf", "anyOf", "allOf", "not"] {
        if let Some(value) = variant.get(key)
            && whole.get(key) != Some(value)
            && is_covered(value, whole)
        {
            rest.insert(key.to_owned(), value.clone());
        }
    }
    rest
}

/// The validation of a variant's fields. The API server forbids one of a field called `metadata`, at any depth.
fn properties(rewriter: &mut Rewriter, rest: &mut Object, variant: &Object, whole: &Object) {
    let (Some(Value::Object(own)), Some(Value::Object(all))) =
        (variant.get("properties"), whole.get("properties"))
    else {
        return;
    };
    let mut stripped = Object::new();
    for (name, property) in own {
        if let (Value::Object(property), Some(Value::Object(outer))) = (property, all.get(name)) {
            rewriter.at(&format!(".{name}"), |this| {
                let property = strip(this, property, outer);
                if property.is_empty() {
                    return;
                }
                if name == "metadata" {
                    this.problem(
                        "what one variant needs of a field called `metadata` cannot be validated",
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

/// Whether every field that a validation names exists in `whole`, with a type: the server insists on it.
fn is_covered(validation: &Value, whole: &Object) -> bool {
    match validation {
        Value::Array(parts) => parts.iter().all(|part| is_covered(part, whole)),
        Value::Object(part) => part.iter().all(|(key, value)| match key.as_str() {
            "oneOf" | "anyOf" | "allOf" | "not" => is_covered(value, whole),
            "items" => match whole.get("items") {
                Some(Value::Object(items)) => !is_anything(items) && is_covered(value, items),
                _ => false,
            },
            "properties" => {
                let all = whole.get("properties").and_then(Value::as_object);
                value.as_object().into_iter().flatten().all(|(name, property)| {
                    match all.and_then(|all| all.get(name)) {
                        Some(Value::Object(outer)) => !is_anything(outer) && is_covered(property, outer),
                        _ => false,
                    }
                })
            }
            _ => true,
        }),
        _ => true,
    }
}
