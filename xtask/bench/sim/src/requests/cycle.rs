//! `Worker`: sends a fixed sequence of requests, again and again. A worker changes only objects that it has created.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use http::Method;
use kube_client::Client;
use serde_json::{Value, json};

use super::{Counters, send_request};

const MERGE_PATCH: &str = "application/merge-patch+json";

/// A task that sends requests one at a time.
#[derive(Debug)]
pub(super) struct Worker {
    client: Client,
    namespace: String,
    index: usize,
    counters: Arc<Counters>,
}

impl Worker {
    /// Worker number `index`. The worker's objects are in `namespace`.
    pub(super) fn new(client: Client, namespace: String, index: usize, counters: Arc<Counters>) -> Self {
        Self { client, namespace, index, counters }
    }

    /// Repeats the sequence of requests until [`Counters::stop`] is set.
    ///
    /// # Errors
    /// When a request fails.
    pub(super) async fn run(self) -> anyhow::Result<()> {
        for round in 0_u64.. {
            if self.counters.stop.load(Ordering::Relaxed) != 0 {
                break;
            }
            let name = format!("worker-{}-{round}", self.index);
            self.send_pod_requests(&name).await?;
            self.send_config_map_requests(&name).await?;
        }
        Ok(())
    }

    /// Sends the requests for a pod: four changes, four gets and a list.
    async fn send_pod_requests(&self, name: &str) -> anyhow::Result<()> {
        let all = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let one = format!("{all}/{name}");
        let changes = &self.counters.pods;
        self.send_change(changes, Method::POST, &all, "application/json", &pod(name)).await?;
        self.send_get(&one).await?;
        let status = json!({"status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-05-01T10:00:00Z"},
        ]}});
        self.send_change(changes, Method::PATCH, &format!("{one}/status"), MERGE_PATCH, &status).await?;
        self.send_get(&one).await?;
        self.send_get(&format!("{all}?labelSelector=app%3Dweb")).await?;
        let labels = json!({"metadata": {"labels": {"seen": "true"}}});
        self.send_change(changes, Method::PATCH, &one, MERGE_PATCH, &labels).await?;
        self.send_get(&one).await?;
        self.send_get(&format!("/api/v1/namespaces/{}", self.namespace)).await?;
        self.send_change(changes, Method::DELETE, &one, "", &Value::Null).await
    }

    /// Sends the requests for a config map: five changes, five gets and a list.
    async fn send_config_map_requests(&self, name: &str) -> anyhow::Result<()> {
        let all = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let one = format!("{all}/{name}");
        let changes = &self.counters.config_maps;
        self.send_change(changes, Method::POST, &all, "application/json", &config_map(name, "first")).await?;
        self.send_get(&one).await?;
        self.send_change(changes, Method::PUT, &one, "application/json", &config_map(name, "second")).await?;
        self.send_get(&one).await?;
        let patch = json!([{"op": "add", "path": "/data/added", "value": "third"}]);
        self.send_change(changes, Method::PATCH, &one, "application/json-patch+json", &patch).await?;
        self.send_get(&one).await?;
        self.send_get(&all).await?;
        let applied = format!("{one}?fieldManager=bench&force=true");
        let object = config_map(name, "fourth");
        self.send_change(changes, Method::PATCH, &applied, "application/apply-patch+yaml", &object).await?;
        self.send_get(&one).await?;
        self.send_get(&format!("{all}/lasting-0")).await?;
        self.send_change(changes, Method::DELETE, &one, "", &Value::Null).await
    }

    /// Sends a request that changes an object, and increases the counter `changes`.
    async fn send_change(
        &self,
        changes: &AtomicU64,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> anyhow::Result<()> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.send_and_count(method, path, content_type, body).await?;
        changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn send_get(&self, path: &str) -> anyhow::Result<()> {
        self.send_and_count(Method::GET, path, "", Vec::new()).await
    }

    async fn send_and_count(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<()> {
        let request = format!("{method} {path}");
        send_request(&self.client, method, path, content_type, body).await.context(request)?;
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A pod that no scheduler assigns to a node.
pub(super) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "schedulerName": "none",
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "main",
                "image": "registry.example.com/web:1",
                "ports": [{"containerPort": 8080}],
                "env": [{"name": "LOG_LEVEL", "value": "info"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            }],
        },
    })
}

/// A config map with two keys. The key `state` has the value `value`.
pub(super) fn config_map(name: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "data": {"state": value, "settings.yaml": "level: info\nworkers: 8\nlisten: 0.0.0.0:8080\n"},
    })
}
