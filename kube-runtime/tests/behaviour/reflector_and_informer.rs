//! Tests of `Reflector` and `Informer`, run against the simulated server.

use crate::common;
use crate::common::{delete_map, error_chain, format_map, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::WatchEvent;
use kube_client::core::{ApiResource, GroupVersionKind, NotUsed, Object};
use kube_client::{Api, ResourceExt};
use kube_runtime::reflector::ObjectRef;
use kube_runtime::{Informer, Reflector, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action, Rule};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Formats the cached objects in sorted order.
fn format_objects(reflector: &Reflector<ConfigMap>) -> String {
    let mut state: Vec<_> = reflector.read().iter().map(|map| format_map(map)).collect();
    state.sort();
    state.join(" ")
}

/// Formats an informer event: `+a=1` added, `~a=1` modified, `-a=1` deleted, `bookmark`, or `!` and the code of an
/// error.
fn format_event(event: &WatchEvent<Arc<ConfigMap>>) -> String {
    match event {
        WatchEvent::Added(map) => format!("+{}", format_map(map)),
        WatchEvent::Modified(map) => format!("~{}", format_map(map)),
        WatchEvent::Deleted(map) => format!("-{}", format_map(map)),
        WatchEvent::Bookmark(_) => "bookmark".into(),
        WatchEvent::Error(status) => format!("!{}", status.code),
    }
}

/// Pops and formats all queued events.
fn pop_all(informer: &mut Informer<ConfigMap>) -> String {
    let events: Vec<_> = std::iter::from_fn(|| informer.pop()).map(|event| format_event(&event)).collect();
    events.join(" ")
}

#[tokio::test(start_paused = true)]
async fn each_poll_watches_for_ten_seconds_and_updates_the_cache() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut reflector = Reflector::new(maps(&sim));
    assert_eq!(format_objects(&reflector), "");
    for polled in 1..=3 {
        let start = Instant::now();
        reflector.poll().await.unwrap();
        assert!((10..=11).contains(&start.elapsed().as_secs()), "poll {polled} took {:?}", start.elapsed());
        assert_eq!(format_objects(&reflector), format!("a={polled}"));
        put_map(&sim, "a", &(polled + 1).to_string());
    }
    let journal = sim.journal();
    assert_eq!((journal.count_of("list", "configmaps"), journal.count_of("watch", "configmaps")), (0, 3));
    assert_eq!(reflector.resource_version().map(|v| v.parse::<u64>().is_ok()), Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_poll_ends_at_its_timeout_despite_changes_or_a_silent_server() {
    let sim = Sim::new();
    let mut reflector = Reflector::new(maps(&sim)).timeout(Duration::from_secs(3));
    reflector.poll().await.unwrap();
    let busy = async {
        for n in 0..100 {
            put_map(&sim, "a", &n.to_string());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let start = Instant::now();
    tokio::select! {
        () = busy => panic!("the poll went on for as long as things changed"),
        result = reflector.poll() => result.unwrap(),
    }
    assert!(start.elapsed() <= Duration::from_secs(4), "{:?}", start.elapsed());
    // A server that keeps the watch open forever does not extend the poll.
    sim.faults().add(Rule::new(Action::HangAfterEvents(0)).verb("watch"));
    let start = Instant::now();
    reflector.poll().await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_poll_loses_no_event() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut reflector = Reflector::new(maps(&sim));
    assert!(tokio::time::timeout(Duration::from_secs(1), reflector.poll()).await.is_err());
    assert_eq!(format_objects(&reflector), "a=1");
    put_map(&sim, "a", "2");
    delete_map(&sim, "a");
    put_map(&sim, "b", "1");
    assert!(tokio::time::timeout(Duration::from_secs(1), reflector.poll()).await.is_err());
    assert_eq!(format_objects(&reflector), "b=1");
}

#[tokio::test(start_paused = true)]
async fn a_failed_poll_returns_the_error_and_the_next_poll_resumes_after_the_backoff() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    sim.faults().add(Rule::new(Action::status(503)).verb("watch").times(2));
    let mut reflector = Reflector::new(maps(&sim)).timeout(Duration::from_secs(1));
    let start = Instant::now();
    for _ in 0..2 {
        let error = reflector.poll().await.unwrap_err();
        assert!(
            error_chain(&error).contains("/api/v1/namespaces/default/configmaps"),
            "{}",
            error_chain(&error)
        );
    }
    reflector.poll().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(800 + 1600 + 1000), "{:?}", start.elapsed());
    assert_eq!(format_objects(&reflector), "a=1");
    let key = ObjectRef::new("a").within("default");
    assert_eq!(reflector.get(&key).map(|map| map.name_any()), Some("a".into()));
}

#[tokio::test(start_paused = true)]
async fn an_undecodable_object_does_not_affect_other_objects() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "bad", "1");
    let mut reflector = Reflector::new(maps(&sim)).timeout(Duration::from_secs(1));
    reflector.poll().await.unwrap();
    let bytes = r#"{"metadata":{"name":"bad","namespace":"default"},"data":[]}"#;
    let replace = Action::ReplaceObject { name: "bad".into(), bytes: bytes.into() };
    let id = sim.faults().add(Rule::new(replace));
    put_map(&sim, "bad", "2");
    put_map(&sim, "a", "2");
    let error = reflector.poll().await.unwrap_err();
    assert_eq!(error.undecodable().and_then(|object| object.name.as_deref()), Some("bad"));
    reflector.poll().await.unwrap();
    assert_eq!(format_objects(&reflector), "a=2 bad=1");
    // The deletion removes the object from the cache even if the event cannot be decoded.
    delete_map(&sim, "bad");
    reflector.poll().await.unwrap_err();
    assert_eq!(format_objects(&reflector), "a=2");
    sim.faults().remove(id);
}

