//! Rewrites `allOf`, `oneOf`, `anyOf` and `not` of a node (a schema or subschema). Merges the subschemas of
//! `allOf`, `oneOf` and `anyOf` into the node. Keeps only value validations inside of `oneOf`, `anyOf` and
//! `not`.
//!
//! The properties and items of the node must already be rewritten.

use serde_json::{Value, json};

use super::{
    JsonObject,
    intersect::intersect,
    keywords::{accepts_any_type, type_of},
    nullable,
    rewrite::Rewriter,
    union::union,
    value_validations::value_validations_missing_in,
    variants,
};

/// Merges the subschemas of `allOf`, `oneOf` and `anyOf` into the node, and rewrites `not`.
pub(super) fn rewrite_composition(rewriter: &mut Rewriter, node: &mut JsonObject) {
    if let Some(Value::Array(parts)) = node.remove("allOf") {
        for raw in parts {
            let part = rewriter.rewrite_node(raw);
            intersect(rewriter, node, part);
        }
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(variants)) = node.remove(key) {
            narrow_to_variants(rewriter, node, key == "oneOf", variants);
        }
    }
    if let Some(raw) = node.remove("not") {
        rewrite_not(rewriter, node, &raw);
    }
}

/// Returns the union of the schemas in `nodes`; if `nodes` is empty, the schema that accepts any value.
pub(super) fn union_of_all(rewriter: &mut Rewriter, nodes: Vec<JsonObject>) -> JsonObject {
    nodes.into_iter().reduce(|a, b| union(rewriter, a, b)).unwrap_or_else(super::rewrite::any_value_schema)
}

/// Narrows the node to the union of the variants in `raw`: the subschemas of `oneOf` if `one_of` is true, otherwise of
/// `anyOf`.
fn narrow_to_variants(rewriter: &mut Rewriter, node: &mut JsonObject, one_of: bool, raw: Vec<Value>) {
    let count = raw.len();
    let mut raw: Vec<Value> =
        raw.into_iter().filter(|variant| !nullable::accepts_only_null(variant)).collect();
    let null = raw.len() < count;
    if type_of(node) == Some("object") {
        raw.iter_mut().for_each(set_object_type_if_empty);
    }
    let closed: Vec<bool> = raw.iter().map(forbids_unknown_properties).collect();
    let variants: Vec<JsonObject> = raw.into_iter().map(|variant| rewriter.rewrite_node(variant)).collect();
    if variants.is_empty() {
        nullable::accept_null_and_empty_object(node);
        return;
    }
    let mut whole = if variants.len() == 1 {
        variants.into_iter().next().unwrap_or_default()
    } else {
        unite_variants(rewriter, one_of, &closed, variants)
    };
    if null {
        nullable::set_nullable(&mut whole);
    }
    intersect(rewriter, node, whole);
}

/// Sets the type of the variant `{}` to `object`. schemars writes a flattened `Option` as `anyOf: [T, {}]`, where `{}`
/// means an object without further fields. Without this type, `{}` would accept any value, the union would lose the
/// fields of `T`, and the API server would prune these fields. schemars writes a flattened `serde_json::Value` as
/// `true`, which this function does not change.
fn set_object_type_if_empty(variant: &mut Value) {
    if variant.as_object().is_some_and(JsonObject::is_empty) {
        *variant = json!({ "type": "object" });
    }
}

/// Combines two or more variants into their union, with the value validations and the description of each variant.
/// `closed` states for each variant whether it forbids unknown properties.
fn unite_variants(
    rewriter: &mut Rewriter,
    one_of: bool,
    closed: &[bool],
    mut variants: Vec<JsonObject>,
) -> JsonObject {
    let labels = variants::variant_names(&variants);
    let notes = move_descriptions(&mut variants, &labels);
    let mut whole = union_of_all(rewriter, variants.clone());
    let parts: Vec<JsonObject> =
        variants.iter().map(|variant| value_validations_missing_in(rewriter, variant, &whole)).collect();
    if !accepts_any_type(&whole)
        && parts.iter().all(|part| !part.is_empty())
        && !differ_only_in_one_enum(&parts)
    {
        let exclusive = one_of && variants::are_exclusive(&variants, closed);
        whole.insert(if exclusive { "oneOf" } else { "anyOf" }.to_owned(), json!(parts));
    }
    if !notes.is_empty() {
        whole.insert("description".to_owned(), Value::String(notes));
    }
    whole
}

/// Whether the variants differ in only one value validation: an `enum` of the same property, or of the value itself.
/// `parts` contains, for each variant, the value validations that the union lacks. If the result is true, the `enum` of
/// the union contains the values of all variants, so neither `oneOf` nor `anyOf` is needed.
fn differ_only_in_one_enum(parts: &[JsonObject]) -> bool {
    /// Returns the name of the property whose `enum` is the only validation in `part`. Returns an empty name
    /// for an `enum` of the value itself, and `None` if `part` has other validations.
    fn only_enum_property(part: &JsonObject) -> Option<&str> {
        if part.len() != 1 {
            return None;
        }
        if part.contains_key("enum") {
            return Some("");
        }
        let properties = part.get("properties")?.as_object()?;
        let (name, property) = properties.iter().next()?;
        let property = property.as_object()?;
        (properties.len() == 1 && property.len() == 1 && property.contains_key("enum")).then_some(name)
    }
    let first = parts.first().and_then(only_enum_property);
    first.is_some() && parts.iter().all(|part| only_enum_property(part) == first)
}

/// Moves the description of each externally tagged variant to the variant's only property, if the property has no
/// description. Returns the other descriptions as a Markdown list, for the description of the union.
fn move_descriptions(variants: &mut [JsonObject], labels: &[Option<String>]) -> String {
    let mut notes = Vec::new();
    for (variant, label) in variants.iter_mut().zip(labels) {
        let Some(Value::String(text)) = variant.remove("description") else { continue };
        let own_property = label.as_ref().and_then(|label| {
            let properties = variant.get_mut("properties")?.as_object_mut()?;
            if properties.len() == 1 { properties.get_mut(label)?.as_object_mut() } else { None }
        });
        if let Some(property) = own_property
            && !property.contains_key("description")
        {
            property.insert("description".to_owned(), Value::String(text));
            continue;
        }
        let text = text.replace('\n', "\n  ");
        notes.push(match label {
            Some(label) => format!("- `{label}`: {text}"),
            None => format!("- {text}"),
        });
    }
    notes.join("\n")
}

/// Whether `raw`, a schema that has not been rewritten, forbids unknown properties.
fn forbids_unknown_properties(raw: &Value) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|key| raw.get(key) == Some(&Value::Bool(false)))
}

/// Rewrites `not`. In a structural schema, `not` may contain only value validations, and only for fields that are also
/// specified outside of `not`.
fn rewrite_not(rewriter: &mut Rewriter, node: &mut JsonObject, raw: &Value) {
    let negated = rewriter.discard_problems_of(|this| this.rewrite_node(raw.clone()));
    let mut outer = node.clone();
    if type_of(&outer).is_none()
        && let Some(negated_type) = type_of(&negated)
    {
        outer.insert("type".to_owned(), json!(negated_type));
    }
    let inner = value_validations_missing_in(rewriter, &negated, &outer);
    let lossless = raw.as_object().is_some_and(|raw| raw.keys().all(|key| inner.contains_key(key)));
    if lossless && !inner.is_empty() {
        node.insert("not".to_owned(), Value::Object(inner));
    } else {
        rewriter.report("`not` contains more than validations of existing fields", "use a validation rule");
    }
}
