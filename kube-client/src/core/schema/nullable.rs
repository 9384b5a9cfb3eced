//! Null: JSON schema has a type for it, Kubernetes a flag on the type beside it.

use serde_json::{Value, json};

use super::{Object, keywords};

/// Whether null is allowed.
pub(super) fn is_nullable(node: &Object) -> bool {
    keywords::flag(node, "nullable")
}

/// Allows null.
pub(super) fn set(node: &mut Object) {
    node.insert("nullable".to_owned(), Value::Bool(true));
}

/// Whether a schema as schemars wrote it allows null and nothing else.
pub(super) fn is_null(raw: &Value) -> bool {
    let Some(node) = raw.as_object() else { return false };
    node.get("type") == Some(&json!("null"))
        || node.get("const") == Some(&Value::Null)
        || node.get("enum") == Some(&json!([null]))
}

/// `type: null` on its own (a unit struct, `()`): there is no such type, so an empty object may stand there too.
pub(super) fn from_null_type(node: &mut Object) {
    if node.get("type") == Some(&json!("null")) {
        only(node);
    }
}

/// Null and nothing else, as near as it gets.
pub(super) fn only(node: &mut Object) {
    node.insert("type".to_owned(), json!("object"));
    set(node);
}

/// Puts a nullable enumeration where null passes: the server refuses null beside any `enum` that stands at the
/// node itself, listed or not, but skips the ones inside of `allOf` for null.
pub(super) fn settle(node: &mut Object) {
    let Some(Value::Array(values)) = node.get("enum") else { return };
    let listed = values.contains(&Value::Null);
    if !listed && !is_nullable(node) {
        return;
    }
    let mut values = values.clone();
    if !listed {
        values.push(Value::Null);
    }
    node.remove("enum");
    set(node);
    match node.get_mut("allOf") {
        Some(Value::Array(all)) => all.push(json!({ "enum": values })),
        _ => {
            node.insert("allOf".to_owned(), json!([{ "enum": values }]));
        }
    }
}
