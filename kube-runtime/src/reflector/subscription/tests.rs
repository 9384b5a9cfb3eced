//! Tests of the backlog of a subscription, and a model test of a store with subscribers that poll at random times.

use super::*;
use crate::random::{Rng, check_model};
use crate::reflector::{Index, Storage, Writer, store, store_with};
use crate::watcher::Event;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::BTreeMap;

/// Creates the object with this name, uid and version.
fn object(name: &str, uid: u32, version: u32) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object.metadata.uid = Some(uid.to_string());
    object.metadata.resource_version = Some(version.to_string());
    object
}

/// Takes the available items, and returns them as text: `+a1` is an addition of `a` with version 1, `~a1` a modification,
/// `-a1` a deletion, and `.` the end of a snapshot.
fn take_available(changes: &mut Subscription<ConfigMap>) -> String {
    let mut items = Vec::new();
    while let Some(Some(item)) = changes.next().now_or_never() {
        items.push(match item.unwrap() {
            StoreEvent::Synced(_) => ".".to_owned(),
            StoreEvent::Delta(delta) => {
                let meta = delta.last().unwrap().metadata.clone();
                let sign = match delta.kind() {
                    crate::reflector::DeltaKind::Added => "+",
                    crate::reflector::DeltaKind::Modified => "~",
                    crate::reflector::DeltaKind::Deleted => "-",
                };
                [sign, &meta.name.unwrap(), &meta.resource_version.unwrap()].concat()
            }
        });
    }
    items.join(" ")
}

fn apply_object(writer: &mut Writer<ConfigMap>, name: &str, uid: u32, version: u32) {
    writer.apply_watcher_event(Event::Apply(object(name, uid, version)));
}

fn delete_object(writer: &mut Writer<ConfigMap>, name: &str, uid: u32, version: u32) {
    writer.apply_watcher_event(Event::Delete(object(name, uid, version)));
}

#[test]
fn a_late_subscriber_gets_a_replay_and_then_the_changes() {
    let (reader, mut writer) = store();
    apply_object(&mut writer, "a", 1, 1);
    let mut early = reader.subscribe();
    writer.apply_watcher_event(Event::Init);
    writer.apply_watcher_event(Event::InitApply(object("a", 1, 2)));
    writer.apply_watcher_event(Event::InitDone);
    let mut late = reader.subscribe();
    apply_object(&mut writer, "a", 1, 3);
    assert_eq!(take_available(&mut early), "+a1 ~a3 .");
    assert_eq!(take_available(&mut late), "+a2 . ~a3");
    delete_object(&mut writer, "a", 1, 4);
    assert_eq!([take_available(&mut early), take_available(&mut late)], ["-a4", "-a4"]);
}

#[test]
fn a_slow_subscriber_gets_coalesced_changes_and_the_deletion_of_each_received_object() {
    let (reader, mut writer) = store();
    apply_object(&mut writer, "a", 1, 1);
    let mut slow = reader.subscribe();
    assert_eq!(take_available(&mut slow), "+a1");
    for version in 2..9 {
        apply_object(&mut writer, "a", 1, version);
    }
    apply_object(&mut writer, "b", 2, 9);
    delete_object(&mut writer, "b", 2, 10);
    assert_eq!(take_available(&mut slow), "~a8", "`b` was created and deleted meanwhile");
    delete_object(&mut writer, "a", 1, 11);
    apply_object(&mut writer, "a", 3, 12);
    apply_object(&mut writer, "a", 3, 13);
    assert_eq!(take_available(&mut slow), "-a11 +a13");
    apply_object(&mut writer, "a", 4, 14);
    delete_object(&mut writer, "a", 4, 15);
    assert_eq!(take_available(&mut slow), "-a13", "the final state of the object with uid 3 is unknown");
}

#[test]
fn objects_that_are_created_and_deleted_between_polls_leave_no_entries_in_the_backlog() {
    let (reader, mut writer) = store();
    let slow = reader.subscribe();
    for number in 0..10_000 {
        let name = number.to_string();
        apply_object(&mut writer, &name, number, 1);
        delete_object(&mut writer, &name, number, 2);
        writer.apply_watcher_event(Event::Init);
        writer.apply_watcher_event(Event::InitDone);
    }
    let queue = lock(&slow.queue);
    assert_eq!((queue.items.len(), queue.delta_positions.len()), (1, 0));
}

#[test]
fn when_the_writer_is_dropped_the_stream_ends_after_the_queued_items() {
    let (reader, mut writer) = store();
    let mut changes = reader.subscribe();
    apply_object(&mut writer, "a", 1, 1);
    drop(writer);
    assert_eq!(take_available(&mut changes), "+a1");
    assert!(changes.next().now_or_never().unwrap().is_none());
    let mut late = reader.subscribe();
    assert_eq!(take_available(&mut late), "+a1");
    assert!(late.next().now_or_never().unwrap().is_none());
}

