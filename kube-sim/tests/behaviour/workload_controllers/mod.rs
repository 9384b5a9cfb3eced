//! Tests of the controllers that `SimBuilder::workloads` enables. Most tests pause the clock.

mod budgets;
mod cron_jobs;
mod daemon_sets;
mod defaults;
mod deployments;
mod jobs;
mod nodes;
mod pods;
mod quotas;
mod scheduler;
mod services;
mod stateful_sets;

use std::time::Duration;

use kube_sim::{Sim, SimBuilder};
use serde_json::{Value, json};

fn builder() -> SimBuilder {
    Sim::builder().seed(5).nodes(3).workloads().start_time("2026-01-01T00:00:00Z".parse().unwrap())
}

fn sim() -> Sim {
    builder().build()
}

/// A deployment with the name `web`. Its pods have the annotations `annotations`.
fn deployment(replicas: u32, image: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": pod_template(image, annotations),
        },
    })
}

fn pod_template(image: &str, annotations: &Value) -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": image}]},
    })
}

fn pods(sim: &Sim) -> Vec<Value> {
    sim.list("v1", "Pod", "default").unwrap()
}

fn merge_patch(sim: &Sim, path: &str, body: &Value) -> Value {
    sim.request(&http::Method::PATCH, path, "application/merge-patch+json", body).unwrap()
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().expect("there are conditions");
    conditions.iter().find(|c| c["type"] == kind).unwrap_or(&Value::Null)
}

/// Advances the clock. The next request runs the controllers that have become due.
async fn advance(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}
