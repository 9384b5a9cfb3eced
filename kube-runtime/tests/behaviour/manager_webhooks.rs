//! Tests of a manager with webhooks.

use crate::common::client;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::core::admission::AdmissionRequest;
use kube_client::{Api, Client, Config};
use kube_runtime::manager::Error;
use kube_runtime::{Manager, watcher, webhook};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::{Value, json};
use std::{future::pending, path::Path, time::Duration};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A time limit for waits on the real clock. No test checks how long a wait takes.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// A webhook server with a self-signed certificate, and a client that trusts this certificate. The server listens on a
/// free port.
fn server_and_client(folder: &Path) -> (webhook::Server, Client) {
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let server = webhook::Server::from_files(certificate, key).unwrap().listen("127.0.0.1:0").unwrap();
    let server = server.validate("/a", async |_: AdmissionRequest<ConfigMap>| Ok(vec![]));
    let mut config = Config::new(format!("https://{}", server.address().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![pair.cert.der().to_vec()]);
    (server, Client::try_from(config).unwrap())
}

/// Posts a review. Returns whether the webhook allows the object, or `None` if there is no answer with a decision.
async fn post_review(webhooks: &Client) -> Option<bool> {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "userInfo": {}, "object": object,
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        },
    });
    let request = http::Request::post("/a").header("content-type", "application/json");
    let answer: Value =
        webhooks.request(request.body(review.to_string().into_bytes()).unwrap()).await.ok()?;
    answer["response"]["allowed"].as_bool()
}

#[tokio::test]
async fn webhooks_are_served_before_the_first_list_and_until_the_shutdown() {
    let sim = Sim::new();
    // No list succeeds. The same happens to a kind whose conversion webhook is in this program: the API server
    // cannot list the kind before the webhook server starts.
    sim.faults().add(Rule::new(Fault::status(500)).resource("configmaps"));
    let folder = tempfile::tempdir().unwrap();
    let (server, webhooks) = server_and_client(folder.path());
    let mut manager = Manager::new(client(&sim)).without_server();
    manager.webhooks(server);
    let maps = manager.informer(Api::<ConfigMap>::all(client(&sim)), watcher::Config::default());
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(manager.shutdown_on(async { drop(stopped.await) }).run());
    assert_eq!(timeout(WAIT_LIMIT, post_review(&webhooks)).await.unwrap(), Some(true));
    assert!(!maps.store().is_ready());
    stop.send(()).unwrap();
    timeout(WAIT_LIMIT, running).await.unwrap().unwrap().unwrap();
    assert_eq!(timeout(WAIT_LIMIT, post_review(&webhooks)).await.unwrap(), None);
}

#[tokio::test]
async fn a_webhook_server_that_cannot_start_ends_the_manager() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = server_and_client(folder.path());
    let mut manager = Manager::new(client(&Sim::new())).without_server().shutdown_on(pending());
    manager.webhooks(server.validate("/a", async |_: AdmissionRequest<ConfigMap>| Ok(vec![])));
    let ended = timeout(WAIT_LIMIT, manager.run()).await.unwrap();
    assert!(matches!(ended, Err(Error::Webhooks { .. })), "{ended:?}");
}
