//! Tests of API servers whose watch caches lag behind the store.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use kube_sim::fault::{Action, Rule};
use kube_sim::{Lag, Replica, Sim, SimBody};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};
use tower::ServiceExt as _;

use crate::common::{CONFIG_MAPS, config_map};

async fn get(replica: &Replica, query: &str) -> (u16, Value) {
    let request = Request::get(format!("{CONFIG_MAPS}{query}")).body(Full::<Bytes>::default()).unwrap();
    let response = replica.service().oneshot(request).await.unwrap();
    let code = response.status().as_u16();
    (code, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

/// Lists the config maps. Returns their names and the resource version of the list.
async fn list(replica: &Replica, query: &str) -> (Vec<String>, u64) {
    let (code, list) = get(replica, query).await;
    assert_eq!(code, 200, "{list}");
    let names = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned());
    (names.collect(), list["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap())
}

async fn watch(replica: &Replica, query: &str) -> SimBody {
    let request =
        Request::get(format!("{CONFIG_MAPS}?watch=1{query}")).body(Full::<Bytes>::default()).unwrap();
    replica.service().oneshot(request).await.unwrap().into_body()
}

/// Reads the events that are available now. Returns the type of each event and the name of its object.
fn read_events(body: &mut SimBody) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(Some(Ok(frame))) = body.frame().now_or_never() {
        let event: Value = serde_json::from_slice(&frame.into_data().unwrap()).unwrap();
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or("-");
        events.push(format!("{} {name}", event["type"].as_str().unwrap()));
    }
    events
}

fn create(sim: &Sim, name: &str) -> u64 {
    sim.create(&config_map(name)).unwrap();
    sim.resource_version()
}

#[tokio::test(start_paused = true)]
async fn a_lag_by_time_delays_watches_and_reads_at_version_zero() {
    let sim = Sim::new();
    create(&sim, "old");
    let replica = sim.replica(Lag::Time(Duration::from_secs(2)));
    let before = sim.resource_version();
    let mut open = watch(&replica, "&resourceVersion=0").await;
    assert_eq!(read_events(&mut open), ["ADDED old"]);
    create(&sim, "a");
    advance(Duration::from_secs(1)).await;
    let latest = create(&sim, "b");

    assert_eq!(list(&replica, "?resourceVersion=0").await, (vec!["old".to_owned()], before));
    assert_eq!(get(&replica, "/a?resourceVersion=0").await.0, 404);
    assert_eq!(get(&replica, "/a").await.0, 200, "a consistent get reads the store");
    assert_eq!(read_events(&mut open), Vec::<String>::new());
    advance(Duration::from_secs(1)).await;
    assert_eq!(read_events(&mut open), ["ADDED a"]);
    assert_eq!(list(&replica, "?resourceVersion=0").await, (vec!["a".into(), "old".into()], latest - 1));
    // A timer wakes the reader of the watch when the cache gets the next change.
    let woken = Instant::now();
    let frame = open.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&frame).contains("\"name\":\"b\""));
    assert_eq!(woken.elapsed(), Duration::from_secs(1));
    assert_eq!(replica.cached_version(), latest);
}

