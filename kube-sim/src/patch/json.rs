//! JSON Patch (RFC 6902), with the deviations of the Go library that API servers use (`evanphx/json-patch`).
//!
//! This module contains the algorithm. The main deviations are: `replace` adds an absent field, `copy` of an
//! absent field copies null, an absent `value` is null, `test` treats an absent field as null, and negative
//! indices count from the end of a list.

use serde_json::Value;

use super::PatchError;
use crate::go_json::unmarshal_error;
use crate::nesting::{MAX_DEPTH, has_at_most_levels};

/// The maximum number of operations in one patch.
pub(crate) const MAX_OPERATIONS: usize = 10_000;

/// The maximum total size, in bytes of JSON, of all values that one patch copies with the operation `copy`.
const MAX_COPIED_BYTES: usize = 3 << 20;

/// Applies the operations of `patch` to `target` in order. If an operation fails, `target` is unchanged.
///
/// # Errors
/// - 400 if `patch` is not a list of objects. Null is accepted and changes nothing.
/// - 413 if `patch` has more than [`MAX_OPERATIONS`] operations.
/// - 422 if an operation fails. As in the API server, the error does not contain the operation.
pub(crate) fn apply_json_patch(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    if patch.is_null() {
        return Ok(());
    }
    let Value::Array(operations) = patch else {
        let problem = unmarshal_error(patch, "[]handlers.jsonPatchOp");
        return Err(PatchError::BadRequest(format!("error decoding patch: {problem}")));
    };
    if let Some(operation) = operations.iter().find(|operation| !operation.is_object()) {
        let problem = unmarshal_error(operation, "handlers.jsonPatchOp");
        return Err(PatchError::BadRequest(format!("error decoding patch: {problem}")));
    }
    if operations.len() > MAX_OPERATIONS {
        let found = operations.len();
        let message =
            format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {found}");
        return Err(PatchError::TooLarge(message));
    }
    let mut changed = target.clone();
    let mut copied = 0;
    for operation in operations {
        let done = apply_operation(&mut changed, operation, &mut copied);
        done.ok_or_else(|| {
            PatchError::Unprocessable(
                "the server rejected our request due to an error in our request".to_owned(),
            )
        })?;
    }
    *target = changed;
    Ok(())
}

/// Searches `operations` for the first operation that fails. Returns this operation and the object after all earlier
/// operations, or `None` if all operations succeed.
pub(crate) fn first_failing_operation<'a>(
    target: &Value,
    operations: &'a [Value],
) -> Option<(&'a Value, Value)> {
    let apply = |count: usize| {
        let (mut object, mut copied) = (target.clone(), 0);
        let mut done = |operation| apply_operation(&mut object, operation, &mut copied).is_some();
        let failed = operations[..count].iter().position(|operation| !done(operation));
        (object, failed)
    };
    // An operation that fails may leave the object half changed, so the earlier operations are applied again to a copy.
    let failed = apply(operations.len()).1?;
    Some((&operations[failed], apply(failed).0))
}

/// Applies one operation. Returns `None` if the operation fails. `copied` is the total size of the values that the
/// `copy` operations of the patch have copied so far.
fn apply_operation(target: &mut Value, operation: &Value, copied: &mut usize) -> Option<()> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str);
    let path = text("path")?;
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    match text("op")? {
        "add" => add(target, path, value()),
        "remove" => remove(target, path).map(|_| ()),
        "replace" => replace(target, path, value()),
        "move" => {
            let moved = remove(target, text("from")?)?;
            add(target, path, moved)
        }
        "copy" => {
            let copy = value_at(target, text("from")?)?;
            *copied += copy.to_string().len();
            (*copied <= MAX_COPIED_BYTES).then_some(())?;
            add(target, path, copy)
        }
        "test" => (value_at(target, path)? == value()).then_some(()),
        _ => None,
    }
}

/// Whether `value`, inserted at `path`, is within the maximum nesting depth. A deeper value could overflow the stack.
fn is_within_depth(path: &str, value: &Value) -> bool {
    let above = path.bytes().filter(|byte| *byte == b'/').count();
    above <= MAX_DEPTH && has_at_most_levels(MAX_DEPTH - above, value)
}

