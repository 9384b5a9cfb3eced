//! Tests of the effect of events on a store.

use super::*;
use crate::reflector::ObjectRef;
use crate::reflector::WriterDropped;
use k8s_openapi::api::core::v1::ConfigMap;

/// The config map `name` in the namespace `ns`, with this resource version.
fn object(name: &str, version: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object.metadata.namespace = Some("ns".into());
    object.metadata.resource_version = Some(version.into());
    object
}

/// The undecodable config map `name` in the namespace `ns`.
fn undecodable(name: &str, origin: ObjectOrigin) -> UndecodableObject {
    let source = serde_json::from_str::<u8>("x").unwrap_err();
    let mut object = UndecodableObject::new("ConfigMap", origin, source);
    object.name = Some(name.into());
    object.namespace = Some("ns".into());
    object
}

/// The stored objects as `name@resourceVersion`, sorted.
fn names_and_versions(store: &Store<ConfigMap>) -> Vec<String> {
    let mut names: Vec<_> = store
        .state()
        .iter()
        .map(|o| {
            let meta = &o.metadata;
            format!("{}@{}", meta.name.as_deref().unwrap(), meta.resource_version.as_deref().unwrap())
        })
        .collect();
    names.sort();
    names
}

/// A store with the objects `a` and `b`, and its writer.
fn store_with_a_and_b() -> (Store<ConfigMap>, Writer<ConfigMap>) {
    let (reader, mut writer) = store();
    for event in
        [Event::Init, Event::InitApply(object("a", "1")), Event::InitApply(object("b", "2")), Event::InitDone]
    {
        writer.apply_watcher_event(event);
    }
    (reader, writer)
}

#[test]
fn swaps_the_map_at_the_end_of_a_snapshot() {
    let (reader, mut writer) = store_with_a_and_b();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("c", "3")));
    assert_eq!(names_and_versions(&reader), ["a@1", "b@2"]);
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names_and_versions(&reader), ["c@3"]);
}

#[test]
fn an_undecodable_change_does_not_restore_an_older_state() {
    let (reader, mut writer) = store_with_a_and_b();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", "5")));
    // Both objects change during the snapshot.
    writer.apply_undecodable(&undecodable("a", ObjectOrigin::Modified));
    writer.apply_undecodable(&undecodable("b", ObjectOrigin::Modified));
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names_and_versions(&reader), ["a@5", "b@2"]);
}

#[test]
fn reports_objects_missing_from_a_relist() {
    let (_reader, mut writer) = store_with_a_and_b();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("b", "2")));
    let change = writer.apply_watcher_event(Event::InitDone);
    let vanished: Vec<_> = change.vanished.iter().map(|o| o.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(vanished, ["a"]);
}

#[test]
fn a_restarted_relist_discards_the_objects_of_the_first_attempt() {
    let (reader, mut writer) = store_with_a_and_b();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("half", "9")));
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", "1")));
    writer.apply_watcher_event(Event::InitApply(object("gone", "8")));
    writer.apply_watcher_event(Event::Delete(object("gone", "9")));
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names_and_versions(&reader), ["a@1"]);
}

#[test]
fn shares_unchanged_objects_after_a_relist() {
    let (reader, mut writer) = store_with_a_and_b();
    let key = ObjectRef::new("a").within("ns");
    let before = reader.get(&key).unwrap();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", "1")));
    writer.apply_watcher_event(Event::InitDone);
    assert!(Arc::ptr_eq(&before, &reader.get(&key).unwrap()));
}

#[test]
fn a_change_contains_the_previous_state_of_its_object() {
    let (reader, mut writer) = store_with_a_and_b();
    let change = writer.apply_watcher_event(Event::Apply(object("a", "5")));
    assert_eq!(change.previous().unwrap().metadata.resource_version.as_deref(), Some("1"));
    assert!(writer.apply_watcher_event(Event::Apply(object("new", "6"))).previous.is_none());
    writer.apply_watcher_event(Event::Delete(object("b", "7")));
    assert_eq!(names_and_versions(&reader), ["a@5", "new@6"]);
}

#[test]
fn keeps_the_last_state_of_an_undecodable_object_until_its_deletion() {
    let (reader, mut writer) = store_with_a_and_b();
    assert!(writer.apply_undecodable(&undecodable("a", ObjectOrigin::Modified)).is_none());
    writer.apply_watcher_event(Event::Init);
    assert!(writer.apply_undecodable(&undecodable("a", ObjectOrigin::List)).is_none());
    let change = writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names_and_versions(&reader), ["a@1"]);
    assert_eq!(change.vanished.len(), 1);
    let change = writer.apply_undecodable(&undecodable("a", ObjectOrigin::Deleted)).unwrap();
    assert!(matches!(change.event, Event::Delete(o) if o.metadata.name.as_deref() == Some("a")));
    assert!(reader.is_empty());
}

#[tokio::test]
async fn is_ready_after_the_first_complete_snapshot() {
    let (reader, mut writer) = store::<ConfigMap>();
    writer.apply_watcher_event(Event::Init);
    assert!(!reader.is_ready());
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(reader.wait_until_ready().await, Ok(()));
    drop(writer);
    assert_eq!(reader.wait_until_ready().await, Ok(()));
    let (reader, writer) = store::<ConfigMap>();
    drop(writer);
    assert_eq!(reader.wait_until_ready().await, Err(WriterDropped));
}

#[test]
fn reports_a_deletion_once_if_the_relist_restarts() {
    let vanished = |change: Change<ConfigMap>| {
        let names = change.vanished.iter().map(|object| object.metadata.name.clone().unwrap());
        names.collect::<Vec<_>>()
    };
    for restarts in [false, true] {
        let (reader, mut writer) = store_with_a_and_b();
        writer.apply_watcher_event(Event::Init);
        writer.apply_watcher_event(Event::InitApply(object("a", "1")));
        let change = writer.apply_watcher_event(Event::Delete(object("a", "3")));
        assert!(matches!(&change.event, Event::Delete(_)) && change.deletes_known);
        if restarts {
            writer.apply_watcher_event(Event::Init);
        }
        assert!(!writer.apply_watcher_event(Event::Delete(object("a", "3"))).deletes_known);
        assert_eq!(vanished(writer.apply_watcher_event(Event::InitDone)), ["b"]);
        assert!(reader.is_empty());
    }
}

#[test]
fn an_object_created_again_during_a_relist_is_new_and_may_be_deleted_again() {
    let (reader, mut writer) = store_with_a_and_b();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::Delete(object("a", "3")));
    // The object exists again, in an unknown state.
    assert!(writer.apply_undecodable(&undecodable("a", ObjectOrigin::Added)).is_none());
    assert!(writer.apply_watcher_event(Event::InitApply(object("a", "4"))).previous().is_none());
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("b", "2")));
    let change = writer.apply_watcher_event(Event::InitDone);
    assert_eq!(change.vanished.len(), 1);
    assert_eq!(names_and_versions(&reader), ["b@2"]);
}
