//! Tests of the requests that `RestMapper` sends, and of its results if requests fail.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use kube_client::core::GroupVersionKind;
use kube_client::discovery::RestMapper;
use kube_client::error::DiscoveryError;
use kube_client::{Client, Error, client::Body};
use kube_sim::Sim;
use serde_json::{Value, json};
use tower::service_fn;

/// A server that delays each response. A test can replace the document at `/apis`.
#[derive(Clone, Default)]
struct MockServer {
    document: Arc<Mutex<Value>>,
    requests: Arc<Mutex<u32>>,
}

impl MockServer {
    fn new(items: &Value) -> Self {
        let server = Self::default();
        server.set_groups(items);
        server
    }

    /// Replaces the groups in the document.
    fn set_groups(&self, items: &Value) {
        *self.document.lock().unwrap() = json!({"kind": "APIGroupDiscoveryList", "items": items});
    }

    /// Makes further requests for `/apis` fail with this status code.
    fn fail_with(&self, code: u16) {
        *self.document.lock().unwrap() = json!({ "code": code });
    }

    /// The number of requests for `/apis`.
    fn request_count(&self) -> u32 {
        *self.requests.lock().unwrap()
    }

    /// A mapper that sends requests to this server.
    fn mapper(&self) -> RestMapper {
        let server = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let apis = request.uri().path() == "/apis";
                let document =
                    if apis { server.document.lock().unwrap().clone() } else { json!({"code": 404}) };
                *server.requests.lock().unwrap() += u32::from(apis);
                tokio::time::sleep(Duration::from_millis(50)).await;
                let code = u16::try_from(document["code"].as_u64().unwrap_or(200)).unwrap();
                Response::builder().status(code).body(Full::new(Bytes::from(document.to_string())))
            }
        });
        RestMapper::new(Client::new(service, "default"))
    }
}

/// A group in an aggregated discovery document. The group has the version `v1` with a resource for each name in `plurals`.
fn group_document(name: &str, plurals: &[&str]) -> Value {
    let resource = |plural: &&str| json!({"resource": plural, "responseKind": {"kind": plural.to_uppercase()}, "scope": "Cluster", "verbs": ["get"]});
    let resources: Vec<Value> = plurals.iter().map(resource).collect();
    json!({"metadata": {"name": name}, "versions": [{"version": "v1", "resources": resources}]})
}

/// A group whose only version is stale.
fn stale_group(name: &str) -> Value {
    json!({"metadata": {"name": name}, "versions": [{"version": "v1", "freshness": "Stale"}]})
}

fn reports_missing_resource(error: &Error) -> bool {
    matches!(error, Error::Discovery(DiscoveryError::MissingResource(_) | DiscoveryError::MissingKind(_)))
}

