//! Tests of strategic merge patch with the schemas of built-in kinds.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{PatchError, strategic};
use crate::schema::Schema;

fn pod_spec() -> Arc<Schema> {
    crate::builtin::schema("io.k8s.api.core.v1.PodSpec").unwrap()
}

fn deployment_spec() -> Arc<Schema> {
    crate::builtin::schema("io.k8s.api.apps.v1.DeploymentSpec").unwrap()
}

fn meta() -> Arc<Schema> {
    crate::builtin::schema("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").unwrap()
}

#[track_caller]
fn check(schema: &Schema, mut target: Value, patch: Value, expected: &Value) {
    strategic(schema, &mut target, patch).unwrap();
    assert_eq!(&target, expected);
}

#[track_caller]
fn error_of(schema: &Schema, mut target: Value, patch: Value) -> PatchError {
    strategic(schema, &mut target, patch).unwrap_err()
}

#[test]
fn maps_merge_and_null_removes_a_field() {
    check(
        &meta(),
        json!({"labels": {"a": "1", "b": "2"}, "name": "x"}),
        json!({"labels": {"b": null, "c": "3"}, "annotations": {"d": null, "e": "4"}}),
        &json!({"labels": {"a": "1", "c": "3"}, "name": "x", "annotations": {"e": "4"}}),
    );
}

#[test]
fn items_merge_by_merge_key_and_new_items_come_first() {
    check(
        &pod_spec(),
        json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}),
        json!({"containers": [{"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
        &json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c", "image": "3"}]}),
    );
    check(
        &pod_spec(),
        json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]}]}),
        json!({"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}),
        &json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}]}),
    );
}

#[test]
fn lists_without_a_merge_key_are_replaced() {
    check(
        &pod_spec(),
        json!({"tolerations": [{"key": "a"}, {"key": "b"}]}),
        json!({"tolerations": [{"key": "c"}]}),
        &json!({"tolerations": [{"key": "c"}]}),
    );
}

#[test]
fn item_directives_delete_and_replace() {
    let target = || json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
    check(
        &pod_spec(),
        target(),
        json!({"containers": [{"name": "a", "$patch": "delete"}]}),
        &json!({"containers": [{"name": "b", "image": "1"}]}),
    );
    check(
        &pod_spec(),
        target(),
        json!({"containers": [{"name": "c"}, {"$patch": "replace"}]}),
        &json!({"containers": [{"name": "c"}]}),
    );
    assert_eq!(
        error_of(&pod_spec(), target(), json!({"containers": [{"name": "a", "$patch": "merge"}]})),
        PatchError::Internal("merging lists cannot yet be specified in the patch".to_owned())
    );
}

#[test]
fn map_directives_delete_and_replace() {
    let target = || json!({"labels": {"a": "1"}, "name": "x"});
    check(
        &meta(),
        target(),
        json!({"labels": {"$patch": "replace", "b": "2"}}),
        &json!({"labels": {"b": "2"}, "name": "x"}),
    );
    check(&meta(), target(), json!({"labels": {"$patch": "delete"}}), &json!({"labels": {}, "name": "x"}));
    check(&meta(), target(), json!({"annotations": {"$patch": "delete"}}), &target());
    assert_eq!(
        error_of(&meta(), target(), json!({"labels": {"$patch": "frob"}})),
        PatchError::Internal("unknown patch type: frob in map: map[$patch:frob]".to_owned())
    );
}

#[test]
fn retain_keys_drops_all_other_fields() {
    check(
        &deployment_spec(),
        json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
        json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
        &json!({"strategy": {"type": "Recreate"}}),
    );
    let error = error_of(&meta(), json!({}), json!({"$retainKeys": ["name"], "labels": {"a": "b"}}));
    assert_eq!(error, PatchError::BadRequest("invalid patch format of retainKeys".to_owned()));
    let error = error_of(&meta(), json!({}), json!({"$retainKeys": "name"}));
    assert_eq!(error, PatchError::BadRequest("invalid patch format of retainKeys".to_owned()));
}

#[test]
fn primitive_lists_merge_as_sets() {
    check(
        &meta(),
        json!({"finalizers": ["a/b", "c/d"]}),
        json!({"finalizers": ["c/d", "e/f"]}),
        &json!({"finalizers": ["a/b", "c/d", "e/f"]}),
    );
    check(
        &meta(),
        json!({"finalizers": ["a/b", "c/d"]}),
        json!({"$deleteFromPrimitiveList/finalizers": ["a/b"]}),
        &json!({"finalizers": ["c/d"]}),
    );
    check(
        &meta(),
        json!({"name": "x"}),
        json!({"$deleteFromPrimitiveList/finalizers": ["a/b"]}),
        &json!({"name": "x"}),
    );
    let error = error_of(&meta(), json!({}), json!({"$deleteFromPrimitiveList": ["a"]}));
    assert_eq!(error, PatchError::BadRequest("invalid patch format of primitive list".to_owned()));
}

#[test]
fn set_element_order_orders_the_list() {
    check(
        &pod_spec(),
        json!({"containers": [{"name": "a"}, {"name": "b"}, {"name": "s"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "2"}]}),
        &json!({"containers": [{"name": "b"}, {"name": "a", "image": "2"}, {"name": "s"}]}),
    );
    check(
        &meta(),
        json!({"finalizers": ["a/a", "b/b"]}),
        json!({"$setElementOrder/finalizers": ["b/b", "a/a"]}),
        &json!({"finalizers": ["b/b", "a/a"]}),
    );
    let error = error_of(
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
    let error = error_of(
        &pod_spec(),
        json!({"containers": [{"name": "a"}]}),
        json!({"containers": [{"image": "x"}]}),
    );
    let text = "map: map[image:x] does not contain declared merge key: name";
    assert_eq!(error, PatchError::Internal(text.to_owned()));
}

#[test]
fn a_patch_that_is_not_an_object_is_rejected() {
    let text = "json: cannot unmarshal array into Go value of type map[string]interface {}";
    assert_eq!(error_of(&meta(), json!({}), json!([])), PatchError::BadRequest(text.to_owned()));
    let error = error_of(&meta(), json!({}), json!({"$setElementOrder/finalizers": "x"}));
    assert_eq!(error, PatchError::Internal("expected a []interface {}, but received a string".to_owned()));
}

fn containers() -> impl Strategy<Value = Value> {
    let item = ("[a-e]", "[0-9]").prop_map(|(name, image)| json!({"name": name, "image": image}));
    prop::collection::vec(item, 0..5).prop_map(|items| {
        let mut seen = std::collections::HashSet::new();
        items.into_iter().filter(|item| seen.insert(item["name"].to_string())).collect()
    })
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(containers in containers()) {
        let before = json!({"containers": containers, "hostNetwork": true});
        let mut target = before.clone();
        strategic(&pod_spec(), &mut target, json!({})).unwrap();
        prop_assert_eq!(target, before);
    }

    #[test]
    fn patching_is_idempotent(before in containers(), patch in containers()) {
        let patch = json!({"containers": patch});
        let mut once = json!({"containers": before});
        strategic(&pod_spec(), &mut once, patch.clone()).unwrap();
        let mut twice = once.clone();
        strategic(&pod_spec(), &mut twice, patch).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn the_result_contains_each_item_of_the_patch_once(before in containers(), patch in containers()) {
        let mut target = json!({"containers": before});
        strategic(&pod_spec(), &mut target, json!({"containers": patch})).unwrap();
        for item in patch.as_array().unwrap() {
            let found = target["containers"].as_array().unwrap().iter().filter(|other| *other == item).count();
            prop_assert_eq!(found, 1);
        }
    }
}
