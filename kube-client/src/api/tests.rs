//! Tests of the logs of pods, and of `drain`.

use super::{
    Api, DrainError, DrainParams, ListParams, LogParams, Patch, PatchParams, PodName, PostParams, drain,
};
use crate::{Client, Error};
use bytes::Bytes;
use futures::{AsyncReadExt, StreamExt, TryStreamExt, io::AsyncBufReadExt};
use http::{Request, Response};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::json;
use std::time::Duration;

fn pod(name: &str) -> Pod {
    let container = json!({"name": "main", "image": "web"});
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"containers": [container]}})).unwrap()
}

/// An `Api` of a server that answers each request with these chunks.
fn pods_with_logs(chunks: Vec<&'static [u8]>) -> Api<Pod> {
    let respond = move |_: Request<crate::client::Body>| {
        let chunks = chunks.clone();
        let body = futures::stream::iter(chunks).map(|chunk| Ok::<_, Error>(Bytes::from_static(chunk)));
        std::future::ready(Ok::<_, Error>(Response::new(crate::client::Body::wrap_stream(body))))
    };
    Api::default_namespaced(Client::new(tower::service_fn(respond), "default"))
}

#[tokio::test]
async fn reading_logs_returns_the_streamed_text_and_fails_for_an_absent_pod_or_container() {
    let client = Client::new(kube_sim::Sim::new().service(), "default");
    let pods: Api<Pod> = Api::default_namespaced(client);
    pods.create(&PostParams::default(), &pod("web")).await.unwrap();
    let all = pods.logs("web", &LogParams::default()).await.unwrap();
    let mut streamed = String::new();
    pods.log_stream("web", &LogParams::default()).await.unwrap().read_to_string(&mut streamed).await.unwrap();
    assert_eq!(streamed, all);
    let other = LogParams { container: Some("other".into()), ..LogParams::default() };
    assert!(pods.logs("web", &other).await.unwrap_err().is_bad_request());
    assert!(pods.logs("absent", &LogParams::default()).await.unwrap_err().is_not_found());
}

/// Returns a client of a server. The server has the node `n`, and one pod on this node for each of the names.
async fn client_with_pods_on_a_node(names: &[&str]) -> Client {
    let client = Client::new(kube_sim::Sim::new().service(), "default");
    let nodes: Api<Node> = Api::all(client.clone());
    let node = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    for name in names {
        let mut pod = pod(name);
        let spec = pod.spec.as_mut().unwrap();
        spec.node_name = Some("n".into());
        spec.termination_grace_period_seconds = Some(0);
        pods.create(&PostParams::default(), &pod).await.unwrap();
    }
    client
}

#[tokio::test]
async fn a_drain_cordons_the_node_and_evicts_its_pods() {
    let client = client_with_pods_on_a_node(&["a", "b"]).await;
    let params = DrainParams { force: true, grace_period: Some(Duration::ZERO), ..DrainParams::default() };
    let drained = drain(&client, "n", &params).await.unwrap();
    assert_eq!(
        drained.evicted.iter().map(PodName::to_string).collect::<Vec<_>>(),
        ["default/a", "default/b"]
    );
    let nodes: Api<Node> = Api::all(client.clone());
    assert_eq!(nodes.get("n").await.unwrap().spec.unwrap().unschedulable, Some(true));
    assert!(Api::<Pod>::all(client).list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_drain_that_is_refused_evicts_no_pod() {
    let client = client_with_pods_on_a_node(&["a"]).await;
    let error = drain(&client, "n", &DrainParams::default()).await.unwrap_err();
    assert!(error.to_string().contains("default/a has no controller"), "{error}");
    assert_eq!(Api::<Pod>::all(client).list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_budget_blocks_a_drain_until_the_time_limit_unless_eviction_is_disabled() {
    let client = client_with_pods_on_a_node(&["a"]).await;
    let budgets: Api<PodDisruptionBudget> = Api::default_namespaced(client.clone());
    let budget =
        json!({"metadata": {"name": "all"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {}}}});
    budgets.create(&PostParams::default(), &serde_json::from_value(budget).unwrap()).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let running = Patch::Merge(json!({"status": {"phase": "Running"}}));
    pods.patch_status("a", &PatchParams::default(), &running).await.unwrap();
    let params =
        DrainParams { force: true, timeout: Some(Duration::from_secs(60)), ..DrainParams::default() };
    let error = drain(&client, "n", &params).await.unwrap_err();
    assert!(matches!(error, DrainError::Timeout { .. }), "{error}");

    let params = DrainParams { disable_eviction: true, ..params };
    assert_eq!(drain(&client, "n", &params).await.unwrap().evicted.len(), 1);
}

#[tokio::test]
async fn logs_that_are_not_utf8_are_readable() {
    let pods = pods_with_logs(vec![b"a\xff", b"b\n"]);
    assert_eq!(pods.logs("web", &LogParams::default()).await.unwrap(), "a\u{fffd}b\n");
}

#[tokio::test]
async fn a_log_stream_joins_lines_that_span_several_chunks() {
    let pods = pods_with_logs(vec![b"first li", b"ne\nsecond", b" line\n"]);
    let lines = pods.log_stream("web", &LogParams::default()).await.unwrap().lines();
    assert_eq!(lines.try_collect::<Vec<_>>().await.unwrap(), ["first line", "second line"]);
}

#[tokio::test]
async fn logs_above_the_size_limit_can_only_be_streamed() {
    let Api { client, .. } = pods_with_logs(vec![&[b'x'; 600], &[b'x'; 600]]);
    let pods: Api<Pod> = Api::default_namespaced(client.with_max_object_bytes(1000));
    let error = pods.logs("web", &LogParams::default()).await.unwrap_err();
    assert!(matches!(error, Error::Decode { .. }), "{error}");
    let mut all = Vec::new();
    pods.log_stream("web", &LogParams::default()).await.unwrap().read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 1200);
}
