//! Tests of the examples `admission_controller` and `cert_check`.

use crate::support::{Cluster, assert_contains};
use k8s_openapi::ByteString;
use kube_client::{Client, Config};
use kube_sim::Sim;
use serde_json::{Value, json};

/// Returns the body of an `AdmissionReview` request for the creation of a config map.
fn admission_review_body(object: &Value) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "CREATE", "userInfo": {"username": "jane"}, "name": "a", "object": object,
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        },
    });
    review.to_string().into_bytes()
}

/// Calls a registered webhook as an API server does, and returns the response.
async fn call_webhook(sim: &Sim, kind: &str, object: &Value) -> Value {
    let configuration = sim.get("admissionregistration.k8s.io/v1", kind, "", "examples-admission").unwrap();
    let webhook = &configuration["webhooks"][0];
    assert_eq!((&webhook["failurePolicy"], &webhook["sideEffects"]), (&json!("Ignore"), &json!("None")));
    let client: &Value = &webhook["clientConfig"];
    let url: http::Uri = client["url"].as_str().unwrap().parse().unwrap();
    let authority: ByteString = serde_json::from_value(client["caBundle"].clone()).unwrap();
    let authority = rustls_pki_types::pem::PemObject::from_pem_slice(&authority.0);
    let authority: rustls_pki_types::CertificateDer<'_> = authority.unwrap();
    let mut config = Config::new(format!("https://{}", url.authority().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![authority.to_vec()]);
    let request = http::Request::post(url.path()).header("content-type", "application/json");
    let client = Client::try_from(config).unwrap();
    let answer: Value = client.request(request.body(admission_review_body(object)).unwrap()).await.unwrap();
    assert_eq!(answer["response"]["uid"], "1");
    answer["response"].clone()
}

#[tokio::test]
async fn admission_controller_refuses_warns_and_mutates() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("admission_controller");
    example.wait_for_stdout("serving on https://127.0.0.1:").await;
    let map = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let validate =
        async |object: &Value| call_webhook(&cluster.sim, "ValidatingWebhookConfiguration", object).await;
    assert_eq!(validate(&map(json!({"v": "1"}))).await["allowed"], true);
    assert_eq!(validate(&map(json!({}))).await["warnings"], json!(["the config map is empty"]));
    let refused = validate(&map(json!({"tls.key": "-----BEGIN PRIVATE KEY-----"}))).await;
    assert_eq!((&refused["allowed"], &refused["status"]["code"]), (&json!(false), &json!(403)));
    assert_contains(&refused["status"]["message"].to_string(), &["data.tls.key", "use a Secret"]);
    let mutated = call_webhook(&cluster.sim, "MutatingWebhookConfiguration", &map(json!({"v": "1"}))).await;
    let patch: ByteString = serde_json::from_value(mutated["patch"].clone()).unwrap();
    let patch: Value = serde_json::from_slice(&patch.0).unwrap();
    let annotations = json!({"examples.dev/written-by": "jane"});
    assert_eq!(patch, json!([{"op": "add", "path": "/metadata/annotations", "value": annotations}]));
    example.stop().await;
}

/// The config map `kube-root-ca.crt` of a namespace, with the CA bundle `text`.
fn ca_config_map(namespace: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": text},
        "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
    })
}

#[tokio::test]
async fn cert_check_compares_the_bundles_of_all_namespaces() {
    let cluster = Cluster::new().await;
    let ca = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    for namespace in ["default", "kube-system"] {
        cluster.create(&ca_config_map(namespace, ca));
    }
    let mut same = cluster.start("cert_check");
    assert!(same.wait_for_exit().await.success());
    let lines = "default: 1 certificates, same content\nkube-system: 1 certificates, same content";
    assert_eq!(same.stdout(), lines);
    cluster.create(&ca_config_map("kube-public", &ca.repeat(2)));
    let differing = cluster.start("cert_check").wait_for_failure().await;
    assert_eq!(differing, "error: 1 of 3 bundles differ from the first");
}