#[tokio::test]
async fn a_change_wakes_each_subscriber() {
    let (reader, mut writer) = store();
    let (mut one, mut other) = (reader.subscribe(), reader.subscribe());
    let received = async { futures::join!(one.next(), other.next()) };
    let writing = async {
        tokio::task::yield_now().await;
        apply_object(&mut writer, "a", 1, 1);
    };
    let ((one, other), ()) = futures::join!(received, writing);
    assert!(one.is_some_and(|item| item.is_ok()) && other.is_some_and(|item| item.is_ok()));
}

/// A subscriber, and the objects that it has received: uid and version by name.
struct Consumer {
    changes: Subscription<ConfigMap>,
    objects: BTreeMap<String, (String, String)>,
}

impl Consumer {
    /// Takes up to `limit` items. The error describes an item that contradicts the received objects.
    fn take_items(&mut self, limit: usize) -> std::result::Result<(), String> {
        for _ in 0..limit {
            let Some(Some(item)) = self.changes.next().now_or_never() else { break };
            let StoreEvent::Delta(delta) = item.map_err(|error| error.to_string())? else { continue };
            let state = |object: Arc<ConfigMap>| {
                let meta = object.metadata.clone();
                (meta.name.unwrap(), (meta.uid.unwrap(), meta.resource_version.unwrap()))
            };
            let name = state(delta.last().unwrap()).0;
            let (old, new) =
                (delta.old().map(|object| state(object).1), delta.current().map(|object| state(object).1));
            if let (Some(old), Some(new)) = (&old, &new)
                && old.0 != new.0
            {
                return Err(format!("{name}: a modification from {old:?} to {new:?}"));
            }
            let known = match new {
                Some(new) => self.objects.insert(name.clone(), new),
                None => self.objects.remove(&name),
            };
            if known != old {
                return Err(format!("{name}: the old state is {old:?}, and {known:?} was received"));
            }
        }
        Ok(())
    }
}

/// Compares an index of the uids with the content of the store.
fn check_index(index: &Index<ConfigMap>, reader: &Store<ConfigMap>) -> std::result::Result<(), String> {
    let uid = |object: &ConfigMap| object.metadata.uid.clone().unwrap();
    let mut expected: Vec<_> = reader.state().iter().map(|object| uid(object)).collect();
    let mut found: Vec<_> =
        index.values().iter().flat_map(|value| index.get(value)).map(|map| uid(&map)).collect();
    expected.sort();
    found.sort();
    if found == expected {
        Ok(())
    } else {
        Err(format!("the index has {found:?}, and the store {expected:?}"))
    }
}

/// Applies random events to a store that has an index. Subscribers subscribe and poll at random times. Returns an error
/// if the index or the objects of a subscriber differ from the content of the store.
fn run_model(
    random: &mut Rng,
    storage: Storage<ConfigMap>,
    only_deletions: bool,
) -> std::result::Result<(), String> {
    let (reader, mut writer) = store_with(storage);
    if only_deletions {
        writer = writer.record_only_deletions();
    }
    let mut consumers: Vec<Consumer> = Vec::new();
    let mut index = None;
    let (mut uid, mut in_snapshot) = (0, false);
    for version in 0..random.u32(1..60) {
        let name = ["a", "b", "c"][random.usize(0..3)];
        uid += u32::from(random.u8(0..4) == 0);
        let object = object(name, uid, version);
        match random.u8(0..13) {
            12 => index = Some(reader.index_by(|map: &ConfigMap| map.metadata.uid.iter().cloned().collect())),
            0 => consumers.push(Consumer { changes: reader.subscribe(), objects: BTreeMap::new() }),
            1 if !consumers.is_empty() => drop(consumers.swap_remove(random.usize(0..consumers.len()))),
            2 => {
                writer.apply_watcher_event(Event::Init);
                in_snapshot = true;
            }
            3 if in_snapshot => {
                writer.apply_watcher_event(Event::InitDone);
                in_snapshot = false;
            }
            4 | 5 => {
                writer.apply_watcher_event(Event::Delete(object));
            }
            6..9 if in_snapshot => {
                writer.apply_watcher_event(Event::InitApply(object));
            }
            6..9 => {
                writer.apply_watcher_event(Event::Apply(object));
            }
            _ => {
                for consumer in &mut consumers {
                    consumer.take_items(random.usize(0..4))?;
                }
            }
        }
        // The index is up to date when a method of the writer returns.
        index.iter().try_for_each(|index| check_index(index, &reader))?;
    }
    for consumer in &mut consumers {
        consumer.take_items(usize::MAX)?;
        let expected = reader.state().into_iter().map(|object| {
            let meta = object.metadata.clone();
            (meta.name.unwrap(), (meta.uid.unwrap(), meta.resource_version.unwrap()))
        });
        let expected: BTreeMap<_, _> = expected.collect();
        if consumer.objects != expected {
            return Err(format!("received {:?}, and the store contains {expected:?}", consumer.objects));
        }
        let queue = lock(&consumer.changes.queue);
        if !queue.items.is_empty() || queue.delta_positions.len() > 0 {
            return Err("entries remain in the queue".into());
        }
    }
    Ok(())
}

#[test]
fn model_each_subscriber_receives_the_content_of_the_store() {
    check_model(|random| {
        let storage = if random.bool() { Storage::typed() } else { Storage::compact() };
        let only_deletions = random.bool();
        run_model(random, storage, only_deletions)
    });
}
