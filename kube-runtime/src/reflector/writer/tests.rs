//! Tests of the effect of events on a store.

use super::*;
use crate::reflector::{DeltaKind, ObjectRef, WriterDropped};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::core::ObjectOrigin;

/// The config map `name` in the namespace `ns`, with this resource version.
fn object(name: &str, version: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object.metadata.namespace = Some("ns".into());
    object.metadata.resource_version = Some(version.into());
    object
}

/// The undecodable config map `name` in the namespace `ns`.
fn undecodable_object(name: &str, origin: ObjectOrigin) -> UndecodableObject {
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

/// Like [`object`], but with a uid.
fn object_with_uid(name: &str, version: &str, uid: &str) -> ConfigMap {
    let mut object = object(name, version);
    object.metadata.uid = Some(uid.into());
    object
}

/// The deltas of a change as text: `+a1` adds the object `a` with version 1, `~a1` modifies it, and `-a1` deletes it.
fn deltas_as_text(change: Change<ConfigMap>) -> Vec<String> {
    let text = |delta: Delta<ConfigMap>| {
        let sign = match delta.kind() {
            DeltaKind::Added => "+",
            DeltaKind::Modified => "~",
            DeltaKind::Deleted => "-",
        };
        let meta = &delta.last().unwrap().metadata;
        format!("{sign}{}{}", meta.name.as_deref().unwrap(), meta.resource_version.as_deref().unwrap())
    };
    change.into_deltas().map(text).collect()
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
fn readers_see_the_new_objects_only_after_the_end_of_a_snapshot() {
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
    // Both objects change during the snapshot, and their new states do not decode.
    writer.apply_undecodable(&undecodable_object("a", ObjectOrigin::Modified));
    writer.apply_undecodable(&undecodable_object("b", ObjectOrigin::Modified));
    writer.apply_watcher_event(Event::InitDone);
    assert_eq!(names_and_versions(&reader), ["a@5", "b@2"]);
}

#[test]
fn an_object_that_a_relist_does_not_contain_is_deleted() {
    let (_reader, mut writer) = store_with_a_and_b();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("b", "2")));
    assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), ["-a1"]);
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
fn a_relist_keeps_the_arc_of_an_unchanged_object() {
    let (reader, mut writer) = store_with_a_and_b();
    let key = ObjectRef::new("a").within("ns");
    let before = reader.get(&key).unwrap();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", "1")));
    writer.apply_watcher_event(Event::InitDone);
    assert!(Arc::ptr_eq(&before, &reader.get(&key).unwrap()));
}

#[test]
fn a_delta_has_the_old_and_the_new_state() {
    let (reader, mut writer) = store_with_a_and_b();
    let mut deltas = |event| writer.apply_watcher_event(event).into_deltas().collect::<Vec<_>>();
    let version =
        |object: Option<Arc<ConfigMap>>| object.and_then(|object| object.metadata.resource_version.clone());
    let modified = &deltas(Event::Apply(object("a", "5")))[0];
    assert_eq!((modified.kind(), modified.cause()), (DeltaKind::Modified, Cause::Watch));
    assert_eq!((version(modified.old()), version(modified.current())), (Some("1".into()), Some("5".into())));
    let added = &deltas(Event::Apply(object("new", "6")))[0];
    assert_eq!((added.kind(), version(added.old())), (DeltaKind::Added, None));
    let deleted = &deltas(Event::Delete(object("b", "7")))[0];
    assert_eq!((deleted.kind(), deleted.current()), (DeltaKind::Deleted, None));
    assert_eq!((version(deleted.old()), version(deleted.last())), (Some("2".into()), Some("7".into())));
    assert!(deltas(Event::Delete(object("b", "7"))).is_empty());
    assert!(deltas(Event::Apply(object("a", "5"))).is_empty(), "the version did not change");
    assert_eq!(names_and_versions(&reader), ["a@5", "new@6"]);
}

#[test]
fn a_snapshot_emits_its_new_and_changed_objects_in_list_order_and_then_the_deletions() {
    let (_reader, mut writer) = store();
    let mut snapshot = |objects: &[(&str, &str)]| {
        writer.apply_watcher_event(Event::Init);
        for (name, version) in objects {
            assert_eq!(
                deltas_as_text(writer.apply_watcher_event(Event::InitApply(object(name, version)))),
                [""; 0]
            );
        }
        let deltas: Vec<_> = writer.apply_watcher_event(Event::InitDone).into_deltas().collect();
        let text =
            |delta: &Delta<ConfigMap>| format!("{:?} {:?} {}", delta.kind(), delta.cause(), delta.key().1);
        deltas.iter().map(text).collect::<Vec<_>>()
    };
    let initial = ["Added Initial c", "Added Initial a", "Added Initial b"];
    assert_eq!(snapshot(&[("c", "1"), ("a", "2"), ("b", "3")]), initial);
    let relist = ["Added Relist d", "Modified Relist b", "Deleted Vanished a", "Deleted Vanished c"];
    assert_eq!(snapshot(&[("d", "9"), ("b", "8")]), relist);
    assert_eq!(snapshot(&[("d", "9"), ("b", "8")]), [""; 0]);
}

