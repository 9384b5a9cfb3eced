//! Tests of the tokens of service accounts. A `TokenRequest` issues a token, and a `TokenReview` authenticates the token.

use std::time::Duration;

use http::Method;
use kube_sim::Sim;
use serde_json::{Value, json};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";

fn create_account(sim: &Sim) {
    sim.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}))
        .unwrap();
}

fn request_token(sim: &Sim, spec: &Value) -> String {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let path = format!("{ACCOUNTS}/robot/token");
    let issued = sim.request(&Method::POST, &path, "application/json", &body).unwrap();
    issued["status"]["token"].as_str().unwrap().to_owned()
}

fn review_token(sim: &Sim, spec: &Value) -> Value {
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
    sim.request(&Method::POST, path, "application/json", &body).unwrap()["status"].take()
}

#[tokio::test(start_paused = true)]
async fn an_issued_token_is_authenticated_until_it_expires() {
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let sim = Sim::builder().start_time(start).build();
    create_account(&sim);
    let token = request_token(&sim, &json!({"expirationSeconds": 600}));
    let status = review_token(&sim, &json!({"token": token}));
    assert_eq!(status["authenticated"], true, "{status}");
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:robot");
    let groups = json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    assert_eq!(status["user"]["groups"], groups);
    assert_eq!(status["audiences"], json!(["https://kubernetes.default.svc"]));
    tokio::time::advance(Duration::from_secs(600)).await;
    let status = review_token(&sim, &json!({"token": token}));
    assert_eq!(status["authenticated"], json!(null));
    assert!(status["error"].as_str().unwrap().contains("expired"), "{status}");
}

#[test]
fn a_token_is_valid_only_for_its_audiences_and_only_while_its_account_exists() {
    let sim = Sim::new();
    create_account(&sim);
    let token = request_token(&sim, &json!({"audiences": ["vault", "other"]}));
    let status = review_token(&sim, &json!({"token": token, "audiences": ["vault", "unknown"]}));
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["vault"])));
    assert_eq!(review_token(&sim, &json!({"token": token}))["authenticated"], json!(null));
    for invalid in ["", "a.b.c", "sim.default.robot.x", token.trim_end_matches('t')] {
        let status = review_token(&sim, &json!({"token": format!("{invalid}x"), "audiences": ["vault"]}));
        assert_eq!(status["authenticated"], json!(null), "{invalid}");
    }
    sim.delete("v1", "ServiceAccount", "default", "robot").unwrap();
    create_account(&sim);
    assert_eq!(
        review_token(&sim, &json!({"token": token, "audiences": ["vault"]}))["authenticated"],
        json!(null)
    );
}