#[tokio::test(start_paused = true)]
async fn an_informer_emits_every_event_once_and_in_order() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let mut informer = Informer::new(maps(&sim)).timeout(Duration::from_secs(1));
    informer.poll().await.unwrap();
    assert_eq!(pop_all(&mut informer), "+a=1 +b=1");
    put_map(&sim, "a", "2");
    put_map(&sim, "a", "3");
    delete_map(&sim, "b");
    put_map(&sim, "b", "4");
    informer.poll().await.unwrap();
    assert_eq!(informer.len(), 4);
    assert_eq!(pop_all(&mut informer), "~a=2 ~a=3 -b=1 +b=4");
    informer.poll().await.unwrap();
    assert_eq!(pop_all(&mut informer), "");
}

#[tokio::test(start_paused = true)]
async fn an_informer_emits_only_differences_after_a_relist() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    let mut informer = Informer::new(maps(&sim)).timeout(Duration::from_secs(1));
    informer.poll().await.unwrap();
    assert_eq!(pop_all(&mut informer), "+a=1 +b=1 +c=1");
    put_map(&sim, "a", "2");
    delete_map(&sim, "b");
    put_map(&sim, "d", "1");
    sim.compact_all();
    sim.end_watches();
    informer.poll().await.unwrap();
    let mut events: Vec<_> = pop_all(&mut informer).split(' ').map(ToOwned::to_owned).collect();
    events.sort();
    assert_eq!(events, ["+d=1", "-b=1", "~a=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_list_emits_each_object_once() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    sim.faults().add(Rule::new(Action::CutAfterEvents(2)).verb("watch").nth(1));
    let mut informer = Informer::new(maps(&sim)).timeout(Duration::from_secs(1));
    informer.poll().await.unwrap_err();
    assert_eq!(pop_all(&mut informer), "");
    delete_map(&sim, "a");
    informer.poll().await.unwrap();
    assert_eq!(pop_all(&mut informer), "+b=1 +c=1");
}

#[tokio::test(start_paused = true)]
async fn an_informer_stream_recovers_from_failures() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut informer = Informer::new(maps(&sim)).timeout(Duration::from_secs(1));
    informer.poll().await.unwrap();
    sim.faults().add(Rule::new(Action::status(500)).verb("watch").times(1));
    let mut next = async || match informer.next().await.unwrap() {
        Ok(event) => format_event(&event),
        Err(error) => format!("! {}", error_chain(&error)),
    };
    assert_eq!(next().await, "+a=1");
    put_map(&sim, "a", "2");
    assert!(next().await.starts_with("! cannot open a watch"));
    assert_eq!(next().await, "~a=2");
}

#[tokio::test(start_paused = true)]
async fn pop_returns_the_events_that_the_stream_has_not_returned() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    let mut informer = Informer::new(maps(&sim)).timeout(Duration::from_secs(1));
    assert_eq!(format_event(&informer.next().await.unwrap().unwrap()), "+a=1");
    assert_eq!(informer.len(), 2);
    put_map(&sim, "b", "2");
    informer.poll().await.unwrap();
    assert_eq!(pop_all(&mut informer), "+b=1 +c=1 ~b=2");
}

#[tokio::test(start_paused = true)]
async fn an_informer_emits_a_deletion_for_an_object_replaced_between_polls() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut informer = Informer::new(maps(&sim)).timeout(Duration::from_secs(1));
    informer.poll().await.unwrap();
    assert_eq!(pop_all(&mut informer), "+a=1");
    delete_map(&sim, "a");
    put_map(&sim, "a", "2");
    sim.compact_all();
    sim.end_watches();
    informer.poll().await.unwrap();
    assert_eq!(pop_all(&mut informer), "-a=1 +a=2");
}

#[tokio::test(start_paused = true)]
async fn a_poll_with_the_maximum_timeout_does_not_end() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let mut reflector = Reflector::new(maps(&sim)).timeout(Duration::MAX);
    tokio::time::timeout(Duration::from_secs(3600), reflector.poll()).await.unwrap_err();
    assert_eq!(format_objects(&reflector), "a=1");
}

#[tokio::test(start_paused = true)]
async fn a_reflector_supports_structs_with_a_subset_of_the_fields() {
    #[derive(Clone, Debug, serde::Deserialize)]
    struct Spec {
        replicas: Option<i32>,
    }
    let sim = Sim::new();
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    sim.create(&deployment).unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api = Api::<Object<Spec, NotUsed>>::namespaced_with(common::client(&sim), "default", &resource);
    let mut reflector =
        Reflector::with_config(api, watcher::Config::default().timeout(Duration::from_secs(1)));
    reflector.poll().await.unwrap();
    let read = reflector.read();
    assert_eq!((read[0].name_any(), read[0].spec.replicas), ("web".into(), Some(3)));
}
