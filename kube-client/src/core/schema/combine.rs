//! `allOf`, `oneOf` and `anyOf`: one structural schema for all of them, with what is left inside them as validation.
//!
//! Works on nodes whose subschemas have been rewritten.

use serde_json::{Value, json};

use super::{
    Object, exclusive,
    intersect::intersect,
    keywords::{is_anything, type_of},
    nullable,
    rewrite::Rewriter,
    strip::strip,
    union::union,
};

/// Merges the subschemas of a node into it.
pub(super) fn combine(rewriter: &mut Rewriter, node: &mut Object) {
    if let Some(Value::Array(parts)) = node.remove("allOf") {
        for raw in parts {
            let part = rewriter.node(raw);
            intersect(rewriter, node, part);
        }
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(variants)) = node.remove(key) {
            alternatives(rewriter, node, key == "oneOf", variants);
        }
    }
    if let Some(raw) = node.remove("not") {
        negation(rewriter, node, &raw);
    }
}

/// The schema that accepts what any of `nodes` does.
pub(super) fn union_of(rewriter: &mut Rewriter, nodes: Vec<Object>) -> Object {
    nodes.into_iter().reduce(|a, b| union(rewriter, a, b)).unwrap_or_else(super::rewrite::anything)
}

fn alternatives(rewriter: &mut Rewriter, node: &mut Object, one_of: bool, raw: Vec<Value>) {
    let count = raw.len();
    let mut raw: Vec<Value> = raw.into_iter().filter(|variant| !nullable::is_null(variant)).collect();
    let null = raw.len() < count;
    if type_of(node) == Some("object") {
        raw.iter_mut().for_each(absent_object);
    }
    let closed: Vec<bool> = raw.iter().map(is_closed).collect();
    let variants: Vec<Object> = raw.into_iter().map(|variant| rewriter.node(variant)).collect();
    if variants.is_empty() {
        nullable::only(node);
        return;
    }
    let mut whole = if variants.len() == 1 {
        variants.into_iter().next().unwrap_or_default()
    } else {
        several(rewriter, one_of, &closed, variants)
    };
    if null {
        nullable::set(&mut whole);
    }
    intersect(rewriter, node, whole);
}

/// schemars writes a flattened `Option` as `anyOf: [T, {}]`: `{}` stands for an object without further fields. Read as any
/// value, it would hide the fields of `T`, and the API server would prune them. A flattened `serde_json::Value` is `true`.
fn absent_object(variant: &mut Value) {
    if variant.as_object().is_some_and(Object::is_empty) {
        *variant = json!({ "type": "object" });
    }
}

/// Two or more variants: their union, what each needs, and what each is for.
fn several(rewriter: &mut Rewriter, one_of: bool, closed: &[bool], mut variants: Vec<Object>) -> Object {
    let labels = exclusive::labels(&variants);
    let notes = describe(&mut variants, &labels);
    let mut whole = union_of(rewriter, variants.clone());
    let parts: Vec<Object> = variants.iter().map(|variant| strip(rewriter, variant, &whole)).collect();
    if !is_anything(&whole) && parts.iter().all(|part| !part.is_empty()) && !says_nothing_new(&parts) {
        let exclusive = one_of && exclusive::are_exclusive(&variants, closed);
        whole.insert(if exclusive { "oneOf" } else { "anyOf" }.to_owned(), json!(parts));
    }
    if !notes.is_empty() {
        whole.insert("description".to_owned(), Value::String(notes));
    }
    whole
}

/// Whether the variants differ in one enumerated value only, which the union lists in full.
fn says_nothing_new(parts: &[Object]) -> bool {
    fn only_value(part: &Object) -> Option<&str> {
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
    let first = parts.first().and_then(only_value);
    first.is_some() && parts.iter().all(|part| only_value(part) == first)
}

/// Moves the variants' doc comments to where they are read: the variant's own property, or a list.
fn describe(variants: &mut [Object], labels: &[Option<String>]) -> String {
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

/// Whether the schema as schemars wrote it forbids other properties.
fn is_closed(raw: &Value) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|key| raw.get(key) == Some(&Value::Bool(false)))
}

/// `not` may only validate: what it says of types and fields that are not there outside is given up.
fn negation(rewriter: &mut Rewriter, node: &mut Object, raw: &Value) {
    let negated = rewriter.silence(|this| this.node(raw.clone()));
    let mut outer = node.clone();
    if type_of(&outer).is_none()
        && let Some(kind) = type_of(&negated)
    {
        outer.insert("type".to_owned(), json!(kind));
    }
    let inner = strip(rewriter, &negated, &outer);
    let lossless = raw.as_object().is_some_and(|raw| raw.keys().all(|key| inner.contains_key(key)));
    if lossless && !inner.is_empty() {
        node.insert("not".to_owned(), Value::Object(inner));
    } else {
        rewriter.problem("what must not be there cannot be said", "use a validation rule");
    }
}
