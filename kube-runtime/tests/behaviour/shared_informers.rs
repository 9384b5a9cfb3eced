//! Tests of shared informers: one watch and one store for several subscribers.

use crate::common::{Log, client, delete_map, format_map, log_object, maps, poll_for, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::Api;
use kube_runtime::controller::{self, Changes, own};
use kube_runtime::informer::SharedInformers;
use kube_runtime::reflector::{DeltaKind, Store, StoreEvent, Subscription};
use kube_runtime::watcher::Config;
use kube_runtime::{Controller, Informer, Reflector, SharedInformer, WatchStreamExt, reflector, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// Takes items until none arrives for a second. Returns their texts: `+a=1` an addition, `~a=1` a modification, `-a=1` a
/// deletion, `.` the end of a snapshot, `!` an error.
async fn drain_items(changes: &mut Subscription<ConfigMap>) -> String {
    let mut items = Vec::new();
    while let Ok(Some(item)) = timeout(Duration::from_secs(1), changes.next()).await {
        items.push(match item {
            Ok(StoreEvent::Delta(delta)) => {
                let sign = match delta.kind() {
                    DeltaKind::Added => "+",
                    DeltaKind::Modified => "~",
                    DeltaKind::Deleted => "-",
                };
                format!("{sign}{}", format_map(&delta.last().unwrap()))
            }
            Ok(_) => ".".into(),
            Err(_) => "!".into(),
        });
    }
    items.join(" ")
}

/// The number of watch requests for config maps.
fn watch_count(sim: &Sim) -> usize {
    sim.journal().count_of("watch", "configmaps")
}

/// Waits for longer than a watch lasts. Returns whether another watch was requested.
async fn watch_continues(sim: &Sim) -> bool {
    let before = watch_count(sim);
    tokio::time::sleep(Duration::from_secs(600)).await;
    watch_count(sim) > before
}

#[tokio::test(start_paused = true)]
async fn subscribers_share_one_watch_which_ends_with_the_last_subscriber() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let informer = SharedInformer::new(maps(&sim));
    let mut one = informer.subscribe();
    assert_eq!(drain_items(&mut one).await, "+a=1 .");
    let mut late = informer.subscribe();
    put_map(&sim, "a", "2");
    assert_eq!(
        (drain_items(&mut late).await, drain_items(&mut one).await),
        ("+a=1 . ~a=2".into(), "~a=2".into())
    );
    assert_eq!(watch_count(&sim), 1);
    assert!(watch_continues(&sim).await);
    drop(one);
    put_map(&sim, "b", "1");
    assert_eq!(drain_items(&mut late).await, "+b=1");
    drop(late);
    assert!(!watch_continues(&sim).await);
    delete_map(&sim, "a");
    assert_eq!(informer.store().len(), 2, "the store keeps its content");
    // The next subscription resumes the watch.
    let mut next = informer.subscribe();
    let mut items: Vec<_> = drain_items(&mut next).await.split(' ').map(ToOwned::to_owned).collect();
    items.sort();
    assert_eq!(items, ["+a=2", "+b=1", "-a=2", ".", "."], "the replay, and then the differences");
}

#[tokio::test(start_paused = true)]
async fn other_subscribers_receive_changes_while_one_does_not_poll() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let informer = SharedInformer::new(maps(&sim));
    let (mut slow, mut fast) = (informer.subscribe(), informer.subscribe());
    assert_eq!(drain_items(&mut fast).await, "+a=1 .");
    for value in 2..3000 {
        put_map(&sim, "a", &value.to_string());
        if value % 500 == 0 {
            assert_eq!(drain_items(&mut fast).await, format!("~a={value}"));
        }
    }
    delete_map(&sim, "a");
    put_map(&sim, "b", "1");
    assert_eq!(drain_items(&mut fast).await, "-a=2999 +b=1");
    assert_eq!(drain_items(&mut slow).await, ". +b=1");
}

#[tokio::test(start_paused = true)]
async fn each_subscriber_receives_the_failures_of_the_watch() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    sim.faults().add(Rule::new(Fault::status(500)).times(2));
    let informer = SharedInformer::new(maps(&sim));
    let (mut one, mut other) = (informer.subscribe(), informer.subscribe());
    let drain_all = async |changes: &mut Subscription<ConfigMap>| {
        let items = changes.take_until(tokio::time::sleep(Duration::from_secs(30)));
        items.map(|item| item.is_err()).collect::<Vec<_>>().await
    };
    let (one, other) = futures::join!(drain_all(&mut one), drain_all(&mut other));
    assert_eq!(one, [true, true, false, false]);
    assert_eq!(one, other);
}

