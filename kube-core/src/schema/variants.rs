//! Determines whether the variants of an enum are mutually exclusive. Also determines the name of each
//! variant.

use serde_json::Value;

use super::JsonObject;

/// Whether each value matches at most one variant. If true, `oneOf` is correct; if false, only `anyOf` is correct.
///
/// True for externally tagged variants: each requires a property of its own and forbids all other properties. Also true
/// for variants with a required tag property whose enumerated values differ. `closed` states for each variant whether it
/// forbids unknown properties.
pub(super) fn are_exclusive(variants: &[JsonObject], closed: &[bool]) -> bool {
    let named = closed.iter().all(|closed| *closed) && {
        let keys: Vec<_> = variants.iter().map(only_property_if_required).collect();
        keys.iter().all(Option::is_some) && (1..keys.len()).all(|i| !keys[..i].contains(&keys[i]))
    };
    named || tag_property(variants).is_some()
}

/// The name of each variant; `None` if the schema does not contain the name.
pub(super) fn variant_names(variants: &[JsonObject]) -> Vec<Option<String>> {
    let tag = tag_property(variants);
    let label = |variant: &JsonObject| {
        if let Some(values) = variant.get("enum").and_then(Value::as_array) {
            return only_string(values);
        }
        match tag {
            Some(tag) => only_string(enum_of(variant, tag)?),
            None => only_property_if_required(variant).map(str::to_owned),
        }
    };
    variants.iter().map(label).collect()
}

/// The name of the tag: a property that all variants require, and whose `enum` has different values in each variant.
fn tag_property(variants: &[JsonObject]) -> Option<&str> {
    let first = variants.first()?;
    let candidates = first.get("properties")?.as_object()?.keys();
    candidates.map(String::as_str).find(|name| {
        let values: Option<Vec<_>> = variants.iter().map(|variant| enum_of(variant, name)).collect();
        let required = variants.iter().all(|variant| is_required(variant, name));
        required
            && values.is_some_and(|values| {
                (1..values.len())
                    .all(|i| values[..i].iter().all(|v| v.iter().all(|value| !values[i].contains(value))))
            })
    })
}

/// The values in the `enum` of a property of `variant`.
fn enum_of<'v>(variant: &'v JsonObject, property: &str) -> Option<&'v Vec<Value>> {
    variant.get("properties")?.get(property)?.get("enum")?.as_array()
}

fn is_required(variant: &JsonObject, name: &str) -> bool {
    let required = variant.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|key| key == name))
}

/// The name of a variant's only property, if it is required.
fn only_property_if_required(variant: &JsonObject) -> Option<&str> {
    let properties = variant.get("properties")?.as_object()?;
    let name = properties.keys().next()?;
    (properties.len() == 1 && is_required(variant, name)).then_some(name)
}

/// The string in `values`, if it is the only value.
fn only_string(values: &[Value]) -> Option<String> {
    match values {
        [Value::String(value)] => Some(value.clone()),
        _ => None,
    }
}
