//! Tests of PodDisruptionBudgets, and of evictions that respect the budgets.

use http::Method;
use serde_json::{Value, json};

use super::{advance, condition, deployment, merge_patch, pods, sim};
use kube_sim::{Sim, SimError};

fn create_budget(sim: &Sim, spec: &Value) {
    let mut budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec,
    });
    budget["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    sim.create(&budget).unwrap();
}

/// Returns four counts from the status of the budget: current healthy pods, desired healthy pods, expected pods and
/// allowed disruptions.
fn status_counts(sim: &Sim) -> [u64; 4] {
    let budget = sim.get("policy/v1", "PodDisruptionBudget", "default", "web").unwrap();
    ["currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"]
        .map(|field| budget["status"][field].as_u64().unwrap())
}

fn evict(sim: &Sim, pod: &Value) -> Result<Value, SimError> {
    let name = pod["metadata"]["name"].as_str().unwrap();
    let path = format!("/api/v1/namespaces/default/pods/{name}/eviction");
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
    sim.request(&Method::POST, &path, "application/json", &body)
}

#[tokio::test(start_paused = true)]
async fn a_budget_limits_disruptions_by_number_or_by_percentage() {
    for (spec, expected) in [
        (json!({"minAvailable": 2}), [4, 2, 4, 2]),
        (json!({"minAvailable": "51%"}), [4, 3, 4, 1]),
        (json!({"maxUnavailable": 1}), [4, 3, 4, 1]),
        (json!({"maxUnavailable": "30%"}), [4, 2, 4, 2]),
        (json!({"maxUnavailable": 0}), [4, 4, 4, 0]),
    ] {
        let sim = sim();
        sim.create(&deployment(4, "web:1", &json!({}))).unwrap();
        create_budget(&sim, &spec);
        assert_eq!(status_counts(&sim), expected, "{spec}");
        let budget = sim.get("policy/v1", "PodDisruptionBudget", "default", "web").unwrap();
        let reason = if expected[3] > 0 { "SufficientPods" } else { "InsufficientPods" };
        assert_eq!(condition(&budget, "DisruptionAllowed")["reason"], reason);
    }
}

#[tokio::test(start_paused = true)]
async fn evictions_are_refused_until_evicted_pods_are_replaced() {
    let sim = sim();
    sim.create(&deployment(3, "web:1", &json!({"kube-sim/ready-after": "20s"}))).unwrap();
    advance(21).await;
    create_budget(&sim, &json!({"maxUnavailable": 1}));
    assert_eq!(status_counts(&sim), [3, 2, 3, 1]);
    let all = pods(&sim);
    evict(&sim, &all[0]).unwrap();
    assert_eq!(evict(&sim, &all[1]).unwrap_err().code(), 429);
    advance(2).await;
    assert_eq!(status_counts(&sim), [2, 2, 3, 0]);
    assert_eq!(evict(&sim, &all[1]).unwrap_err().code(), 429);
    advance(20).await;
    assert_eq!(status_counts(&sim), [3, 2, 3, 1]);
    evict(&sim, &all[1]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_scaled_deployment_changes_the_expected_pods() {
    let sim = sim();
    sim.create(&deployment(2, "web:1", &json!({}))).unwrap();
    create_budget(&sim, &json!({"maxUnavailable": 1}));
    merge_patch(&sim, "/apis/apps/v1/namespaces/default/deployments/web", &json!({"spec": {"replicas": 5}}));
    assert_eq!(status_counts(&sim), [5, 4, 5, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_expected_pods_follow_the_scale_of_a_custom_resource() {
    let sim = sim();
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    sim.create(&json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "clusters.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "clusters", "kind": "Cluster"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                "subresources": {"scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.ready"}},
            }],
        },
    }))
    .unwrap();
    let cluster = sim
        .create(&json!({"apiVersion": "example.com/v1", "kind": "Cluster", "metadata": {"name": "db"}, "spec": {"size": 2}}))
        .unwrap();
    let owner = json!({
        "apiVersion": "example.com/v1", "kind": "Cluster", "name": "db", "uid": cluster["metadata"]["uid"], "controller": true,
    });
    for name in ["a", "b"] {
        sim.create(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "web"}, "ownerReferences": [owner]},
            "spec": {"containers": [{"name": "main", "image": "web:1"}]},
        }))
        .unwrap();
    }
    create_budget(&sim, &json!({"maxUnavailable": 1}));
    assert_eq!(status_counts(&sim), [2, 1, 2, 1]);
    merge_patch(&sim, "/apis/example.com/v1/namespaces/default/clusters/db", &json!({"spec": {"size": 3}}));
    assert_eq!(status_counts(&sim), [2, 2, 3, 0]);
}
