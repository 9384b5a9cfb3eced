//! Tests of the watcher and the reflector, run against the simulated server with faults.

use crate::common;
use crate::common::{delete_map, format_item, format_map, maps, put_map};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::watcher::{Config, Error, Event, InitialListStrategy, Result};
use kube_runtime::{reflector, watcher};
use kube_sim::fault::{Action, Rule};
use kube_sim::{Sim, WatchList};
use std::{pin::Pin, time::Duration};
use tokio::time::Instant;

/// The stream of the items of a watcher.
type Items = Pin<Box<dyn Stream<Item = Result<Event<ConfigMap>>> + Send>>;

/// Watches the config maps of the default namespace.
fn watch_maps(sim: &Sim, config: Config) -> Items {
    watcher(maps(sim), config).boxed()
}

/// Checks the next items: the text of each item must begin with the text at the same position in `expected`.
async fn expect_items(items: &mut Items, expected: &[&str]) {
    for (n, expected) in expected.iter().enumerate() {
        let item = tokio::time::timeout(Duration::from_secs(600), items.next()).await;
        let item = format_item(item.expect("an item within ten minutes").expect("no end"));
        assert!(item.starts_with(expected), "item {n} is {item:?}, expected {expected:?}");
    }
}

/// A configuration with paged lists instead of streaming lists.
fn paged_list_config() -> Config {
    Config::default().initial_list_strategy(InitialListStrategy::ListWatch)
}

/// The number of requests with this verb for config maps.
fn request_count(sim: &Sim, verb: &str) -> usize {
    sim.journal().count_of(verb, "configmaps")
}