/// Applies the operation `add`. Returns `None` if the operation fails.
fn add(target: &mut Value, path: &str, value: Value) -> Option<()> {
    is_within_depth(path, &value).then_some(())?;
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (parent, key) = parent_and_key(target, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = parse_index(&key, items.len() + 1)?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

/// Applies the operation `remove`. Returns the removed value, or `None` if the operation fails.
fn remove(target: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = parent_and_key(target, path)?;
    match parent {
        Value::Object(map) => map.remove(&key),
        Value::Array(items) => {
            let index = parse_index(&key, items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

/// Applies the operation `replace`. Returns `None` if the operation fails.
fn replace(target: &mut Value, path: &str, value: Value) -> Option<()> {
    is_within_depth(path, &value).then_some(())?;
    if path.is_empty() {
        *target = value;
        return Some(());
    }
    let (parent, key) = parent_and_key(target, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key, value);
        }
        Value::Array(items) => {
            let index = parse_index(&key, items.len())?;
            items[index] = value;
        }
        _ => return None,
    }
    Some(())
}

/// Returns a copy of the value at a path, or null if the parent is an object that does not have the field. Returns
/// `None` for any other absent value.
fn value_at(target: &mut Value, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(target.clone());
    }
    let (parent, key) = parent_and_key(target, path)?;
    match parent {
        Value::Object(map) => Some(map.get(&key).cloned().unwrap_or(Value::Null)),
        Value::Array(items) => {
            let index = parse_index(&key, items.len())?;
            Some(items[index].clone())
        }
        _ => None,
    }
}

/// Returns the parent of the value at a path, and the last segment of the path with its escape sequences decoded.
/// Returns `None` if the path does not begin with a slash, or if the parent does not exist.
fn parent_and_key<'a>(target: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (steps, last) = path
        .strip_prefix('/')?
        .rsplit_once('/')
        .map_or((None, &path[1..]), |(steps, last)| (Some(steps), last));
    let mut container = target;
    for step in steps.into_iter().flat_map(|steps| steps.split('/')) {
        let step = unescape_segment(step);
        container = match container {
            Value::Object(map) => map.get_mut(&step)?,
            Value::Array(items) => {
                let index = parse_index(&step, items.len())?;
                &mut items[index]
            }
            _ => return None,
        };
    }
    Some((container, unescape_segment(last)))
}

/// Parses an index of a list with `length` items. Negative indices count from the end of the list. Returns `None` if
/// `step` is not an integer, or if the index is out of range.
fn parse_index(step: &str, length: usize) -> Option<usize> {
    let number: i64 = step.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let number = if number < 0 { number + length } else { number };
    (0..length).contains(&number).then_some(usize::try_from(number).ok()?)
}

/// Decodes the escape sequences `~1` and `~0` in a segment of a JSON pointer.
fn unescape_segment(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Applies the operations to `target`. Returns the return value of [`apply_json_patch`], and then the target.
    fn apply_to(mut target: Value, operations: Value) -> (Result<(), PatchError>, Value) {
        let patch = if operations.is_array() { operations } else { Value::Array(vec![operations]) };
        let result = apply_json_patch(&mut target, &patch);
        (result, target)
    }

    #[track_caller]
    fn check_patched(target: Value, operations: Value, expected: Value) {
        assert_eq!(apply_to(target, operations), (Ok(()), expected));
    }

    #[test]
    fn all_six_operations_are_applied() {
        let object = || json!({"a": {"b": 1}, "l": [1, 2]});
        check_patched(
            object(),
            json!([{"op": "add", "path": "/a/c", "value": 2}]),
            json!({"a": {"b": 1, "c": 2}, "l": [1, 2]}),
        );
        check_patched(
            object(),
            json!([{"op": "add", "path": "/l/1", "value": 9}]),
            json!({"a": {"b": 1}, "l": [1, 9, 2]}),
        );
        check_patched(
            object(),
            json!([{"op": "add", "path": "/l/-", "value": 9}]),
            json!({"a": {"b": 1}, "l": [1, 2, 9]}),
        );
        check_patched(object(), json!([{"op": "remove", "path": "/a/b"}]), json!({"a": {}, "l": [1, 2]}));
        check_patched(
            object(),
            json!([{"op": "replace", "path": "/l/0", "value": 9}]),
            json!({"a": {"b": 1}, "l": [9, 2]}),
        );
        check_patched(
            object(),
            json!([{"op": "move", "from": "/a/b", "path": "/m"}]),
            json!({"a": {}, "l": [1, 2], "m": 1}),
        );
        check_patched(
            object(),
            json!([{"op": "copy", "from": "/a", "path": "/m"}]),
            json!({"a": {"b": 1}, "l": [1, 2], "m": {"b": 1}}),
        );
        check_patched(object(), json!([{"op": "test", "path": "/a/b", "value": 1}]), object());
        check_patched(
            json!({"x/y": {"~": 1}}),
            json!([{"op": "remove", "path": "/x~1y/~0"}]),
            json!({"x/y": {}}),
        );
    }

    #[test]
    fn a_failing_operation_leaves_the_object_unchanged() {
        let object = || json!({"a": {"b": 1}, "l": [1, 2]});
        for operation in [
            json!({"op": "remove", "path": "/zz"}),
            json!({"op": "add", "path": "/zz/b", "value": 1}),
            json!({"op": "add", "path": "/l/3", "value": 1}),
            json!({"op": "add", "path": "/l/x", "value": 1}),
            json!({"op": "replace", "path": "/l/2", "value": 1}),
            json!({"op": "test", "path": "/a/b", "value": 2}),
            json!({"op": "test", "path": "/zz", "value": 2}),
            json!({"op": "move", "from": "/zz", "path": "/m"}),
            json!({"op": "frob", "path": "/a"}),
            json!({"op": "add", "path": "a", "value": 1}),
            json!({"op": "add", "path": "/a/b/c", "value": 1}),
            json!({"path": "/a"}),
            json!({"op": "remove"}),
        ] {
            let patch = json!([{"op": "add", "path": "/new", "value": 1}, operation]);
            let (result, target) = apply_to(object(), patch);
            assert!(matches!(result, Err(PatchError::Unprocessable(_))), "{operation}: {result:?}");
            assert_eq!(target, object(), "{operation}");
        }
    }

    #[test]
    fn patches_deviate_from_the_rfc_as_in_the_api_server() {
        check_patched(
            json!({"a": 1}),
            json!([{"op": "replace", "path": "/b", "value": 2}]),
            json!({"a": 1, "b": 2}),
        );
        check_patched(
            json!({"a": 1}),
            json!([{"op": "copy", "from": "/z", "path": "/b"}]),
            json!({"a": 1, "b": null}),
        );
        check_patched(json!({"a": 1}), json!([{"op": "add", "path": "/b"}]), json!({"a": 1, "b": null}));
        check_patched(json!({"a": 1}), json!([{"op": "test", "path": "/b", "value": null}]), json!({"a": 1}));
        check_patched(
            json!({"l": [1, 2, 3]}),
            json!([{"op": "remove", "path": "/l/-1"}]),
            json!({"l": [1, 2]}),
        );
    }

    #[test]
    fn malformed_and_too_long_patches_are_rejected() {
        let refuse = |patch: Value| apply_json_patch(&mut json!({}), &patch).unwrap_err();
        let cannot = |found: &str, expected: &str| {
            let text = format!(
                "error decoding patch: json: cannot unmarshal {found} into Go value of type {expected}"
            );
            PatchError::BadRequest(text)
        };
        assert_eq!(refuse(json!({"op": "add"})), cannot("object", "[]handlers.jsonPatchOp"));
        assert_eq!(refuse(json!([1])), cannot("number", "handlers.jsonPatchOp"));
        let many: Value =
            std::iter::repeat_n(json!({"op": "test", "path": "/a"}), MAX_OPERATIONS + 1).collect();
        assert!(matches!(refuse(many), PatchError::TooLarge(_)));
    }

    #[test]
    fn the_total_size_of_copies_is_limited() {
        // Each copy doubles the size of the object. kube-apiserver 1.37.2 accepts 17 of these copies.
        let copy = |at| json!({"op": "copy", "from": "/spec", "path": format!("/spec/c{at}")});
        let copied = |count| apply_to(json!({"spec": {"x": "0123456789"}}), (0..count).map(copy).collect()).0;
        assert_eq!(copied(17), Ok(()));
        for count in [18, 60] {
            assert!(matches!(copied(count), Err(PatchError::Unprocessable(_))), "{count}");
        }
    }

    #[test]
    fn a_result_that_exceeds_the_nesting_limit_is_rejected() {
        let copy = json!({"op": "copy", "from": "/a", "path": "/a/a"});
        let copied = |count| apply_to(json!({"a": {}}), vec![copy.clone(); count].into()).0;
        assert_eq!(copied(100), Ok(()));
        assert!(matches!(copied(1000), Err(PatchError::Unprocessable(_))));
        let mut nested = json!(1);
        for _ in 0..120 {
            nested = json!({"a": nested});
        }
        let add = json!([{"op": "add", "path": "/a".repeat(120), "value": nested}]);
        assert!(matches!(apply_to(nested, add).0, Err(PatchError::Unprocessable(_))));
    }

    proptest! {
        #[test]
        fn moving_a_field_back_restores_the_object(value in any::<i64>(), other in any::<bool>()) {
            let before = json!({"a": value, "b": {"x": other}});
            let mut target = before.clone();
            let patch = json!([{"op": "move", "from": "/a", "path": "/b/a"}, {"op": "move", "from": "/b/a", "path": "/a"}]);
            apply_json_patch(&mut target, &patch).unwrap();
            prop_assert_eq!(target, before);
        }

        #[test]
        fn arbitrary_operations_do_not_panic(path in "(/[a~01l2-]{0,3}){0,4}", op in "add|remove|replace|move|copy|test", from in "(/[al0-]{0,2}){0,3}") {
            let patch = json!([{"op": op, "path": path, "from": from, "value": 1}]);
            let _ = apply_json_patch(&mut json!({"a": {"l": [1, {"a": 2}]}, "l": []}), &patch);
        }
    }
}
