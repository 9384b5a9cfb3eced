//! Tests of evictions of pods that PodDisruptionBudgets protect.

use http::Method;
use kube_sim::{Sim, SimError};
use serde_json::{Value, json};

/// Creates a pod with the label `app=web`. The pod is running and ready.
fn create_running_pod(sim: &Sim, name: &str) {
    sim.create(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
    }))
    .unwrap();
    set_pod_status(sim, name, "Running", "True");
}

fn set_pod_status(sim: &Sim, name: &str, phase: &str, ready: &str) {
    let mut pod = sim.get("v1", "Pod", "default", name).unwrap();
    pod["status"] = json!({"phase": phase, "conditions": [{"type": "Ready", "status": ready}]});
    sim.update_status(&pod).unwrap();
}

/// Creates a PodDisruptionBudget for the pods with the label `app=web`. Writes `status` as the status of the budget,
/// because no disruption controller runs.
fn create_budget(sim: &Sim, name: &str, status: &Value) {
    let mut budget = sim
        .create(&json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }))
        .unwrap();
    budget["status"] = status.clone();
    sim.update_status(&budget).unwrap();
}

fn status_with_allowed_disruptions(allowed: i64) -> Value {
    json!({
        "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 1,
        "expectedPods": 2,
    })
}

fn evict(sim: &Sim, pod: &str, query: &str) -> Result<Value, SimError> {
    let path = format!("/api/v1/namespaces/default/pods/{pod}/eviction{query}");
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
    sim.request(&Method::POST, &path, "application/json", &body)
}

#[test]
fn an_eviction_uses_up_the_budget() {
    let sim = Sim::new();
    create_running_pod(&sim, "a");
    create_running_pod(&sim, "b");
    create_budget(&sim, "web", &status_with_allowed_disruptions(1));
    let status = || sim.get("policy/v1", "PodDisruptionBudget", "default", "web").unwrap()["status"].take();
    evict(&sim, "a", "?dryRun=All").unwrap();
    assert_eq!(status()["disruptionsAllowed"], 1);
    evict(&sim, "a", "").unwrap();
    let after = status();
    assert_eq!(after["disruptionsAllowed"], 0);
    assert!(after["disruptedPods"]["a"].is_string(), "{after}");
    assert_eq!(after["conditions"][0]["reason"], "InsufficientPods");
    let error = evict(&sim, "b", "").unwrap_err();
    assert_eq!(error.code(), 429);
    let why = "The disruption budget web needs 1 healthy pods and has 2 currently";
    assert_eq!(error.status()["details"]["causes"][0]["message"], why);
}

#[test]
fn a_pod_that_has_ended_or_is_not_ready_is_evicted_despite_the_budget() {
    let sim = Sim::new();
    create_budget(&sim, "web", &status_with_allowed_disruptions(0));
    for phase in ["Pending", "Succeeded", "Failed"] {
        create_running_pod(&sim, "a");
        assert_eq!(evict(&sim, "a", "").unwrap_err().code(), 429);
        set_pod_status(&sim, "a", phase, "False");
        evict(&sim, "a", "").unwrap();
        assert!(sim.get("v1", "Pod", "default", "a").unwrap_err().is_not_found());
    }
    // The pod `b` is not ready. The budget has enough healthy pods without `b`.
    create_running_pod(&sim, "b");
    set_pod_status(&sim, "b", "Running", "False");
    evict(&sim, "b", "").unwrap();
}

#[test]
fn an_eviction_fails_if_the_status_of_a_budget_is_outdated_or_two_budgets_match() {
    let sim = Sim::new();
    create_running_pod(&sim, "a");
    create_budget(
        &sim,
        "web",
        &json!({"disruptionsAllowed": 1, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}),
    );
    let error = evict(&sim, "a", "").unwrap_err();
    assert_eq!((error.code().as_u16(), &error.status()["details"]["retryAfterSeconds"]), (429, &json!(10)));
    create_budget(&sim, "other", &status_with_allowed_disruptions(1));
    let error = evict(&sim, "a", "").unwrap_err();
    assert_eq!(error.code(), 500);
    assert!(error.to_string().contains("more than one PodDisruptionBudget"), "{error}");
}