#[tokio::test(start_paused = true)]
async fn one_request_streams_the_snapshot_and_the_changes() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut items = watch_maps(&sim, Config::default());
    expect_items(&mut items, &["[", "*a=1", "]"]).await;
    put_map(&sim, "b", "2");
    delete_map(&sim, "a");
    expect_items(&mut items, &["+b=2", "-a=1"]).await;
    assert_eq!((request_count(&sim, "list"), request_count(&sim, "watch")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_metadata_watcher_receives_only_metadata() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    for (config, value) in [(Config::default(), "2"), (paged_list_config(), "3")] {
        let mut items = kube_runtime::metadata_watcher(maps(&sim), config).boxed();
        let mut name = async || loop {
            if let Event::InitApply(map) | Event::Apply(map) = items.next().await.unwrap().unwrap() {
                assert_eq!(serde_json::to_value(&map).unwrap()["kind"], "PartialObjectMetadata");
                return map.metadata.name.unwrap();
            }
        };
        assert_eq!(name().await, "a");
        put_map(&sim, "a", value);
        assert_eq!(name().await, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_follows_the_last_page_of_a_list() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    let mut items = watch_maps(&sim, paged_list_config().page_size(2));
    expect_items(&mut items, &["[", "*a=1", "*b=1", "*c=1", "]"]).await;
    put_map(&sim, "b", "2");
    expect_items(&mut items, &["+b=2"]).await;
    assert_eq!((request_count(&sim, "list"), request_count(&sim, "watch")), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn the_watcher_prefetches_the_next_page() {
    let sim = Sim::new();
    for name in ["a", "b", "c", "d"] {
        put_map(&sim, name, "1");
    }
    let mut items = watch_maps(&sim, paged_list_config().page_size(2));
    expect_items(&mut items, &["[", "*a=1", "*b=1"]).await;
    assert_eq!(request_count(&sim, "list"), 2);
    expect_items(&mut items, &["*c=1", "*d=1", "]"]).await;
    assert_eq!(request_count(&sim, "list"), 2);
}

#[tokio::test(start_paused = true)]
async fn the_watcher_falls_back_to_paged_lists_after_a_refused_streaming_list() {
    let sim = Sim::builder().watch_list(WatchList::Refused).build();
    put_map(&sim, "a", "1");
    let mut items = watch_maps(&sim, Config::default().timeout(Duration::from_secs(5)));
    expect_items(&mut items, &["[", "[", "*a=1", "]"]).await;
    sim.compact_all();
    sim.end_watches();
    put_map(&sim, "a", "2");
    expect_items(&mut items, &["+a=2"]).await;
    let refused = sim.journal().count(|entry| entry.query.contains("sendInitialEvents"));
    assert_eq!(refused, 1);
}

#[tokio::test(start_paused = true)]
async fn the_watcher_falls_back_to_paged_lists_after_a_stalled_streaming_list() {
    let sim = Sim::builder().watch_list(WatchList::Ignored).build();
    put_map(&sim, "a", "1");
    let start = Instant::now();
    let mut items = watch_maps(&sim, Config::default());
    expect_items(&mut items, &["[", "*a=1", "[", "*a=1", "]"]).await;
    assert!(start.elapsed() <= Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn changes_do_not_count_as_initial_events() {
    let sim = Sim::builder().watch_list(WatchList::Ignored).build();
    put_map(&sim, "a", "0");
    let start = Instant::now();
    let mut items = watch_maps(&sim, Config::default());
    let complete = async {
        while format_item(items.next().await.unwrap()) != "]" {}
        start.elapsed()
    };
    let changes = async {
        for n in 1.. {
            tokio::time::sleep(Duration::from_secs(5)).await;
            put_map(&sim, "a", &n.to_string());
        }
    };
    let took = tokio::select! { took = complete => took, () = changes => unreachable!("they go on") };
    assert!(took <= Duration::from_secs(20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_watcher_backs_off_after_each_broken_snapshot() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    // Two streaming lists and a paged list break.
    sim.faults().add(Rule::new(Action::CutAfterEvents(1)).verb("watch").times(2));
    sim.faults().add(Rule::new(Action::CutAfterBytes(100)).verb("list").times(1));
    let mut items = watch_maps(&sim, Config::default());
    let start = Instant::now();
    while format_item(items.next().await.unwrap()) != "]" {}
    assert!(start.elapsed() >= Duration::from_millis(800 + 1600 + 3200), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_watcher_loses_no_event_when_the_server_ends_watches() {
    let sim = Sim::new();
    let mut items = watch_maps(&sim, paged_list_config().timeout(Duration::from_secs(3)));
    expect_items(&mut items, &["[", "]"]).await;
    let changes = async {
        for n in 0..10 {
            tokio::time::sleep(Duration::from_millis(1700)).await;
            put_map(&sim, "a", &n.to_string());
        }
    };
    let seen = async {
        for n in 0..10 {
            expect_items(&mut items, &[&format!("+a={n}")]).await;
        }
    };
    futures::join!(changes, seen);
    assert_eq!(request_count(&sim, "list"), 1);
    assert!(request_count(&sim, "watch") >= 4);
}

#[tokio::test(start_paused = true)]
async fn the_watcher_reports_a_broken_connection_and_resumes() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Action::CutAfterEvents(1)).verb("watch").nth(1));
    let mut items = watch_maps(&sim, paged_list_config());
    expect_items(&mut items, &["[", "]"]).await;
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "2");
    expect_items(&mut items, &["+a=1", "!the watch of /api/v1/namespaces/default/configmaps failed", "+b=2"])
        .await;
    assert_eq!(request_count(&sim, "list"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_watcher_relists_without_an_error_after_an_expired_version() {
    let sim = Sim::new();
    let mut items = watch_maps(&sim, paged_list_config().timeout(Duration::from_secs(5)));
    expect_items(&mut items, &["[", "]"]).await;
    put_map(&sim, "a", "1");
    expect_items(&mut items, &["+a=1"]).await;
    sim.faults().add(Rule::new(Action::status(410)).verb("watch").times(1));
    put_map(&sim, "b", "2");
    expect_items(&mut items, &["+b=2", "[", "*a=1", "*b=2", "]"]).await;
    put_map(&sim, "c", "3");
    expect_items(&mut items, &["+c=3"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_watcher_recovers_after_its_resource_version_is_compacted() {
    let sim = Sim::new();
    // Without bookmarks, changes to other objects do not advance the resource version of the watch.
    let mut items = watch_maps(
        &sim,
        paged_list_config().disable_bookmarks().fields("metadata.name=a").timeout(Duration::from_secs(5)),
    );
    put_map(&sim, "a", "1");
    expect_items(&mut items, &["[", "*a=1", "]"]).await;
    let busy = async {
        for n in 0..20 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            put_map(&sim, "other", &n.to_string());
            sim.compact_all();
            sim.end_watches();
        }
        put_map(&sim, "a", "2");
    };
    let (seen, ()) = futures::join!(
        async {
            let mut seen = Vec::new();
            loop {
                seen.push(format_item(items.next().await.unwrap()));
                if seen.last().unwrap().ends_with("a=2") {
                    return seen;
                }
            }
        },
        busy
    );
    assert!(seen.starts_with(&["[".into(), "*a=1".into(), "]".into()]), "{seen:?}");
    assert!(!seen.iter().any(|item| item.starts_with('!')), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_expires_directly_after_a_relist_is_reported() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Action::status(410)).verb("watch").times(4));
    let mut items = watch_maps(&sim, paged_list_config());
    let start = Instant::now();
    expect_items(
        &mut items,
        &[
            "[",
            "]",
            "[",
            "]",
            "!cannot open a watch",
            "[",
            "]",
            "!cannot open",
            "[",
            "]",
            "!cannot open",
            "[",
            "]",
        ],
    )
    .await;
    assert!(start.elapsed() >= Duration::from_millis(800 + 1600 + 3200), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_relist_emits_new_objects_if_every_watch_fails() {
    let failures = [
        Action::CloseAfterEvents(0),
        Action::status(400),
        Action::status(422),
        Action::status(500),
        Action::CutAfterEvents(0),
    ];
    for failure in failures {
        let sim = Sim::new();
        let description = format!("{failure:?}");
        sim.faults().add(Rule::new(failure).verb("watch"));
        let mut items = watch_maps(&sim, paged_list_config());
        expect_items(&mut items, &["[", "]"]).await;
        put_map(&sim, "a", "1");
        let seen = async { while format_item(items.next().await.unwrap()) != "*a=1" {} };
        let seen = tokio::time::timeout(Duration::from_secs(60), seen).await;
        assert!(seen.is_ok(), "{description}: no list shows the new object");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watcher_resumes_immediately_after_a_silent_healthy_watch_breaks() {
    // The body of each watch ends with an error after 10 bytes of the first bookmark, so no complete event
    // arrives.
    let sim = Sim::builder().bookmark_interval(Duration::from_secs(50)).build();
    sim.faults().add(Rule::new(Action::CutAfterBytes(10)).verb("watch"));
    let mut items = watch_maps(&sim, paged_list_config().probe_after(Duration::MAX));
    expect_items(&mut items, &["[", "]"]).await;
    let start = Instant::now();
    expect_items(&mut items, &["!the watch of"; 10]).await;
    let waited = start.elapsed().saturating_sub(Duration::from_secs(10 * 50));
    assert!(waited <= Duration::from_millis(100), "{waited:?}");
    assert_eq!((request_count(&sim, "list"), request_count(&sim, "watch")), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn backoff_grows_after_each_failed_list_until_a_list_succeeds() {
    let sim = Sim::new();
    let id = sim.faults().add(Rule::new(Action::status(500)).verb("list"));
    let mut items = watch_maps(&sim, paged_list_config());
    let mut waits = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        expect_items(&mut items, &["[", "!cannot list /api/v1/namespaces/default/configmaps"]).await;
        waits.push(start.elapsed());
    }
    let seconds = Duration::from_secs_f64;
    for (wait, least) in waits[1..].iter().zip([0.8, 1.6, 3.2, 6.4]) {
        assert!(*wait >= seconds(least) && *wait <= seconds(least * 2.0 + 0.1), "{waits:?}");
    }
    sim.faults().remove(id);
    expect_items(&mut items, &["[", "]"]).await;
    put_map(&sim, "a", "1");
    expect_items(&mut items, &["+a=1"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_watcher_honours_retry_after() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Action::status_retry_after(429, 40)).verb("watch").nth(1));
    let mut items = watch_maps(&sim, paged_list_config());
    let start = Instant::now();
    put_map(&sim, "a", "1");
    expect_items(&mut items, &["[", "*a=1", "]", "!cannot open a watch"]).await;
    put_map(&sim, "a", "2");
    expect_items(&mut items, &["+a=2"]).await;
    assert!(start.elapsed() >= Duration::from_secs(40));
    assert_eq!(request_count(&sim, "list"), 1, "a server that is busy is not asked for lists");
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_ends_neither_the_list_nor_the_watch() {
    for config in [paged_list_config(), Config::default()] {
        let sim = Sim::new();
        let replace = |name: &str| Action::ReplaceObject {
            name: name.into(),
            bytes: format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"default","resourceVersion":"1"}},"data":7}}"#
            )
            .into(),
        };
        sim.faults().add(Rule::new(replace("bad")).resource("configmaps"));
        for name in ["a", "bad", "c"] {
            put_map(&sim, name, "1");
        }
        let mut items = watch_maps(&sim, config);
        let start = Instant::now();
        expect_items(&mut items, &["[", "*a=1", "!decode ConfigMap default/bad of a", "*c=1", "]"]).await;
        put_map(&sim, "bad", "2");
        put_map(&sim, "c", "2");
        expect_items(&mut items, &["!decode ConfigMap default/bad of a MODIFIED event", "+c=2"]).await;
        assert!(start.elapsed() < Duration::from_millis(100), "nothing waits");
        assert!(request_count(&sim, "list") <= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_not_json_is_reported_and_causes_a_relist() {
    let sim = Sim::new();
    sim.faults().add(
        Rule::new(Action::ReplaceEvent { index: 0, bytes: "<html>proxy</html>\n".into() })
            .verb("watch")
            .nth(1),
    );
    let mut items = watch_maps(&sim, paged_list_config());
    expect_items(&mut items, &["[", "]"]).await;
    put_map(&sim, "a", "1");
    let item = format_item(items.next().await.unwrap());
    assert!(item.contains("configmaps") && item.contains("<html>proxy</html>"), "{item}");
    expect_items(&mut items, &["[", "*a=1", "]"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_times_out() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Action::HangAfterEvents(0)).verb("watch").nth(1));
    let mut items = watch_maps(&sim, paged_list_config().timeout(Duration::from_secs(5)));
    expect_items(&mut items, &["[", "]"]).await;
    let start = Instant::now();
    put_map(&sim, "a", "1");
    expect_items(
        &mut items,
        &["!the watch of /api/v1/namespaces/default/configmaps failed: timed out after 15s", "+a=1"],
    )
    .await;
    assert!(start.elapsed() < Duration::from_secs(18), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_relist_replaces_the_stored_objects_at_its_end_and_then_emits_deletions() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    // The first watch sends no events, and the second fails with an expired version (410).
    sim.faults().add(Rule::new(Action::HangAfterEvents(0)).verb("watch").nth(1));
    sim.faults().add(Rule::new(Action::status(410)).verb("watch").nth(2));
    let (reader, writer) = reflector::store();
    let stream = watcher(maps(&sim), paged_list_config().timeout(Duration::from_secs(5)));
    let mut items = reflector(writer, stream).boxed();
    let state = || {
        let mut state: Vec<_> = reader.state().iter().map(|map| format_map(map)).collect();
        state.sort();
        state.join(" ")
    };
    let mut steps = Vec::new();
    for n in 0..10 {
        let item = format_item(items.next().await.unwrap());
        if n == 3 {
            delete_map(&sim, "a");
            put_map(&sim, "b", "2");
            put_map(&sim, "c", "1");
        }
        steps.push(format!("{} | {}", item.split(':').next().unwrap(), state()));
    }
    let expected = [
        "[ | ",
        "*a=1 | ",
        "*b=1 | ",
        "] | a=1 b=1",
        "!the watch of /api/v1/namespaces/default/configmaps failed | a=1 b=1",
        "[ | a=1 b=1",
        "*b=2 | a=1 b=1",
        "*c=1 | a=1 b=1",
        "] | b=2 c=1",
        "-a=1 | b=2 c=1",
    ];
    assert_eq!(steps, expected);
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_give_equal_items_and_waits() {
    let run = async || {
        kube_runtime::seed(7);
        let sim = Sim::builder().seed(1).build();
        sim.faults().add(Rule::new(Action::status(503)).verb("list").times(4));
        let mut items = watch_maps(&sim, paged_list_config());
        let start = Instant::now();
        let mut log = Vec::new();
        loop {
            log.push((format_item(items.next().await.unwrap()), start.elapsed()));
            if log.last().unwrap().0 == "]" {
                return log;
            }
        }
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test(start_paused = true)]
async fn watch_object_watches_one_object_by_name() {
    let sim = Sim::new();
    put_map(&sim, "other", "1");
    let mut items = watcher::watch_object(maps(&sim), "a").boxed();
    let mut next = async || items.next().await.unwrap().unwrap().map(|map: ConfigMap| format_map(&map));
    assert_eq!(next().await, None);
    put_map(&sim, "a", "1");
    assert_eq!(next().await, Some("a=1".into()));
    delete_map(&sim, "a");
    assert_eq!(next().await, None);
}

#[tokio::test(start_paused = true)]
async fn the_watcher_reports_a_resource_that_is_not_served() {
    let sim = Sim::new();
    let resource = kube_client::core::ApiResource::from_gvk(&kube_client::core::GroupVersionKind::gvk(
        "clux.dev", "v1", "Foo",
    ));
    let api = kube_client::Api::<kube_client::core::DynamicObject>::all_with(common::client(&sim), &resource);
    let mut items = watcher(api, Config::default()).boxed();
    assert!(matches!(items.next().await, Some(Ok(Event::Init))));
    let error = items.next().await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::WatchStartFailed { source, .. } if source.is_not_found()), "{error:?}");
    assert!(common::error_chain(&error).contains("foos"), "{}", common::error_chain(&error));
}

#[tokio::test(start_paused = true)]
async fn the_watcher_skips_managed_fields_by_default() {
    let sim = Sim::new();
    let mut map = ConfigMap::default();
    map.metadata.name = Some("a".into());
    map.data = Some([("v".into(), "1".into())].into());
    maps(&sim).create(&kube_client::api::PostParams::default(), &map).await.unwrap();
    for (config, wanted) in [
        (Config::default(), false),
        (Config::default().skip_fields(kube_client::core::FieldSet::none()), true),
    ] {
        let mut items = watch_maps(&sim, config);
        expect_items(&mut items, &["["]).await;
        let Some(Ok(Event::InitApply(map))) = items.next().await else { panic!("an object comes first") };
        assert_eq!(map.metadata.managed_fields.is_some(), wanted);
        assert!(map.metadata.uid.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watcher_keeps_the_order_of_objects_decoded_on_several_threads() {
    let sim = Sim::new();
    let padding = "x".repeat(2_000);
    for n in 0..1_000 {
        put_map(&sim, &format!("m{n:04}"), &padding);
    }
    for config in [paged_list_config(), Config::default()] {
        let mut items = watch_maps(&sim, config);
        expect_items(&mut items, &["["]).await;
        for n in 0..1_000 {
            expect_items(&mut items, &[&format!("*m{n:04}=")]).await;
        }
        expect_items(&mut items, &["]"]).await;
        for n in 0..1_000 {
            put_map(&sim, &format!("m{:04}", n % 7), &format!("{n}{padding}"));
        }
        for n in 0..1_000 {
            expect_items(&mut items, &[&format!("+m{:04}={n}x", n % 7)]).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_watcher_backs_off_if_each_watch_sends_one_event_and_then_410() {
    let expired =
        r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired"}}"#;
    let sim = Sim::new();
    let bytes = format!("{expired}\n").into();
    sim.faults().add(Rule::new(Action::ReplaceEvent { index: 1, bytes }).verb("watch"));
    let mut items = watch_maps(&sim, paged_list_config());
    expect_items(&mut items, &["[", "]"]).await;
    let changes = async {
        for n in 0..1000 {
            put_map(&sim, "a", &n.to_string());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let reader = async { while items.next().await.is_some() {} };
    tokio::select! {
        () = changes => {}
        () = reader => unreachable!("a watcher never ends"),
    }
    let lists = request_count(&sim, "list");
    assert!((4..=14).contains(&lists), "{lists} lists in ten seconds");
}