#[tokio::test(start_paused = true)]
async fn a_relist_emits_deletions_that_the_watch_missed() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    sim.faults().add(Rule::new(Fault::HangAfterEvents(3)).verb("watch").nth(1));
    let informer =
        SharedInformer::with_config(maps(&sim), Config::default().timeout(Duration::from_secs(60)));
    let mut changes = informer.subscribe();
    assert_eq!(drain_items(&mut changes).await, "+a=1 +b=1 .");
    delete_map(&sim, "a");
    put_map(&sim, "b", "2");
    sim.faults().add(Rule::new(Fault::status(410)).verb("watch").times(1));
    tokio::time::sleep(Duration::from_secs(300)).await;
    let all = drain_items(&mut changes).await.replace("! ", "");
    assert_eq!(all, "~b=2 -a=1 .");
}

#[tokio::test(start_paused = true)]
async fn controllers_share_an_informer() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let informers = SharedInformers::default();
    let run = || {
        let (reader, changes) = Changes::shared(&informers.informer(maps(&sim), Config::default()));
        let log = Arc::new(Log::default());
        let results = Controller::from_source(reader, changes.handle(own())).run(
            log_object,
            controller::backoff_on_error,
            log.clone(),
        );
        (results.boxed(), log)
    };
    let ((mut one, first), (mut other, second)) = (run(), run());
    let both = async { futures::join!(poll_for(1, &mut one), poll_for(1, &mut other)) };
    both.await;
    put_map(&sim, "a", "2");
    futures::join!(poll_for(1, &mut one), poll_for(1, &mut other));
    assert_eq!(
        (first.take_lines(), second.take_lines()),
        (vec!["a=1".to_owned(), "a=2".to_owned()], vec!["a=1".into(), "a=2".into()])
    );
    assert_eq!(watch_count(&sim), 1);
    drop((one, other));
    assert!(!watch_continues(&sim).await);
}

#[tokio::test]
async fn only_equal_paths_and_options_share_an_informer() {
    let sim = Sim::new();
    let informers = SharedInformers::default();
    let first = informers.informer(maps(&sim), Config::default());
    let same = informers.informer(maps(&sim), Config::default());
    let others = [
        informers.informer(maps(&sim), Config::default().labels("a=b")),
        informers.informer(Api::all(client(&sim)), Config::default()),
    ];
    let mut changes = first.subscribe();
    changes.next().await.unwrap().unwrap();
    same.store().wait_until_ready().await.unwrap();
    assert!(others.iter().all(|other| !other.store().is_ready()));
}

#[tokio::test(start_paused = true)]
async fn handles_of_a_shared_store_emit_objects_that_the_store_contains() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (reader, writer) = reflector::store_shared(1);
    let handle = writer.subscribe().unwrap();
    let second = handle.clone();
    let feed = watcher(maps(&sim), Config::default()).reflect_shared(writer);
    let feed = tokio::spawn(feed.for_each(|_| std::future::ready(())));
    let run = |handle| {
        let log = Arc::new(Log::default());
        let controller = Controller::for_shared_stream(handle, reader.clone());
        (controller.run(log_object, controller::backoff_on_error, log.clone()).boxed(), log)
    };
    let ((mut one, first), (mut other, log)) = (run(handle), run(second));
    futures::join!(poll_for(1, &mut one), poll_for(1, &mut other));
    put_map(&sim, "a", "2");
    futures::join!(poll_for(1, &mut one), poll_for(1, &mut other));
    assert_eq!(
        (first.take_lines(), log.take_lines()),
        (vec!["a=1".to_owned(), "a=2".to_owned()], vec!["a=1".into(), "a=2".into()])
    );
    feed.abort();
    assert!(matches!(one.next().await, Some(Err(controller::Error::SourcesEnded))), "the writer was dropped");
}

#[tokio::test(start_paused = true)]
async fn a_store_has_the_resource_version_of_the_last_change_or_bookmark() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let version =
        |store: &Store<ConfigMap>| store.resource_version().and_then(|version| version.parse::<u64>().ok());
    let shared = SharedInformer::new(maps(&sim));
    let mut informer = Informer::new(maps(&sim));
    let mut reflector = Reflector::new(maps(&sim));
    let stores = [shared.store(), informer.store(), reflector.store()];
    assert_eq!(stores.each_ref().map(version), [None; 3]);
    let _changes = shared.subscribe();
    for round in 0..3 {
        put_map(&sim, "a", &round.to_string());
        // A new object of another kind advances the resource version of the server. Only a bookmark reports this version.
        sim.create(&json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("s{round}"), "namespace": "default"}}))
            .unwrap();
        sleep(Duration::from_secs(120)).await;
        reflector.poll().await.unwrap();
        informer.poll().await.unwrap();
        sim.end_watches();
        let expected = sim.get("v1", "ConfigMap", "default", "a").unwrap();
        let expected = expected["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        for store in &stores {
            assert!(version(store).is_some_and(|version| version >= expected), "{:?}", version(store));
        }
        assert_eq!(version(&stores[0]), Some(sim.resource_version()), "the version of the bookmark");
    }
}
