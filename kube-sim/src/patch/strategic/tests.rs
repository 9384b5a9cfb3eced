//! Tests of strategic merge patch with the schemas of built-in kinds.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{PatchError, apply_strategic_patch};
use crate::schema::Schema;

fn pod_spec() -> Arc<Schema> {
    crate::builtin::schema("io.k8s.api.core.v1.PodSpec").unwrap()
}

fn deployment_spec() -> Arc<Schema> {
    crate::builtin::schema("io.k8s.api.apps.v1.DeploymentSpec").unwrap()
}

fn object_meta() -> Arc<Schema> {
    crate::builtin::schema("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap()
}

#[track_caller]
fn check_patched(schema: &Schema, mut target: Value, patch: Value, expected: &Value) {
    apply_strategic_patch(schema, &mut target, patch).unwrap();
    assert_eq!(&target, expected);
}

#[track_caller]
fn patch_error(schema: &Schema, mut target: Value, patch: Value) -> PatchError {
    apply_strategic_patch(schema, &mut target, patch).unwrap_err()
}

#[test]
fn maps_are_merged_and_null_removes_a_field() {
    check_patched(
        &object_meta(),
        json!({"labels": {"a": "1", "b": "2"}, "name": "x"}),
        json!({"labels": {"b": null, "c": "3"}, "annotations": {"d": null, "e": "4"}}),
        &json!({"labels": {"a": "1", "c": "3"}, "name": "x", "annotations": {"e": "4"}}),
    );
}

#[test]
fn items_are_merged_by_merge_key() {
    check_patched(
        &pod_spec(),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
        &json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
    );
    check_patched(
        &pod_spec(),
        json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}),
        &json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]}),
    );
}

#[test]
fn lists_without_a_patch_strategy_are_replaced() {
    check_patched(
        &pod_spec(),
        json!({"tolerations": [{"key": "a"}, {"key": "b"}]}),
        json!({"tolerations": [{"key": "c"}]}),
        &json!({"tolerations": [{"key": "c"}]}),
    );
}

#[test]
fn item_directives_delete_an_item_or_replace_the_list() {
    let target = || json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
    check_patched(
        &pod_spec(),
        target(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        &json!({"containers": [{"name": "b", "image": "1"}]}),
    );
    check_patched(
        &pod_spec(),
        target(),
        json!({"containers": [{"name": "c"}, {"$patch": "replace"}]}),
        &json!({"containers": [{"name": "c"}]}),
    );
    assert_eq!(
        patch_error(&pod_spec(), target(), json!({"containers": [{"name": "a", "$patch": "merge"}]})),
        PatchError::Internal("merging lists cannot yet be specified in the patch".to_owned())
    );
}

#[test]
fn map_directives_clear_or_replace_the_map() {
    let target = || json!({"labels": {"a": "1"}, "name": "x"});
    check_patched(
        &object_meta(),
        target(),
        json!({"labels": {"$patch": "replace", "b": "2"}}),
        &json!({"labels": {"b": "2"}, "name": "x"}),
    );
    check_patched(
        &object_meta(),
        target(),
        json!({"labels": {"$patch": "delete"}}),
        &json!({"labels": {}, "name": "x"}),
    );
    check_patched(&object_meta(), target(), json!({"annotations": {"$patch": "delete"}}), &target());
    assert_eq!(
        patch_error(&object_meta(), target(), json!({"labels": {"$patch": "frob"}})),
        PatchError::Internal("unknown patch type: frob in map: map[$patch:frob]".to_owned())
    );
}

#[test]
fn the_retain_keys_directive_removes_all_other_fields() {
    check_patched(
        &deployment_spec(),
        json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
        json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
        &json!({"strategy": {"type": "Recreate"}}),
    );
    let error =
        patch_error(&object_meta(), json!({}), json!({"$retainKeys": ["name"], "labels": {"a": "b"}}));
    assert_eq!(error, PatchError::BadRequest("invalid patch format of retainKeys".to_owned()));
    let error = patch_error(&object_meta(), json!({}), json!({"$retainKeys": "name"}));
    assert_eq!(error, PatchError::BadRequest("invalid patch format of retainKeys".to_owned()));
}

#[test]
fn a_patch_adds_and_deletes_items_of_primitive_lists() {
    check_patched(
        &object_meta(),
        json!({"finalizers": ["a/b", "c/d"]}),
        json!({"finalizers": ["c/d", "e/f"]}),
        &json!({"finalizers": ["a/b", "c/d", "e/f"]}),
    );
    check_patched(
        &object_meta(),
        json!({"finalizers": ["a/b", "c/d"]}),
        json!({"$deleteFromPrimitiveList/finalizers": ["a/b"]}),
        &json!({"finalizers": ["c/d"]}),
    );
    check_patched(
        &object_meta(),
        json!({"name": "x"}),
        json!({"$deleteFromPrimitiveList/finalizers": ["a/b"]}),
        &json!({"name": "x"}),
    );
    let error = patch_error(&object_meta(), json!({}), json!({"$deleteFromPrimitiveList": ["a"]}));
    assert_eq!(error, PatchError::BadRequest("invalid patch format of primitive list".to_owned()));
}

#[test]
fn the_set_element_order_directive_sorts_the_list() {
    check_patched(
        &pod_spec(),
        json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "s"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "2"}]}),
        &json!({"containers": [{"name": "b"}, {"name": "a", "image": "2"}, {"name": "s"}]}),
    );
    check_patched(
        &object_meta(),
        json!({"finalizers": ["a/a", "b/b"]}),
        json!({"$setElementOrder/finalizers": ["b/b", "a/a"]}),
        &json!({"finalizers": ["b/b", "a/a"]}),
    );
    let error = patch_error(
        &pod_spec(),
        json!({"containers": [{"name": "a"}]}),
        json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "z"}]}),
    );
    let PatchError::Internal(text) = error else { panic!("{error:?}") };
    assert!(
        text.starts_with("The order in patch list:\n[map[name:z]]\n doesn't match $setElementOrder list:"),
        "{text}"
    );
}

