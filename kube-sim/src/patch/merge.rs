//! JSON Merge Patch (RFC 7386).
//!
//! This module owns the algorithm, which does not use schemas.

use serde_json::{Map, Value};

use super::PatchError;
use crate::go_json::unmarshal_error;

/// Merges `patch` into `target`. Objects are merged field by field, a null removes the field, and any other value
/// replaces the field.
///
/// # Errors
/// `patch` is not an object.
pub(crate) fn apply_merge_patch(target: &mut Value, patch: Value) -> Result<(), PatchError> {
    if patch.is_null() {
        return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned()));
    }
    if !patch.is_object() {
        let problem = unmarshal_error(&patch, "map[string]interface {}");
        return Err(PatchError::BadRequest(format!("error decoding patch: {problem}")));
    }
    merge_value(target, patch);
    Ok(())
}

/// Merges `patch` into `target`. Both may be any JSON value.
fn merge_value(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = without_null_fields(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else {
            merge_value(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Removes the null fields of objects in `value`, at every depth; null list items are kept. In contrast to the RFC,
/// the API server removes the null fields even of objects in lists.
fn without_null_fields(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_null_fields).collect(),
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_null_fields(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7386, appendix A, in which the patch is an object.
    #[test]
    fn the_example_patches_of_rfc_7386_are_applied() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ];
        for (mut target, patch, expected) in cases {
            apply_merge_patch(&mut target, patch.clone()).unwrap();
            assert_eq!(target, expected, "{patch}");
        }
    }

    /// The expected results are those of kube-apiserver 1.37.2.
    #[test]
    fn null_fields_in_lists_are_dropped_and_null_items_are_kept() {
        let cases = [
            (json!({"p": [null, 5]}), json!({"p": [null, 5]})),
            (json!({"p": [{"a": null, "b": 1}]}), json!({"p": [{"b": 1}]})),
            (json!({"p": [[{"a": null}]]}), json!({"p": [[{}]]})),
            (json!({"p": {"new": {"a": null, "b": [{"c": null}]}}}), json!({"p": {"new": {"b": [{}]}}})),
        ];
        for (patch, expected) in cases {
            let mut target = json!({"p": 1});
            apply_merge_patch(&mut target, patch.clone()).unwrap();
            assert_eq!(target, expected, "{patch}");
        }
    }

    #[test]
    fn a_patch_that_is_not_an_object_is_rejected() {
        let error = apply_merge_patch(&mut json!({}), json!([])).unwrap_err();
        let text = "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}";
        assert_eq!(error, PatchError::BadRequest(text.to_owned()));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    fn any_object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-d]", any_value(), 0..4).prop_map(|map| map.into_iter().collect())
    }

    /// The merge patch that changes `old` to `new`.
    fn difference(old: &Value, new: &Value) -> Value {
        let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
        let mut patch = Map::new();
        for name in old.keys().filter(|name| !new.contains_key(*name)) {
            patch.insert(name.clone(), Value::Null);
        }
        for (name, value) in new {
            if old.get(name) != Some(value) {
                let absent = Value::Null;
                patch.insert(name.clone(), difference(old.get(name).unwrap_or(&absent), value));
            }
        }
        Value::Object(patch)
    }

    proptest! {
        #[test]
        fn the_difference_patch_turns_old_into_new(old in any_object(), new in any_object()) {
            let mut target = old.clone();
            apply_merge_patch(&mut target, difference(&old, &new)).unwrap();
            prop_assert_eq!(target, new);
        }

        #[test]
        fn merging_is_idempotent(target in any_object(), patch in any_object()) {
            let mut once = target;
            apply_merge_patch(&mut once, patch.clone()).unwrap();
            let mut twice = once.clone();
            apply_merge_patch(&mut twice, patch).unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}
