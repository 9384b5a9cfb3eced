//! The schema that accepts what two schemas both do. The first one's words win.

use serde_json::{Value, json};

use super::{
    Object,
    keywords::{flag, is_anything, type_of},
    rewrite::Rewriter,
};

/// Narrows `node` to what `other` accepts too. `other` has been rewritten, `node` may still lack a type.
pub(super) fn intersect(rewriter: &mut Rewriter, node: &mut Object, other: Object) {
    if let (Some(a), Some(b)) = (type_of(node), type_of(&other))
        && a != b
    {
        if (a, b) == ("number", "integer") {
            node.insert("type".to_owned(), json!("integer"));
        } else if (a, b) != ("integer", "number") {
            let what = format!("a value cannot be of type {a} and of type {b}");
            rewriter.problem(what, "remove one of the types from the schema");
            return;
        }
    }
    let typed = !is_anything(node);
    let other_is_anything = is_anything(&other);
    for (key, value) in other {
        match (key.as_str(), node.get_mut(&key)) {
            ("description", Some(Value::String(words))) => {
                if let Some(variants) = value.as_str().and_then(variants)
                    && !words.contains(variants)
                {
                    words.push_str("\n\n");
                    words.push_str(variants);
                }
            }
            ("properties", Some(Value::Object(own))) => {
                for (name, property) in value.as_object().cloned().unwrap_or_default() {
                    match own.get_mut(&name) {
                        Some(Value::Object(known)) => {
                            let property = property.as_object().cloned().unwrap_or_default();
                            rewriter.at(&format!(".{name}"), |this| intersect(this, known, property));
                        }
                        _ => {
                            own.insert(name, property);
                        }
                    }
                }
            }
            ("required" | "allOf" | "x-kubernetes-validations", Some(Value::Array(own))) => {
                for more in value.as_array().cloned().unwrap_or_default() {
                    if !own.contains(&more) {
                        own.push(more);
                    }
                }
            }
            ("enum", Some(Value::Array(own))) => {
                own.retain(|known| value.as_array().is_some_and(|v| v.contains(known)))
            }
            ("oneOf" | "anyOf", Some(own)) if *own != value => {
                let both = json!([{ key: value }]);
                match node.get_mut("allOf") {
                    Some(Value::Array(all)) => all.extend(both.as_array().cloned().unwrap_or_default()),
                    _ => {
                        node.insert("allOf".to_owned(), both);
                    }
                }
            }
            ("minimum" | "minLength" | "minItems" | "minProperties", Some(own)) => {
                tighten(own, value, f64::gt)
            }
            ("maximum" | "maxLength" | "maxItems" | "maxProperties", Some(own)) => {
                tighten(own, value, f64::lt)
            }
            ("x-kubernetes-preserve-unknown-fields", None) if typed && other_is_anything => {}
            (_, Some(_)) => {}
            (_, None) => {
                node.insert(key, value);
            }
        }
    }
    if type_of(node).is_some() && flag(node, "x-kubernetes-int-or-string") {
        node.remove("x-kubernetes-int-or-string");
    }
}

/// The list of an enum's variants in its description: it is kept where the rest of the words give way.
fn variants(description: &str) -> Option<&str> {
    if description.starts_with("- ") {
        return Some(description);
    }
    description.find("\n\n- ").map(|start| &description[start + 2..])
}

fn tighten(own: &mut Value, other: Value, is_tighter: fn(&f64, &f64) -> bool) {
    if let (Some(a), Some(b)) = (own.as_f64(), other.as_f64())
        && is_tighter(&b, &a)
    {
        *own = other;
    }
}
