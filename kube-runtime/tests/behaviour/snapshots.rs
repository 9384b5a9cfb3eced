//! Tests of snapshots: streaming lists with a slow server or a slow reader, lists from the watch cache, and a body that
//! ends inside an event.

use crate::common::{format_item, maps, put_map};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, Client, client::Body};
use kube_runtime::Reflector;
use kube_runtime::watcher::{Config, InitialListStrategy, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action, Rule};
use serde_json::json;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The query strings of all requests to the server.
type Queries = Arc<Mutex<Vec<String>>>;

/// Returns a client, and the queries of the requests that the client has sent. The mock server answers a streaming list
/// with two objects and the end of the list, one event per second. The responses have no other events, and stay open.
fn client_of_slow_server() -> (Client, Queries) {
    let queries = Queries::default();
    let asked = queries.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let is_streaming_list = query.contains("sendInitialEvents=true");
        asked.lock().unwrap().push(query);
        async move {
            let meta = |name: &str| json!({"name": name, "namespace": "default", "resourceVersion": "7"});
            let added = |name| json!({"type": "ADDED", "object": {"metadata": meta(name)}});
            let end = json!({"type": "BOOKMARK", "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata":
                {"resourceVersion": "7", "annotations": {"k8s.io/initial-events-end": "true"}}}});
            let events = if is_streaming_list { vec![added("a"), added("b"), end] } else { Vec::new() };
            let events = stream::iter(events).then(|event| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, Infallible>(format!("{event}\n"))
            });
            Ok::<_, Infallible>(http::Response::new(Body::wrap_stream(events.chain(stream::pending()))))
        }
    });
    (Client::new(service, "default"), queries)
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_count_as_a_stall() {
    let (client, queries) = client_of_slow_server();
    let mut items = watcher(Api::<ConfigMap>::all(client), Config::default()).boxed();
    for expected in ["[", "*a=", "*b=", "]"] {
        assert_eq!(format_item(items.next().await.unwrap()), expected);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(queries.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_reflector_timeout_does_not_apply_to_a_streaming_list() {
    let (client, queries) = client_of_slow_server();
    let mut reflector = Reflector::<ConfigMap>::new(Api::all(client)).timeout(Duration::from_secs(5));
    for _ in 0..2 {
        reflector.poll().await.unwrap();
        assert_eq!(reflector.read().len(), 2);
    }
    let queries = queries.lock().unwrap();
    assert_eq!(queries.len(), 2);
    assert!(queries[0].contains("timeoutSeconds=60"), "{queries:?}");
    assert!(queries[1].contains("timeoutSeconds=5"), "{queries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_relist_from_the_watch_cache_is_not_older_than_the_last_version() {
    let sim = Sim::new();
    let config = Config::default().any_semantic().initial_list_strategy(InitialListStrategy::ListWatch);
    let mut items = watcher(maps(&sim), config.timeout(Duration::from_secs(5))).boxed();
    for expected in ["[", "]"] {
        assert_eq!(format_item(items.next().await.unwrap()), expected);
    }
    put_map(&sim, "a", "1");
    assert_eq!(format_item(items.next().await.unwrap()), "+a=1");
    let seen = sim.get("v1", "ConfigMap", "default", "a").unwrap()["metadata"]["resourceVersion"].clone();
    sim.faults().add(Rule::new(Action::status(410)).verb("watch").times(1));
    for expected in ["[", "*a=1", "]"] {
        assert_eq!(format_item(items.next().await.unwrap()), expected);
    }
    let lists: Vec<_> = sim.journal().entries().into_iter().filter(|entry| entry.verb == "list").collect();
    assert!(lists[0].query.contains("resourceVersion=0&"), "{}", lists[0].query);
    let asked = lists[1].query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion=")).unwrap();
    assert!(asked.parse::<u64>().unwrap() >= seen.as_str().unwrap().parse().unwrap(), "{asked} {seen}");
    assert!(lists[1].query.contains("resourceVersionMatch=NotOlderThan"), "{}", lists[1].query);
}

/// Sends the chunks of a streaming list's body.
type ChunkSender = futures::channel::mpsc::UnboundedSender<Result<String, Infallible>>;

/// Returns a client, the queries of the requests that the client has sent, and a sender. The mock server responds to the
/// first request with the chunks from the sender. The response to each further request stays open without data.
fn client_of_chunked_server() -> (Client, Queries, ChunkSender) {
    let (queries, (send, receive)) = (Queries::default(), futures::channel::mpsc::unbounded());
    let (asked, receive) = (queries.clone(), Arc::new(Mutex::new(Some(receive))));
    let service = tower::service_fn(move |request: http::Request<Body>| {
        asked.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
        let body = receive.lock().unwrap().take().map(Body::wrap_stream);
        let rest = || Body::wrap_stream(stream::pending::<Result<String, Infallible>>());
        std::future::ready(Ok::<_, Infallible>(http::Response::new(body.unwrap_or_else(rest))))
    });
    (Client::new(service, "default"), queries, send)
}

/// The text of an `ADDED` event, cut into two chunks.
fn event_halves() -> [String; 2] {
    let meta = json!({"name": "a", "namespace": "default", "resourceVersion": "7"});
    let text = json!({"type": "ADDED", "object": {"metadata": meta, "data": {"v": "1"}}}).to_string();
    let (first, second) = text.split_at(text.len() / 2);
    [first.to_owned(), format!("{second}\n")]
}

#[tokio::test(start_paused = true)]
async fn time_without_polls_does_not_count_as_a_stall() {
    let (client, queries, chunks) = client_of_chunked_server();
    let mut items = watcher(Api::<ConfigMap>::all(client), Config::default()).boxed();
    assert_eq!(format_item(items.next().await.unwrap()), "[");
    assert!(futures::poll!(items.next()).is_pending());
    for round in 0..3 {
        tokio::time::advance(Duration::from_secs(17)).await;
        assert!(futures::poll!(items.next()).is_pending(), "round {round}");
    }
    let [first, second] = event_halves();
    chunks.unbounded_send(Ok(first)).unwrap();
    tokio::time::advance(Duration::from_secs(17)).await;
    assert!(futures::poll!(items.next()).is_pending());
    chunks.unbounded_send(Ok(second)).unwrap();
    assert_eq!(format_item(items.next().await.unwrap()), "*a=1");
    assert_eq!(queries.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_arrives_slowly_does_not_count_as_a_stall() {
    let (client, queries, chunks) = client_of_chunked_server();
    let mut items = watcher(Api::<ConfigMap>::all(client), Config::default()).boxed();
    assert_eq!(format_item(items.next().await.unwrap()), "[");
    let [first, second] = event_halves();
    let sending = async {
        for piece in first.as_bytes().chunks(8) {
            chunks.unbounded_send(Ok(String::from_utf8(piece.to_vec()).unwrap())).unwrap();
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
        chunks.unbounded_send(Ok(second)).unwrap();
    };
    let (item, ()) = futures::join!(items.next(), sending);
    assert_eq!(format_item(item.unwrap()), "*a=1");
    assert_eq!(queries.lock().unwrap().len(), 1);
    // The server sends half of an object, and no further bytes.
    chunks.unbounded_send(Ok(event_halves()[0].clone())).unwrap();
    assert_eq!(format_item(items.next().await.unwrap()), "[");
    assert!(futures::poll!(items.next()).is_pending());
    assert_eq!(queries.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_body_ends_inside_an_event_resumes_without_a_relist() {
    let (client, queries, body) = client_of_chunked_server();
    let mut items = watcher(Api::<ConfigMap>::all(client), Config::default()).boxed();
    let end = json!({"type": "BOOKMARK", "object": {"kind": "ConfigMap", "apiVersion": "v1", "metadata":
        {"resourceVersion": "6", "annotations": {"k8s.io/initial-events-end": "true"}}}});
    let [first_half, _] = event_halves();
    for piece in [format!("{end}\n"), first_half] {
        body.unbounded_send(Ok(piece)).unwrap();
    }
    drop(body);
    for expected in ["[", "]"] {
        assert_eq!(format_item(items.next().await.unwrap()), expected);
    }
    let next = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let item = items.next().await.unwrap();
            assert!(item.is_err(), "{item:?}");
        }
    });
    assert!(next.await.is_err());
    let queries = queries.lock().unwrap();
    assert_eq!(queries.len(), 2, "{queries:?}");
    assert!(
        queries[1].contains("resourceVersion=6") && !queries[1].contains("sendInitialEvents"),
        "{queries:?}"
    );
}
