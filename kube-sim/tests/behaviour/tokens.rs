//! Tokens of service accounts: issued by a `TokenRequest`, and authenticated by a `TokenReview`.

use std::time::Duration;

use http::Method;
use kube_sim::Sim;
use serde_json::{Value, json};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

fn account(sim: &Sim) {
    sim.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}))
        .unwrap();
}

fn token(sim: &Sim, spec: &Value) -> String {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("{ACCOUNTS}/robot/token");
    let issued = sim.request(&Method::POST, &path, "application/json", &body).unwrap();
    issued["status"]["token"].as_str().unwrap().to_owned()
}

fn review(sim: &Sim, spec: &Value) -> Value {
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
    sim.request(&Method::POST, path, "application/json", &body).unwrap()["status"].take()
}

#[tokio::test(start_paused = true)]
async fn an_issued_token_is_authenticated_until_it_expires() {
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let sim = Sim::builder().start_time(start).build();
    account(&sim);
    let token = token(&sim, &json!({"expirationSeconds": 600}));
    let status = review(&sim, &json!({"token": token}));
    assert_eq!(status["authenticated"], true, "{status}");
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:robot");
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    assert_eq!(status["user"]["groups"], groups);
    assert_eq!(status["audiences"], json!(["https://kubernetes.default.svc"]));
    tokio::time::advance(Duration::from_secs(600)).await;
    let status = review(&sim, &json!({"token": token}));
    assert_eq!(status["authenticated"], json!(null));
    assert!(status["error"].as_str().unwrap().contains("expired"), "{status}");
}

#[test]
fn a_token_is_valid_for_its_audiences_and_its_account() {
    let sim = Sim::new();
    account(&sim);
    let token = token(&sim, &json!({"audiences": ["vault", "other"]}));
    let status = review(&sim, &json!({"token": token, "audiences": ["vault", "unknown"]}));
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["vault"])));
    assert_eq!(review(&sim, &json!({"token": token}))["authenticated"], json!(null));
    for invalid in ["", "a.b.c", "sim.default.robot.x", token.trim_end_matches('t')] {
        let status = review(&sim, &json!({"token": format!("{invalid}x"), "audiences": ["vault"]}));
        assert_eq!(status["authenticated"], json!(null), "{invalid}");
    }
    sim.delete("v1", "ServiceAccount", "default", "robot").unwrap();
    account(&sim);
    assert_eq!(review(&sim, &json!({"token": token, "audiences": ["vault"]}))["authenticated"], json!(null));
}
