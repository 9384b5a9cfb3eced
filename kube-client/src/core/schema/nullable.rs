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

/// A nullable enumeration has to list null, or null would not be one of its values.
pub(super) fn settle(node: &mut Object) {
    let listed =
        node.get("enum").and_then(Value::as_array).is_some_and(|values| values.contains(&Value::Null));
    if listed {
        set(node);
    } else if is_nullable(node)
        && let Some(Value::Array(values)) = node.get_mut("enum")
    {
        values.push(Value::Null);
    }
}
