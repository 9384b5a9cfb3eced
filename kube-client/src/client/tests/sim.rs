//! Tests of the client with kube-sim: over TLS with a kubeconfig, in process, and with injected faults.

use crate::{
    client::{Body, Client, ClientBuilder},
    config::{Config, KubeConfigOptions, Kubeconfig, RetryPolicy, WarningHandler},
    error::{Error, TransportKind, Wait},
};
use http::Request;
use k8s_openapi::{List, api::core::v1::Node};
use kube_sim::{
    Server, Sim,
    fault::{Action, Rule},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tower::service_fn;

const CONFIG_MAPS_PATH: &str = "/api/v1/namespaces/default/configmaps";

/// Starts kube-sim with two nodes, and serves it over HTTPS.
async fn start_sim() -> (Sim, Server) {
    let sim = Sim::builder().nodes(2).build();
    let server = sim.serve_https(([127, 0, 0, 1], 0).into()).await.unwrap();
    (sim, server)
}

/// A configuration from the kubeconfig of `server`, with short waits before retries.
async fn client_config(server: &Server) -> Config {
    let kubeconfig = Kubeconfig::from_yaml(&server.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.retry = RetryPolicy::default().initial(Duration::from_millis(5));
    config
}

/// A GET request without a body.
fn get_request(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).unwrap()
}

/// A request that creates a config map with this name.
fn create_request(name: &str) -> Request<Vec<u8>> {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    let body = serde_json::to_vec(&object).unwrap();
    Request::post(CONFIG_MAPS_PATH).header("content-type", "application/json").body(body).unwrap()
}

#[tokio::test]
async fn a_client_authenticates_with_a_certificate_or_a_token() {
    let (_sim, server) = start_sim().await;
    let mut config = client_config(&server).await;
    let nodes: List<Node> =
        Client::try_from(config.clone()).unwrap().request(get_request("/api/v1/nodes")).await.unwrap();
    assert_eq!(nodes.items.len(), 2);

    config.auth_info = crate::config::AuthInfo::default();
    config.auth_info.token = server.token().map(|token| token.to_owned().into());
    let client = Client::try_from(config.clone()).unwrap();
    assert!(!client.apiserver_version().await.unwrap().git_version.is_empty());
    let error = client.request::<Value>(get_request(&format!("{CONFIG_MAPS_PATH}/none"))).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");

    config.auth_info.token = Some("wrong".to_owned().into());
    let client = Client::try_from(config).unwrap();
    let error = client.request::<Value>(get_request("/api/v1/nodes")).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
}

#[tokio::test]
async fn a_list_is_retried_after_a_reset_but_a_create_with_unknown_outcome_is_not() {
    let (sim, server) = start_sim().await;
    let client = Client::try_from(client_config(&server).await).unwrap();
    let reads = sim.faults().add(Rule::new(Action::Reset).verb("list").times(2));
    client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap();
    assert_eq!(sim.faults().hits(reads), 2);

    let writes = sim.faults().add(Rule::new(Action::ResetAfterHandling).verb("create").times(1));
    let error = client.request::<Value>(create_request("once")).await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{error:?}");
    assert_eq!(sim.faults().hits(writes), 1);
    // The server has performed the write: a second create finds the object.
    assert!(client.request::<Value>(create_request("once")).await.unwrap_err().is_already_exists());
}

#[tokio::test]
async fn a_throttled_write_is_retried_if_the_requested_wait_is_within_the_total_limit() {
    let (sim, server) = start_sim().await;
    let client = Client::try_from(client_config(&server).await).unwrap();
    sim.faults().add(Rule::new(Action::status_retry_after(429, 1)).verb("create").times(1));
    client.request::<Value>(create_request("later")).await.unwrap();
    let throttled = sim.faults().add(Rule::new(Action::status_retry_after(503, 60)).verb("create"));
    // A wait of one minute exceeds `RetryPolicy::total`.
    let error = client.request::<Value>(create_request("never")).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)), "{error}");
    assert_eq!(sim.faults().hits(throttled), 1);
}

#[tokio::test]
async fn a_request_after_a_response_timeout_succeeds() {
    let (sim, server) = start_sim().await;
    let mut config = client_config(&server).await;
    config.response_timeout = Some(Duration::from_millis(300));
    let client = Client::try_from(config).unwrap();
    sim.faults().add(Rule::new(Action::Hang).times(1));
    let error = client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { wait: Wait::Response, .. }), "{error:?}");
    client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap();
}