#[test]
fn a_changed_uid_results_in_a_deletion_and_then_an_addition() {
    for storage in [Storage::typed, Storage::compact] {
        let (reader, mut writer) = store_with(storage());
        writer.apply_watcher_event(Event::Apply(object_with_uid("a", "1", "u")));
        let change = writer.apply_watcher_event(Event::Apply(object_with_uid("a", "2", "v")));
        assert_eq!(deltas_as_text(change), ["-a1", "+a2"]);
        writer.apply_watcher_event(Event::Init);
        writer.apply_watcher_event(Event::InitApply(object_with_uid("a", "3", "w")));
        assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), ["-a2", "+a3"]);
        writer.apply_watcher_event(Event::Init);
        writer.apply_watcher_event(Event::InitApply(object_with_uid("a", "4", "w")));
        assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), ["~a4"]);
        assert_eq!(names_and_versions(&reader), ["a@4"]);
    }
}

#[test]
fn listing_an_undecodable_object_with_a_changed_uid_deletes_the_previous_object() {
    for storage in [Storage::typed, Storage::compact] {
        let (reader, mut writer) = store_with(storage());
        for name in ["a", "b"] {
            writer.apply_watcher_event(Event::Apply(object_with_uid(name, "1", "u")));
        }
        writer.apply_watcher_event(Event::Init);
        for (name, uid) in [("a", "u"), ("b", "v")] {
            let mut listed = undecodable_object(name, ObjectOrigin::List);
            listed.uid = Some(uid.into());
            assert!(writer.apply_undecodable(&listed).is_none());
        }
        assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), ["-b1"]);
        assert_eq!(names_and_versions(&reader), ["a@1"]);
    }
}

#[test]
fn the_store_keeps_the_last_state_of_an_undecodable_object_until_its_deletion() {
    let (reader, mut writer) = store_with_a_and_b();
    assert!(writer.apply_undecodable(&undecodable_object("a", ObjectOrigin::Modified)).is_none());
    writer.apply_watcher_event(Event::Init);
    assert!(writer.apply_undecodable(&undecodable_object("a", ObjectOrigin::List)).is_none());
    assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), ["-b2"]);
    assert_eq!(names_and_versions(&reader), ["a@1"]);
    let change = writer.apply_undecodable(&undecodable_object("a", ObjectOrigin::Deleted)).unwrap();
    assert!(matches!(change.event, Event::Delete(o) if o.metadata.name.as_deref() == Some("a")));
    assert!(reader.is_empty());
}

#[tokio::test]
async fn a_store_is_ready_after_the_first_complete_snapshot() {
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
fn a_deletion_during_a_relist_is_emitted_once_even_if_the_relist_restarts() {
    for relist_restarts in [false, true] {
        let (reader, mut writer) = store_with_a_and_b();
        writer.apply_watcher_event(Event::Init);
        writer.apply_watcher_event(Event::InitApply(object("a", "1")));
        assert!(!writer.apply_watcher_event(Event::Delete(object("a", "3"))).is_unknown);
        if relist_restarts {
            writer.apply_watcher_event(Event::Init);
        }
        assert!(writer.apply_watcher_event(Event::Delete(object("a", "3"))).is_unknown);
        assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), ["-a3", "-b2"]);
        assert!(reader.is_empty());
    }
}

#[test]
fn an_undecodable_object_does_not_restore_an_object_that_was_deleted_during_a_relist() {
    let (reader, mut writer) = store_with_a_and_b();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("b", "2")));
    writer.apply_watcher_event(Event::Delete(object("a", "3")));
    assert!(writer.apply_undecodable(&undecodable_object("a", ObjectOrigin::Added)).is_none());
    assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), ["-a3"]);
    assert_eq!(names_and_versions(&reader), ["b@2"]);
}

#[test]
fn an_object_that_is_listed_several_times_results_in_one_delta() {
    for storage in [Storage::typed, Storage::compact] {
        // The second case goes back to version 1: in a merged store, a watch that lags behind may list an older version
        // of an object that another watch has already listed.
        for (versions, last) in [(["1", "2", "2"], "2"), (["1", "2", "1"], "1")] {
            let (reader, mut writer) = store_with(storage());
            writer.apply_watcher_event(Event::Init);
            for version in versions {
                writer.apply_watcher_event(Event::InitApply(object_with_uid("a", version, "u")));
            }
            assert_eq!(deltas_as_text(writer.apply_watcher_event(Event::InitDone)), [format!("+a{last}")]);
            assert_eq!(names_and_versions(&reader), [format!("a@{last}")]);
        }
    }
}
