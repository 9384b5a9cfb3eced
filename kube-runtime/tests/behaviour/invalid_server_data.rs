//! Tests of servers that send invalid or useless data: repeated events, only bookmarks, objects without a name,
//! versions that are not numbers, and an error instead of a deletion.

use crate::common::{Log, format_item, format_map, log_object, poll_for};
use crate::script::{Script, bookmark, event, map, maps_of, paged_list_config, unnamed_map};
use futures::StreamExt;
use kube_runtime::controller::{self, Error};
use kube_runtime::reflector::{Cause, StoreEvent};
use kube_runtime::{Controller, reflector, watcher};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn an_event_that_repeats_for_ever_causes_one_delta_and_one_reconcile() {
    let (maps, script) = maps_of(Script::with_repeated_change(), "5");
    let log = Arc::new(Log::default());
    let controller = Controller::new(maps, paged_list_config());
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(200, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "a=2"]);
    assert_eq!(script.lock().unwrap().list_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_with_only_bookmarks_emits_nothing_and_resumes_from_the_last_bookmark() {
    let watch = |versions: std::ops::Range<u32>| {
        let bookmarks = versions.map(|version| bookmark(&version.to_string()));
        bookmarks.chain([Value::Null]).collect::<Vec<_>>()
    };
    let script = Script {
        lists: vec![vec![map("a", "5", "1")]],
        watches: vec![watch(6..1006), watch(1006..2006)],
        ..Script::default()
    };
    let (maps, script) = maps_of(script, "5");
    let mut items = watcher(maps, paged_list_config()).boxed();
    for expected in ["[", "*a=1", "]"] {
        assert_eq!(format_item(items.next().await.unwrap()), expected);
    }
    timeout(Duration::from_secs(300), items.next()).await.expect_err("there is nothing to emit");
    let queries = script.lock().unwrap().queries.clone();
    let watches: Vec<_> = queries.iter().filter(|query| query.contains("watch=")).collect();
    assert_eq!(watches.len(), 3);
    for (watch, version) in watches.iter().zip([5, 1005, 2005]) {
        let parameter = format!("resourceVersion={version}");
        assert!(watch.split('&').any(|part| part == parameter), "{watch}");
    }
}

#[tokio::test(start_paused = true)]
async fn objects_without_a_name_are_errors_and_are_neither_stored_nor_reconciled() {
    let script = || Script {
        lists: vec![vec![unnamed_map("3"), map("a", "4", "1"), map("", "5", "9")]],
        watches: vec![vec![
            event("ADDED", &unnamed_map("6")),
            event("MODIFIED", &map("a", "7", "2")),
            event("DELETED", &unnamed_map("8")),
        ]],
        ..Script::default()
    };
    let (maps, _) = maps_of(script(), "5");
    let (reader, writer) = reflector::store();
    let mut items = reflector(writer, watcher(maps, paged_list_config())).boxed();
    let error = |origin: &str| format!("ConfigMap without a readable name of {origin}");
    let (listed, added, deleted) = (error("a list"), error("an ADDED event"), error("a DELETED event"));
    for expected in ["[", &listed, "*a=1", &listed, "]", &added, "+a=2", &deleted] {
        let item = format_item(items.next().await.unwrap());
        let cause = "metadata.name is missing or empty";
        assert!(item == expected || item.contains(expected) && item.contains(cause), "{item}");
    }
    assert_eq!(reader.state().iter().map(|map| format_map(map)).collect::<Vec<_>>(), ["a=2"]);

    let (maps, _) = maps_of(script(), "5");
    let log = Arc::new(Log::default());
    let controller = Controller::new(maps, paged_list_config());
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    let mut errors = 0;
    while let Ok(Some(result)) = timeout(Duration::from_secs(60), results.next()).await {
        match result {
            Ok((object, _)) => assert_eq!(object.name, "a"),
            Err(Error::QueueError(_)) => errors += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((errors, log.take_lines()), (4, vec!["a=1".to_owned(), "a=2".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn versions_that_are_not_numbers_are_opaque() {
    let script = Script {
        lists: vec![vec![map("a", "first", "1")]],
        watches: vec![vec![
            event("MODIFIED", &map("a", "second", "2")),
            event("MODIFIED", &map("a", "second", "2")),
            bookmark("third"),
            Value::Null,
        ]],
        ..Script::default()
    };
    let (maps, script) = maps_of(script, "zero");
    let (_reader, writer) = reflector::store();
    // The watcher probes the silent second watch. The probe finds the version `zero`, which must not count as older
    // than `third`: versions that are not numbers have no order.
    let config = paged_list_config().probe_after(Duration::from_secs(20));
    let mut changes = watcher(maps, config).deltas(writer).boxed();
    let mut seen = Vec::new();
    while let Ok(Some(item)) = timeout(Duration::from_secs(100), changes.next()).await {
        seen.push(match item.unwrap() {
            StoreEvent::Delta(delta) => format_map(&delta.last().unwrap()),
            StoreEvent::Synced(version) => format!("synced {version:?}"),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, ["a=1", "synced Some(\"zero\")", "a=2"]);
    let script = script.lock().unwrap();
    assert!(script.list_count() > 1, "the silence is not probed");
    let watches = script.queries.iter().filter(|query| query.contains("watch=")).collect::<Vec<_>>();
    assert!(
        watches[0].contains("resourceVersion=zero") && watches[1].contains("resourceVersion=third"),
        "{watches:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_relist_removes_a_corrupt_object_whose_deletion_is_reported_as_an_error() {
    // If an object in the storage is corrupt, the watch reports an error instead of the deletion of the object.
    let failure = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500,
        "reason": "InternalError", "message": "corrupt object has been deleted"});
    let script = Script {
        lists: vec![vec![map("a", "4", "1"), map("b", "5", "1")], vec![map("a", "4", "1")]],
        watches: vec![vec![event("ERROR", &failure)]],
        ..Script::default()
    };
    let (maps, script) = maps_of(script, "5");
    let (reader, writer) = reflector::store();
    let mut changes = watcher(maps, paged_list_config()).deltas(writer).boxed();
    let mut deleted = Vec::new();
    let mut errors = 0;
    while let Ok(Some(item)) = timeout(Duration::from_secs(60), changes.next()).await {
        match item {
            Ok(StoreEvent::Delta(delta)) if delta.current().is_none() => {
                assert_eq!(delta.cause(), Cause::Vanished);
                deleted.push(format_map(&delta.last().unwrap()));
            }
            Ok(_) => {}
            Err(watcher::Error::WatchError { .. }) => errors += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((deleted, errors, reader.len()), (vec!["b=1".to_owned()], 1, 1));
    assert_eq!(script.lock().unwrap().list_count(), 2);
}
