//! The running etcd, and what tests do to it.

use anyhow::Context;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::health::Ward;
use super::http::Requests;
use xtask_process::Supervised;

/// The etcd of a cluster.
#[derive(Debug)]
pub struct Etcd {
    process: Supervised,
    requests: Requests,
    port: u16,
}

impl Etcd {
    pub(super) const NAME: &'static str = "etcd";

    pub(super) async fn ready(process: Supervised, port: u16, ward: &Ward) -> anyhow::Result<Self> {
        let etcd = Self { process, requests: Requests::plain(), port };
        ward.until("starting etcd", Self::NAME, async || {
            let health = etcd.requests.json(Method::GET, port, "/health", None).await?;
            Ok((health["health"] == "true").then_some(()))
        })
        .await?;
        Ok(etcd)
    }

    /// Its client address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops it as if the machine had frozen: connections stay open and nobody answers.
    ///
    /// # Errors
    /// When it is not running.
    ///
    /// # Cancel safety
    /// Either it is paused or it is not.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::STOP).await.context("cannot pause etcd")
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// When it is not running.
    ///
    /// # Cancel safety
    /// Either it goes on or it does not.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::CONT).await.context("cannot resume etcd")
    }

    /// The present revision, which is what Kubernetes shows as resource version.
    ///
    /// # Errors
    /// When etcd does not answer.
    ///
    /// # Cancel safety
    /// Cancelling changes nothing.
    pub async fn revision(&self) -> anyhow::Result<u64> {
        let answer = self.post("/v3/maintenance/status", &json!({})).await?;
        let revision = answer["header"]["revision"].as_str().and_then(|text| text.parse().ok());
        revision.with_context(|| format!("etcd's status names no revision: {answer}"))
    }

    /// Forgets all history before the present revision, which it gives. API servers may still serve what they remember
    /// of it: watches in all versions, exact lists and pages from 1.34 on. See
    /// [`forget_history`](super::Cluster::forget_history) for an end to that.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    ///
    /// # Cancel safety
    /// It may or may not have been compacted.
    pub async fn compact(&self) -> anyhow::Result<u64> {
        let revision = self.revision().await?;
        self.post("/v3/kv/compaction", &json!({ "revision": revision.to_string(), "physical": true }))
            .await?;
        Ok(revision)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.requests.json(Method::POST, self.port, path, Some(body)).await
    }
}