#[tokio::test(start_paused = true)]
async fn reads_wait_until_the_cache_is_fresh_enough() {
    let sim = Sim::new();
    let replica = sim.replica(Lag::Time(Duration::from_secs(2)));
    let version = create(&sim, "a");
    for query in [String::new(), format!("?resourceVersion={version}"), "?limit=1".into()] {
        let fresh = create(&sim, &format!("b-{}", sim.resource_version()));
        let begin = Instant::now();
        let (names, at) = list(&replica, &query).await;
        let expected = if query.contains("Version") { version } else { fresh };
        assert!(names.contains(&"a".to_owned()) && at >= expected, "{query}: {names:?} {at}");
        assert!(begin.elapsed() <= Duration::from_millis(2_050), "{query}: {:?}", begin.elapsed());
        advance(Duration::from_secs(3)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reads_fail_if_the_cache_does_not_catch_up_in_time() {
    let sim = Sim::new();
    let replica = sim.replica(Lag::Versions(1));
    let version = create(&sim, "a");
    let begin = Instant::now();
    for query in [format!("?resourceVersion={version}"), format!("/a?resourceVersion={version}")] {
        let (code, status) = get(&replica, &query).await;
        assert_eq!((code, &status["reason"]), (504, &json!("Timeout")), "{status}");
        assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
        assert_eq!(status["details"]["retryAfterSeconds"], 1);
    }
    assert!(begin.elapsed() >= Duration::from_secs(6));
    // A list without a version falls back to the store. A list at an exact version reads the store without waiting for
    // the cache.
    assert_eq!(list(&replica, "").await, (vec!["a".to_owned()], version));
    let begin = Instant::now();
    let exact = format!("?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(list(&replica, &exact).await, (vec!["a".to_owned()], version));
    assert_eq!(begin.elapsed(), Duration::ZERO);
    let streaming = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1";
    assert_eq!(read_events(&mut watch(&replica, streaming).await), ["ERROR -"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_moves_to_an_older_cache_gets_no_event_twice() {
    let sim = Sim::new();
    let replica = sim.replica(Lag::Versions(2));
    let mut version = 0;
    for name in ["a", "b", "c"] {
        version = create(&sim, name);
    }
    // The client has seen the last change on another server.
    let mut resumed = watch(&replica, &format!("&resourceVersion={version}")).await;
    let mut from_cache = watch(&replica, &format!("&resourceVersion={}", version - 3)).await;
    assert_eq!(read_events(&mut from_cache), ["ADDED a"]);
    create(&sim, "d");
    create(&sim, "e");
    assert_eq!(read_events(&mut resumed), Vec::<String>::new());
    assert_eq!(read_events(&mut from_cache), ["ADDED b", "ADDED c"]);
    // The creation of the namespace advances the resource version. The cache lags by two versions, so the cache now
    // contains `d`.
    sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})).unwrap();
    assert_eq!(read_events(&mut resumed), ["ADDED d"]);
}

#[tokio::test(start_paused = true)]
async fn a_cache_survives_compactions_and_does_not_go_back_when_the_lag_grows() {
    let sim = Sim::builder().history(3).build();
    let replica = sim.replica(Lag::Versions(2));
    for name in ["a", "b", "c"] {
        create(&sim, name);
    }
    sim.compact_all();
    assert_eq!(list(&replica, "?resourceVersion=0").await.0, ["a"]);
    let seen = replica.cached_version();
    replica.set_lag(Lag::Versions(1_000));
    assert_eq!(replica.cached_version(), seen);
    for n in 0..5 {
        create(&sim, &format!("d-{n}"));
    }
    // The history keeps only three changes, so the cache lags by at most three changes.
    assert_eq!(replica.cached_version(), sim.resource_version() - 3);
    replica.restart();
    assert_eq!(replica.cached_version(), sim.resource_version());
    let mut expired = watch(&replica, &format!("&resourceVersion={seen}")).await;
    assert_eq!(read_events(&mut expired), ["ERROR -"]);
    sim.rewind(2).unwrap();
    assert_eq!(replica.cached_version(), sim.resource_version());
}

#[tokio::test(start_paused = true)]
async fn a_cache_without_a_lag_does_not_go_back_when_it_gets_a_lag() {
    for lag in [Lag::Versions(5), Lag::Time(Duration::from_secs(60))] {
        let sim = Sim::new();
        // The cache of `_other` has a `Lag::Time`, so the simulation records the version and the time of each change.
        let _other = sim.replica(Lag::Time(Duration::from_secs(60)));
        let replica = sim.replica(Lag::None);
        create(&sim, "a");
        replica.set_lag(lag);
        assert_eq!(replica.cached_version(), sim.resource_version());
        assert_eq!(list(&replica, "?resourceVersion=0").await.0, ["a"]);
    }
}

#[tokio::test]
async fn a_balanced_client_reaches_each_server_in_turn() {
    let sim = Sim::new();
    let replicas = [sim.replica(Lag::None), sim.replica(Lag::Versions(5))];
    sim.faults().add(Rule::new(Action::status(503)).replica(replicas[1].number()));
    let service = sim.balanced(&replicas);
    let mut codes = Vec::new();
    for _ in 0..6 {
        let request = Request::get(CONFIG_MAPS).body(Full::<Bytes>::default()).unwrap();
        codes.push(service.clone().oneshot(request).await.unwrap().status().as_u16());
    }
    assert_eq!(codes, [200, 200, 503, 200, 200, 503]);
    let servers: Vec<_> = sim.journal().entries().iter().map(|entry| entry.replica).collect();
    assert_eq!(servers, [0, 1, 2, 0, 1, 2]);
}
