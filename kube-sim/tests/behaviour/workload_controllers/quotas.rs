//! Tests of resource quotas.

use serde_json::{Value, json};

use super::{advance, condition, deployment, pods, sim};
use kube_sim::Sim;

fn create_quota(sim: &Sim, hard: &Value) {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "limits"}, "spec": {"hard": hard},
    });
    sim.create(&quota).unwrap();
}

fn status(sim: &Sim) -> Value {
    sim.get("v1", "ResourceQuota", "default", "limits").unwrap()["status"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_quota_counts_objects_and_refuses_objects_above_the_limit() {
    let sim = sim();
    create_quota(&sim, &json!({"configmaps": "1", "count/deployments.apps": "1"}));
    assert_eq!(status(&sim)["used"], json!({"configmaps": "0", "count/deployments.apps": "0"}));
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    sim.create(&map("a")).unwrap();
    let error = sim.create(&map("b")).unwrap_err();
    assert_eq!(error.code(), 403);
    let expected = "configmaps \"b\" is forbidden: exceeded quota: limits, requested: configmaps=1, used: configmaps=1, limited: configmaps=1";
    assert!(error.to_string().contains(expected), "{error}");
    assert_eq!(status(&sim)["used"]["configmaps"], "1");
    sim.delete("v1", "ConfigMap", "default", "a").unwrap();
    sim.create(&map("b")).unwrap();
}

#[tokio::test(start_paused = true)]
async fn pods_must_specify_the_resources_that_a_quota_limits_and_must_fit_into_the_quota() {
    let sim = sim();
    create_quota(&sim, &json!({"requests.cpu": "1", "pods": "5"}));
    let pod = |name: &str, resources: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "main", "image": "web:1", "resources": resources}]},
        })
    };
    let error = sim.create(&pod("a", json!({}))).unwrap_err();
    assert!(
        error.to_string().contains("failed quota: limits: must specify requests.cpu for: main"),
        "{error}"
    );
    sim.create(&pod("a", json!({"requests": {"cpu": "700m"}}))).unwrap();
    assert_eq!(status(&sim)["used"], json!({"pods": "1", "requests.cpu": "700m"}));
    let error = sim.create(&pod("b", json!({"requests": {"cpu": "400m"}}))).unwrap_err();
    let expected = "exceeded quota: limits, requested: requests.cpu=400m, used: requests.cpu=700m, limited: requests.cpu=1";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_set_reports_an_exceeded_quota_and_tries_again() {
    let sim = sim();
    create_quota(&sim, &json!({"pods": "2"}));
    sim.create(&deployment(3, "web:1", &json!({}))).unwrap();
    assert_eq!(pods(&sim).len(), 2);
    let web = sim.get("apps/v1", "Deployment", "default", "web").unwrap();
    assert_eq!(condition(&web, "ReplicaFailure")["reason"], "FailedCreate");
    assert!(
        condition(&web, "ReplicaFailure")["message"].as_str().unwrap().contains("exceeded quota: limits")
    );
    sim.delete("v1", "ResourceQuota", "default", "limits").unwrap();
    advance(6).await;
    assert_eq!(pods(&sim).len(), 3);
    let web = sim.get("apps/v1", "Deployment", "default", "web").unwrap();
    assert_eq!(condition(&web, "ReplicaFailure"), &Value::Null);
}
