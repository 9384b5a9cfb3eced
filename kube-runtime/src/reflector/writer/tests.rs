//! What events do to a store.

use super::*;
use crate::reflector::ObjectRef;
use crate::reflector::WriterDropped;
use k8s_openapi::api::core::v1::ConfigMap;

fn object(name: &str, version: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object.metadata.namespace = Some("ns".into());
    object.metadata.resource_version = Some(version.into());
    object
}

fn undecodable(name: &str, origin: ObjectOrigin) -> UndecodableObject {
    let source = serde_json::from_str::<u8>("x").unwrap_err();
    let mut object = UndecodableObject::new("ConfigMap", origin, source);
    object.name = Some(name.into());
    object.namespace = Some("ns".into());
    object
}

fn names(store: &Store<ConfigMap>) -> Vec<String> {
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

fn filled() -> (Store<ConfigMap>, Writer<ConfigMap>) {
    let (reader, mut writer) = store();
    for event in
        [Event::Init, Event::InitApply(object("a", "1")), Event::InitApply(object("b", "2")), Event::InitDone]
    {
        writer.apply_watcher_event(event);
    }
    (reader, writer)
}

#[test]
fn readers_see_a_new_state_only_once_it_is_complete() {
    let (reader, mut writer) = filled();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("c", "3")));
    assert_eq!(names(&reader), ["a@1", "b@2"]);
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names(&reader), ["c@3"]);
}

#[test]
fn a_change_that_does_not_decode_does_not_bring_an_older_state_back() {
    let (reader, mut writer) = filled();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", "5")));
    // While the new state streams in, both have changed.
    writer.apply_undecodable(&undecodable("a", ObjectOrigin::Modified));
    writer.apply_undecodable(&undecodable("b", ObjectOrigin::Modified));
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names(&reader), ["a@5", "b@2"]);
}

#[test]
fn reports_what_vanished_during_a_relist() {
    let (_reader, mut writer) = filled();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("b", "2")));
    let change = writer.apply_watcher_event(Event::InitDone);
    let vanished: Vec<_> = change.vanished.iter().map(|o| o.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(vanished, ["a"]);
}

#[test]
fn a_relist_that_begins_anew_forgets_its_first_half() {
    let (reader, mut writer) = filled();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("half", "9")));
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", "1")));
    writer.apply_watcher_event(Event::InitApply(object("gone", "8")));
    writer.apply_watcher_event(Event::Delete(object("gone", "9")));
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names(&reader), ["a@1"]);
}

#[test]
fn objects_that_have_not_changed_are_not_held_twice() {
    let (reader, mut writer) = filled();
    let key = ObjectRef::new("a").within("ns");
    let before = reader.get(&key).unwrap();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", "1")));
    writer.apply_watcher_event(Event::InitDone);
    assert!(Arc::ptr_eq(&before, &reader.get(&key).unwrap()));
}

#[test]
fn changes_tell_the_state_before() {
    let (reader, mut writer) = filled();
    let change = writer.apply_watcher_event(Event::Apply(object("a", "5")));
    assert_eq!(change.previous().unwrap().metadata.resource_version.as_deref(), Some("1"));
    assert!(writer.apply_watcher_event(Event::Apply(object("new", "6"))).previous.is_none());
    writer.apply_watcher_event(Event::Delete(object("b", "7")));
    assert_eq!(names(&reader), ["a@5", "new@6"]);
}

#[test]
fn what_does_not_decode_stays_as_it_was_known_until_it_is_deleted() {
    let (reader, mut writer) = filled();
    assert!(writer.apply_undecodable(&undecodable("a", ObjectOrigin::Modified)).is_none());
    writer.apply_watcher_event(Event::Init);
    assert!(writer.apply_undecodable(&undecodable("a", ObjectOrigin::List)).is_none());
    let change = writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names(&reader), ["a@1"]);
    assert_eq!(change.vanished.len(), 1);
    let change = writer.apply_undecodable(&undecodable("a", ObjectOrigin::Deleted)).unwrap();
    assert!(matches!(change.event, Event::Delete(o) if o.metadata.name.as_deref() == Some("a")));
    assert!(reader.is_empty());
}

#[tokio::test]
async fn is_ready_after_the_first_complete_state_and_not_before() {
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
fn a_deletion_during_a_relist_is_reported_once_even_if_the_relist_begins_anew() {
    let vanished = |change: Change<ConfigMap>| {
        let names = change.vanished.iter().map(|object| object.metadata.name.clone().unwrap());
        names.collect::<Vec<_>>()
    };
    for anew in [false, true] {
        let (reader, mut writer) = filled();
        writer.apply_watcher_event(Event::Init);
        writer.apply_watcher_event(Event::InitApply(object("a", "1")));
        let change = writer.apply_watcher_event(Event::Delete(object("a", "3")));
        assert!(matches!(&change.event, Event::Delete(_)) && change.deletes_known);
        if anew {
            writer.apply_watcher_event(Event::Init);
        }
        assert!(!writer.apply_watcher_event(Event::Delete(object("a", "3"))).deletes_known);
        assert_eq!(vanished(writer.apply_watcher_event(Event::InitDone)), ["b"]);
        assert!(reader.is_empty());
    }
}

#[test]
fn an_object_that_comes_again_during_a_relist_is_new_and_may_vanish_again() {
    let (reader, mut writer) = filled();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::Delete(object("a", "3")));
    // It exists again, but no state of it is known.
    assert!(writer.apply_undecodable(&undecodable("a", ObjectOrigin::Added)).is_none());
    assert!(writer.apply_watcher_event(Event::InitApply(object("a", "4"))).previous().is_none());
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("b", "2")));
    let change = writer.apply_watcher_event(Event::InitDone);
    assert_eq!(change.vanished.len(), 1);
    assert_eq!(names(&reader), ["b@2"]);
}
