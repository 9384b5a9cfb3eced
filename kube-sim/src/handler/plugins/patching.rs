//! The JSON patch of a mutating webhook, with the error texts of the Go library that the API server uses.

use serde_json::Value;

use crate::go_json::unmarshal_error;
use crate::patch;

/// Parses the operations of a patch.
///
/// # Errors
/// The reason why the text does not parse.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Value>, String> {
    match serde_json::from_slice(text).map_err(|e| e.to_string())? {
        Value::Array(operations) => Ok(operations),
        other => Err(unmarshal_error(&other, "jsonpatch.Patch")),
    }
}

/// Applies a patch.
///
/// # Errors
/// The reason why the patch does not apply.
pub(super) fn apply(object: &Value, operations: Vec<Value>) -> Result<Value, String> {
    let mut patched = object.clone();
    let patch = Value::Array(operations);
    match patch::apply_json_patch(&mut patched, &patch) {
        Ok(()) => Ok(patched),
        Err(patch::PatchError::Unprocessable(message)) => {
            let operations = patch.as_array().map_or(&[][..], Vec::as_slice);
            let failed = patch::first_failing_operation(object, operations);
            Err(failed.map_or(message, |(operation, before)| reason(operation, &before)))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The reason why an operation does not apply to `before`.
fn reason(operation: &Value, before: &Value) -> String {
    let text = |field: &str| operation[field].as_str().unwrap_or_default();
    let (op, path) = (text("op"), text("path"));
    if operation["path"].as_str().is_none() {
        return format!("{op} operation failed to decode path: missing value");
    }
    let (parent, key) = path.rsplit_once('/').unwrap_or_default();
    let parent = before.pointer(parent).filter(|parent| parent.is_object() || parent.is_array());
    let invalid_index = || format!("Unable to access invalid index: {key}: invalid index referenced");
    let missing_key = || match parent {
        Some(Value::Array(_)) => invalid_index(),
        _ => format!("Unable to remove nonexistent key: {key}: missing value"),
    };
    match (op, parent) {
        ("add" | "remove", None) => {
            format!("{op} operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        ("add", Some(_)) => format!("error in add for path: '{path}': {}", invalid_index()),
        ("remove", Some(_)) => format!("error in remove for path: '{path}': {}", missing_key()),
        ("replace", None) => {
            format!("replace operation does not apply: doc is missing path: {path}: missing value")
        }
        ("replace", Some(_)) => {
            format!("replace operation does not apply: doc is missing key: {path}: missing value")
        }
        ("test", None) => format!("test operation does not apply: is missing path: {path}: missing value"),
        ("test", Some(_)) => format!("testing value {path} failed: test failed"),
        ("move" | "copy", _) => {
            format!(
                "{op} operation does not apply: doc is missing from path: {}: missing value",
                text("from")
            )
        }
        _ => format!("Unexpected kind: {op}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(operation: &Value, expected: &str) {
        let object = json!({"a": {"b": 1}, "l": [1]});
        let operations = vec![json!({"op": "add", "path": "/a/c", "value": 2}), operation.clone()];
        assert_eq!(apply(&object, operations).unwrap_err(), expected);
    }

    #[test]
    fn an_error_describes_the_operation_that_does_not_apply() {
        let missing = "operation does not apply: doc is missing";
        check(
            &json!({"op": "add", "path": "/x/y", "value": 1}),
            &format!("add {missing} path: \"/x/y\": missing value"),
        );
        check(
            &json!({"op": "remove", "path": "/a/x"}),
            "error in remove for path: '/a/x': Unable to remove nonexistent key: x: missing value",
        );
        check(
            &json!({"op": "remove", "path": "/l/7"}),
            "error in remove for path: '/l/7': Unable to access invalid index: 7: invalid index referenced",
        );
        check(
            &json!({"op": "replace", "path": "/l/7", "value": 1}),
            &format!("replace {missing} key: /l/7: missing value"),
        );
        check(&json!({"op": "test", "path": "/a/c", "value": 3}), "testing value /a/c failed: test failed");
        check(&json!({"op": "strange", "path": "/a"}), "Unexpected kind: strange");
    }

    #[test]
    fn parse_accepts_only_a_list_of_operations() {
        assert_eq!(parse(b"[]"), Ok(Vec::new()));
        assert!(parse(b"[").is_err());
        assert_eq!(
            parse(b"{}").unwrap_err(),
            "json: cannot unmarshal object into Go value of type jsonpatch.Patch"
        );
    }
}
