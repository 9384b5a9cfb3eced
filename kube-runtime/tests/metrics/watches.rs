//! Tests of the metrics and the log about servers that misbehave, and about large collections.

use crate::common::{delete_map, maps, poll_for, put_map};
use crate::log::Log;
use crate::script::{Script, bookmark, event, map, maps_of, paged_list_config};
use crate::{MAPS_PATH, record_metrics};
use futures::StreamExt;
use kube_runtime::watcher;
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::json;

/// Watches the config maps of a mock server for `seconds`. `script` contains the responses of the server.
/// `version` is the resource version of the lists.
async fn watch_scripted_server(script: Script, version: &'static str, seconds: u64) {
    let (maps, _) = maps_of(script, version);
    poll_for(seconds, &mut watcher(maps, paged_list_config()).boxed()).await;
}

#[tokio::test(start_paused = true)]
async fn each_repeated_event_is_counted_and_the_problem_is_logged_once() {
    let (recorded, log) = (record_metrics(), Log::capture());
    watch_scripted_server(Script::with_repeated_change(), "5", 200).await;
    let repeated = recorded.value(&format!("kube_runtime_repeated_events_total name={MAPS_PATH}")).unwrap();
    assert!((1300.0..2001.0).contains(&repeated), "{repeated}");
    let lines = log.lines_with("the server repeats events");
    assert!(lines.len() == 1 && lines[0].contains(MAPS_PATH), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn each_bookmark_is_counted_and_a_watch_with_only_bookmarks_is_logged_once() {
    let (recorded, log) = (record_metrics(), Log::capture());
    let bookmarks = (6..1006).map(|version| bookmark(&version.to_string())).collect();
    let script =
        Script { lists: vec![vec![map("a", "5", "1")]], watches: vec![bookmarks], ..Script::default() };
    watch_scripted_server(script, "5", 150).await;
    assert_eq!(recorded.value(&format!("kube_runtime_bookmarks_total name={MAPS_PATH}")), Some(1000.0));
    assert_eq!(recorded.value(&format!("kube_runtime_repeated_events_total name={MAPS_PATH}")), None);
    let lines = log.lines_with("the server sends many bookmarks");
    assert!(lines.len() == 1 && lines[0].contains(MAPS_PATH), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn each_list_whose_version_is_not_a_number_is_counted_and_one_is_logged() {
    let (recorded, log) = (record_metrics(), Log::capture());
    let expired =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"});
    let lists = || vec![vec![map("a", "first", "1")]];
    let watches = vec![vec![event("MODIFIED", &map("a", "x", "2")), event("ERROR", &expired)]];
    watch_scripted_server(Script { lists: lists(), watches, ..Script::default() }, "zero", 60).await;
    // The metric counts the first list and the relist.
    assert_eq!(recorded.value(&format!("kube_runtime_opaque_versions_total name={MAPS_PATH}")), Some(2.0));
    let lines = log.lines_with("the resource version is not a number");
    assert!(lines.len() == 1 && lines[0].contains(MAPS_PATH) && lines[0].contains("zero"), "{lines:?}");
    let relists = log.lines_with("the watch cannot continue: relisting");
    assert_eq!(relists.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_relist_of_a_flapping_server_is_counted_and_one_per_minute_is_logged() {
    let (recorded, log, sim) = (record_metrics(), Log::capture(), Sim::new());
    let mut items = watcher(maps(&sim), watcher::Config::default()).boxed();
    for number in 0..60 {
        put_map(&sim, "a", &number.to_string());
        sim.compact_all();
        sim.end_watches();
        sim.faults().add(Rule::new(Fault::status(410)).verb("watch").times(1));
        poll_for(3, &mut items).await;
    }
    let relists =
        recorded.value(&format!("kube_runtime_relists_total name={MAPS_PATH} reason=expired")).unwrap();
    let lines = log.lines_with("the watch cannot continue: relisting");
    assert!(relists > 20.0 && (1..=4).contains(&lines.len()), "{relists} relists, {lines:?}");
    assert!(
        lines.iter().any(|line| line.contains("suppressed") && !line.contains("suppressed=0")),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_size_of_a_collection_is_a_metric_and_an_exceeded_budget_is_logged_once() {
    for config in [watcher::Config::default(), paged_list_config().page_size(2)] {
        let (recorded, log, sim) = (record_metrics(), Log::capture(), Sim::new());
        let value = |name: &str| recorded.value(&format!("kube_runtime_{name} name={MAPS_PATH}"));
        for number in 0..10 {
            put_map(&sim, &format!("m{number}"), &"x".repeat(1000));
        }
        let mut items = watcher(maps(&sim), config.clone().budget(20_000)).boxed();
        let second = watcher(maps(&sim), config).boxed();
        poll_for(5, &mut items).await;
        assert_eq!(value("collection_objects"), Some(10.0));
        let bytes = value("collection_bytes").unwrap();
        assert!((10_000.0..20_000.0).contains(&bytes), "{bytes}");
        assert_eq!(value("exceeded_budgets_total"), None);
        for number in 10..20 {
            put_map(&sim, &format!("m{number}"), &"x".repeat(1000));
            poll_for(1, &mut items).await;
        }
        assert_eq!((value("collection_objects"), value("exceeded_budgets_total")), (Some(20.0), Some(1.0)));
        let lines = log.lines_with("the objects exceed their budget");
        assert!(lines.len() == 1 && lines[0].contains(MAPS_PATH) && lines[0].contains("20000"), "{lines:?}");
        for number in 0..20 {
            delete_map(&sim, &format!("m{number}"));
        }
        poll_for(5, &mut items).await;
        assert_eq!((value("collection_objects"), value("collection_bytes")), (Some(0.0), Some(0.0)));
        put_map(&sim, "a", "1");
        poll_for(5, &mut items).await;
        let mut second = second;
        poll_for(5, &mut second).await;
        assert_eq!(value("collection_objects"), Some(2.0), "the sum of both watchers");
        drop((items, second));
        assert_eq!((value("collection_objects"), value("collection_bytes")), (Some(0.0), Some(0.0)));
    }
}