#[tokio::test(start_paused = true)]
async fn cache_misses_cause_at_most_one_refresh_per_interval() {
    let server = MockServer::new(&json!([group_document("a", &["xs"])]));
    let mapper = server.mapper().min_refresh_interval(Duration::from_secs(5));
    assert_eq!(server.request_count(), 0);
    for _ in 0..3 {
        assert_eq!(mapper.resolve("xs.a").await.unwrap().0.api_version, "a/v1");
        assert!(reports_missing_resource(&mapper.resolve("ys").await.unwrap_err()));
    }
    assert_eq!(server.request_count(), 1);

    server.set_groups(&json!([group_document("a", &["xs", "ys"])]));
    tokio::time::advance(Duration::from_secs(6)).await;
    mapper.resolve("xs").await.unwrap();
    assert_eq!(server.request_count(), 1, "a hit sends no request");
    let gvk = GroupVersionKind::gvk("a", "v1", "YS");
    assert_eq!(mapper.resolve_gvk(&gvk).await.unwrap().0.plural, "ys");
    assert!(reports_missing_resource(
        &mapper.resolve_gvk(&GroupVersionKind::gvk("a", "v1", "ys")).await.unwrap_err()
    ));
    assert_eq!(server.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn concurrent_calls_share_one_refresh() {
    let server = MockServer::new(&json!([group_document("a", &["xs"])]));
    let mapper = server.mapper();
    let found = join_all((0..50).map(|_| mapper.resolve("xs"))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(server.request_count(), 1);

    server.fail_with(403);
    tokio::time::advance(Duration::from_secs(60)).await;
    let failed = join_all((0..50).map(|_| mapper.resolve("ys"))).await;
    assert_eq!(server.request_count(), 2);
    for error in failed.into_iter().map(Result::unwrap_err) {
        assert!(
            matches!(error.discovery(), Some(DiscoveryError::Unavailable(_))) && error.is_forbidden(),
            "{error:?}"
        );
    }
    mapper.resolve("xs").await.expect("the cache remains usable");
    assert!(mapper.resolve("ys").await.unwrap_err().is_forbidden(), "the server was not asked about ys");
    assert_eq!(server.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_first_refresh_is_repeated_after_the_interval() {
    let server = MockServer::new(&json!([]));
    server.fail_with(403);
    let mapper = server.mapper();
    for _ in 0..3 {
        assert!(mapper.resolve("xs").await.unwrap_err().is_forbidden());
    }
    assert_eq!(server.request_count(), 1);
    server.set_groups(&json!([group_document("a", &["xs"])]));
    tokio::time::advance(Duration::from_secs(6)).await;
    mapper.resolve("xs").await.unwrap();
    assert_eq!(server.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_does_not_block_the_next_refresh() {
    let server = MockServer::new(&json!([group_document("a", &["xs"])]));
    let mapper = server.mapper();
    let dropped = tokio::time::timeout(Duration::from_millis(10), mapper.resolve("xs")).await;
    assert!(dropped.is_err());
    mapper.resolve("xs").await.unwrap();
    assert_eq!(server.request_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_invalidate_empties_the_cache_and_discards_a_refresh_in_flight() {
    let server = MockServer::new(&json!([group_document("a", &["xs"])]));
    let mapper = server.mapper();
    let in_flight = async {
        mapper.resolve("xs").await.unwrap();
    };
    let invalidate = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        server.set_groups(&json!([group_document("a", &["ys"])]));
        mapper.invalidate();
    };
    tokio::join!(in_flight, invalidate);
    mapper.resolve("ys").await.unwrap();
    assert!(
        reports_missing_resource(&mapper.resolve("xs").await.unwrap_err()),
        "the refresh in flight had the old resources"
    );
    assert_eq!(server.request_count(), 2);

    server.set_groups(&json!([group_document("a", &["zs"])]));
    mapper.clone().invalidate();
    mapper.resolve("zs").await.unwrap();
    assert_eq!(server.request_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_error_for_an_unknown_name_contains_the_failed_group_versions() {
    let server = MockServer::new(&json!([
        group_document("a", &["xs"]),
        stale_group("down"),
        stale_group("metrics.k8s.io")
    ]));
    let mapper = server.mapper();
    mapper.resolve("xs").await.unwrap();
    assert_eq!(mapper.discovery().await.unwrap().failures().len(), 2);
    for (argument, failed) in [
        ("ys", Some("down/v1, metrics.k8s.io/v1")),
        ("ys.down", Some("down/v1")),
        ("ys.v1.metrics", Some("metrics.k8s.io/v1")),
        ("ys.v2.down", None),
        ("ys.a", None),
    ] {
        let error = mapper.resolve(argument).await.unwrap_err();
        match (error.discovery(), failed) {
            (Some(DiscoveryError::Incomplete { group_versions, .. }), Some(failed)) => {
                assert_eq!(group_versions, failed);
                assert!(error.is_retryable());
            }
            (_, None) if reports_missing_resource(&error) => assert!(!error.is_retryable()),
            _ => panic!("{argument}: {error:?}"),
        }
    }
    let gvk = |group: &str, version: &str| GroupVersionKind::gvk(group, version, "Y");
    let error = mapper.resolve_gvk(&gvk("down", "v1")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot find \"down/v1 Y\", and the discovery of down/v1 failed");
    assert!(reports_missing_resource(&mapper.resolve_gvk(&gvk("down", "v2")).await.unwrap_err()));
}

#[tokio::test]
async fn resolve_all_accepts_a_category_or_a_name() {
    let mapper = RestMapper::new(Client::new(Sim::new().service(), "default"));
    let all = mapper.resolve_all("all").await.unwrap();
    assert!(all.len() > 5 && all.iter().any(|(resource, _)| resource.plural == "replicasets"));
    assert_eq!(mapper.resolve_all("po").await.unwrap().len(), 1);
    assert!(reports_missing_resource(&mapper.resolve_all("nothing").await.unwrap_err()));
    assert!(reports_missing_resource(&mapper.resolve("all").await.unwrap_err()));
}
