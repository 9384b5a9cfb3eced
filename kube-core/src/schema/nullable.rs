//! Converts the JSON schema type `null` into the keyword `nullable` of structural schemas.

use serde_json::{Value, json};

use super::{JsonObject, keywords};

/// Whether the node accepts null.
pub(super) fn is_nullable(node: &JsonObject) -> bool {
    keywords::has_flag(node, "nullable")
}

/// Makes the node accept null.
pub(super) fn set_nullable(node: &mut JsonObject) {
    node.insert("nullable".to_owned(), Value::Bool(true));
}

/// Whether `raw`, a schema that has not been rewritten, accepts only null.
pub(super) fn accepts_only_null(raw: &Value) -> bool {
    let Some(node) = raw.as_object() else { return false };
    node.get("type") == Some(&json!("null"))
        || node.get("const") == Some(&Value::Null)
        || node.get("enum") == Some(&json!([null]))
}

/// Rewrites `type: null`, the schema of `()` and of a unit struct. Kubernetes has no such type, so the rewritten schema
/// also accepts an empty object.
pub(super) fn rewrite_null_type(node: &mut JsonObject) {
    if node.get("type") == Some(&json!("null")) {
        accept_null_and_empty_object(node);
    }
}

/// Makes the node accept null and an empty object. The API server prunes the fields of an object that is not empty.
pub(super) fn accept_null_and_empty_object(node: &mut JsonObject) {
    node.insert("type".to_owned(), json!("object"));
    set_nullable(node);
}

/// If a node is nullable or its `enum` contains null, moves the `enum` into `allOf`, adds null to the moved `enum`, and
/// makes the node nullable. The server rejects null for a node with an `enum` of its own, even if the `enum` contains
/// null. The server does not apply `allOf` to null.
pub(super) fn move_enum_to_all_of(node: &mut JsonObject) {
    let Some(Value::Array(values)) = node.get("enum") else { return };
    let lists_null = values.contains(&Value::Null);
    if !lists_null && !is_nullable(node) {
        return;
    }
    let mut values = values.clone();
    if !lists_null {
        values.push(Value::Null);
    }
    node.remove("enum");
    set_nullable(node);
    match node.get_mut("allOf") {
        Some(Value::Array(all)) => all.push(json!({ "enum": values })),
        _ => {
            node.insert("allOf".to_owned(), json!([{ "enum": values }]));
        }
    }
}