#[test]
fn items_must_have_their_merge_key() {
    let error = patch_error(
        &pod_spec(),
        json!({"containers": [{"name": "a"}]}),
        json!({"containers": [{"image": "x"}]}),
    );
    let text = "map: map[image:x] does not contain declared merge key: name";
    assert_eq!(error, PatchError::Internal(text.to_owned()));
}

#[test]
fn patches_and_element_orders_of_the_wrong_type_are_rejected() {
    let text = "json: cannot unmarshal array into Go value of type map[string]interface {}";
    assert_eq!(patch_error(&object_meta(), json!({}), json!([])), PatchError::BadRequest(text.to_owned()));
    let error = patch_error(&object_meta(), json!({}), json!({"$setElementOrder/finalizers": "x"}));
    assert_eq!(error, PatchError::Internal("expected a []interface {}, but received a string".to_owned()));
}

fn any_containers() -> impl Strategy<Value = Value> {
    let item = ("[a-e]", "[0-9]").prop_map(|(name, image)| json!({"name": name, "image": image}));
    prop::collection::vec(item, 0..5).prop_map(|items| {
        let mut seen = std::collections::HashSet::new();
        items.into_iter().filter(|item| seen.insert(item["name"].to_string())).collect()
    })
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(containers in any_containers()) {
        let before = json!({"containers": containers, "hostNetwork": true});
        let mut target = before.clone();
        apply_strategic_patch(&pod_spec(), &mut target, json!({})).unwrap();
        prop_assert_eq!(target, before);
    }

    #[test]
    fn patching_is_idempotent(before in any_containers(), patch in any_containers()) {
        let patch = json!({"containers": patch});
        let mut once = json!({"containers": before});
        apply_strategic_patch(&pod_spec(), &mut once, patch.clone()).unwrap();
        let mut twice = once.clone();
        apply_strategic_patch(&pod_spec(), &mut twice, patch).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn the_result_contains_each_item_of_the_patch_once(before in any_containers(), patch in any_containers()) {
        let mut target = json!({"containers": before});
        apply_strategic_patch(&pod_spec(), &mut target, json!({"containers": patch})).unwrap();
        for item in patch.as_array().unwrap() {
            let found = target["containers"].as_array().unwrap().iter().filter(|other| *other == item).count();
            prop_assert_eq!(found, 1);
        }
    }
}