#[tokio::test]
async fn a_client_rejects_a_restarted_server_with_another_ca() {
    let (sim, server) = start_sim().await;
    let address = server.local_addr();
    let client = Client::try_from(client_config(&server).await).unwrap();
    client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap();
    server.shutdown().await;
    let error = client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Connect, .. }), "{error:?}");
    // A new listener has a new CA.
    let _server = sim.serve_https(address).await.unwrap();
    let error = client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Tls, .. }), "{error:?}");
}

#[tokio::test]
async fn an_in_process_server_needs_no_configuration() {
    let sim = Sim::new();
    let client = Client::new(sim.service(), "apps");
    assert_eq!(client.default_namespace(), "apps");
    client.request::<Value>(create_request("direct")).await.unwrap();
    assert!(sim.get("v1", "ConfigMap", "default", "direct").is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_default_stack_over_an_in_process_server_retries_and_has_time_limits() {
    let sim = Sim::new();
    let new_client = || {
        let mut config = Config::new("http://localhost".parse().unwrap());
        config.default_namespace = "apps".to_owned();
        ClientBuilder::over(sim.service(), &config).unwrap().build()
    };
    let client = new_client();
    assert_eq!(client.default_namespace(), "apps");
    let throttled = sim.faults().add(Rule::new(Action::status_retry_after(429, 7)).verb("create").times(2));
    let bare = Client::new(sim.service(), "apps");
    assert!(bare.request::<Value>(create_request("later")).await.unwrap_err().is_too_many_requests());
    let started = Instant::now();
    client.request::<Value>(create_request("later")).await.unwrap();
    assert_eq!(sim.faults().hits(throttled), 2);
    assert!((7..9).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());

    sim.faults().add(Rule::new(Action::Hang).times(1));
    let error = client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { wait: Wait::Response, .. }), "{error:?}");
}

#[tokio::test]
async fn a_custom_transport_receives_credentials_and_full_uris() {
    let seen = service_fn(|request: Request<Body>| async move {
        let credentials = request.headers()["authorization"].to_str().unwrap();
        let text = format!("{:?}", format!("{} {credentials}", request.uri()));
        Ok::<_, Error>(http::Response::new(Body::from(text.into_bytes())))
    });
    let mut config = Config::new("https://api.internal/prefix".parse().unwrap());
    config.auth_info.token = Some("abc".to_owned().into());
    let client = ClientBuilder::over(seen, &config).unwrap().build();
    let text: String = client.request(get_request("/version")).await.unwrap();
    assert_eq!(text, "https://api.internal/prefix/version Bearer abc");
    // Credentials over plain `http` are rejected, as with the default transport.
    config.cluster_url = "http://api.internal".parse().unwrap();
    assert!(ClientBuilder::over(seen, &config).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_custom_transport_is_reported_as_a_broken_connection() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let service = service_fn(move |_: Request<Body>| {
        let call = counter.fetch_add(1, Ordering::Relaxed);
        async move { if call < 2 { Err("reset") } else { Ok(http::Response::new(Body::from(b"{}".to_vec()))) } }
    });
    let config = Config::new("http://localhost".parse().unwrap());
    let client = ClientBuilder::over(service, &config).unwrap().build();
    let error = client.request::<Value>(create_request("once")).await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{error:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    client.request::<Value>(get_request(CONFIG_MAPS_PATH)).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn warnings_of_responses_reach_the_warning_handler() {
    let sim = Sim::new();
    let (mut config, warnings) =
        (Config::new("http://sim".parse().unwrap()), Arc::new(Mutex::new(Vec::new())));
    let received = warnings.clone();
    config.warning_handler =
        WarningHandler::new(move |warning| received.lock().unwrap().push(warning.to_string()));
    let client = ClientBuilder::over(sim.service(), &config).unwrap().build();
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dada": {"k": "v"}});
    let request = Request::post(format!("{CONFIG_MAPS_PATH}?fieldValidation=Warn"))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&object).unwrap())
        .unwrap();
    client.request::<Value>(request).await.unwrap();
    client.request::<Value>(get_request(&format!("{CONFIG_MAPS_PATH}/a"))).await.unwrap();
    assert_eq!(*warnings.lock().unwrap(), ["unknown field \"dada\""]);
}
