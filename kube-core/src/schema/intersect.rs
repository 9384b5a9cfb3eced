//! The intersection of two schemas. The title and description of the first schema take precedence.

use serde_json::{Value, json};

use super::{
    JsonObject,
    keywords::{accepts_any_type, has_flag, type_of},
    rewrite::Rewriter,
};

/// Narrows `node` to the values that `other` also accepts. If both schemas have a keyword for which `merge_keyword` has no
/// rule, `node` keeps its own value of the keyword. If no value can have the types of both schemas, reports a problem and
/// does not change `node`. The [`Rewriter`] must have rewritten `other` before the call. `node` may have no
/// type.
pub(super) fn intersect(rewriter: &mut Rewriter, node: &mut JsonObject, other: JsonObject) {
    if let (Some(a), Some(b)) = (type_of(node), type_of(&other))
        && a != b
    {
        if (a, b) == ("number", "integer") {
            node.insert("type".to_owned(), json!("integer"));
        } else if (a, b) != ("integer", "number") {
            let what = format!("a value cannot be of type {a} and of type {b}");
            rewriter.report(what, "remove one of the types from the schema");
            return;
        }
    }
    let typed = !accepts_any_type(node);
    let is_object = type_of(node) == Some("object");
    let other_accepts_any_type = accepts_any_type(&other);
    for (key, value) in other {
        match (key.as_str(), node.get_mut(&key)) {
            ("oneOf" | "anyOf", Some(own)) if *own != value => add_to_all_of(node, json!({ key: value })),
            (_, Some(own)) => merge_keyword(rewriter, &key, own, value),
            // If `other` accepts any value, copy `x-kubernetes-preserve-unknown-fields` only into a node that has the
            // type `object` or accepts any type. Without this keyword, the API server would prune the unknown fields of
            // an object.
            ("x-kubernetes-preserve-unknown-fields", None)
                if typed && !is_object && other_accepts_any_type => {}
            // A node with a type or with `x-kubernetes-int-or-string`, and without `nullable`, rejects null. Its
            // intersection with a schema that accepts any value must reject null, too, so do not copy
            // `nullable`. A node that accepts any type accepts null, so copy `nullable`.
            ("nullable", None) if typed && other_accepts_any_type => {}
            (_, None) => {
                node.insert(key, value);
            }
        }
    }
    if type_of(node).is_some() && has_flag(node, "x-kubernetes-int-or-string") {
        node.remove("x-kubernetes-int-or-string");
    }
}

/// Merges `other` into `own`. Both are values of the keyword `key`: `own` is the value in the first schema, `other` the
/// value in the second schema. Does not change `own` if this function has no rule for the keyword.
fn merge_keyword(rewriter: &mut Rewriter, key: &str, own: &mut Value, other: Value) {
    match (key, own, other) {
        ("description", Value::String(words), Value::String(other)) => {
            if let Some(variants) = variant_list(&other)
                && !words.contains(variants)
            {
                words.push_str("\n\n");
                words.push_str(variants);
            }
        }
        ("properties", Value::Object(own), Value::Object(other)) => {
            intersect_properties(rewriter, own, other);
        }
        ("required" | "allOf" | "x-kubernetes-validations", Value::Array(own), Value::Array(other)) => {
            for more in other {
                if !own.contains(&more) {
                    own.push(more);
                }
            }
        }
        ("enum", Value::Array(own), Value::Array(other)) => {
            if own.iter().any(|value| other.contains(value)) {
                own.retain(|value| other.contains(value));
            } else {
                rewriter.report(
                    "no value is in both enumerations",
                    "remove one of the enumerations from the schema",
                );
            }
        }
        ("minimum" | "minLength" | "minItems" | "minProperties", own, other) => {
            tighten_bound(own, other, f64::gt);
        }
        ("maximum" | "maxLength" | "maxItems" | "maxProperties", own, other) => {
            tighten_bound(own, other, f64::lt);
        }
        _ => {}
    }
}

/// Adds the properties of `other` to `own`, and narrows the properties that both schemas have.
fn intersect_properties(rewriter: &mut Rewriter, own: &mut JsonObject, other: JsonObject) {
    for (name, property) in other {
        match (own.get_mut(&name), property) {
            (Some(Value::Object(known)), Value::Object(property)) => {
                rewriter.at_path_segment(&format!(".{name}"), |this| {
                    intersect(this, known, property);
                    this.finish_node(known);
                });
            }
            (_, property) => {
                own.insert(name, property);
            }
        }
    }
}

/// Adds a second `oneOf` or `anyOf` as a subschema of `allOf`, because a schema can have each keyword only once.
fn add_to_all_of(node: &mut JsonObject, second: Value) {
    match node.get_mut("allOf") {
        Some(Value::Array(all)) => all.push(second),
        _ => {
            node.insert("allOf".to_owned(), json!([second]));
        }
    }
}

/// Returns the list of enum variants in a description; `None` if the description contains no such list.
///
/// When `merge_keyword` merges the descriptions of two schemas, it takes only this list from the second
/// description: it appends the list to the first description, and drops the rest.
fn variant_list(description: &str) -> Option<&str> {
    if description.starts_with("- ") {
        return Some(description);
    }
    description.find("\n\n- ").map(|start| &description[start + 2..])
}

/// Replaces the bound `own` with `other` if `other` is stricter.
fn tighten_bound(own: &mut Value, other: Value, is_tighter: fn(&f64, &f64) -> bool) {
    if let (Some(a), Some(b)) = (own.as_f64(), other.as_f64())
        && is_tighter(&b, &a)
    {
        *own = other;
    }
}
