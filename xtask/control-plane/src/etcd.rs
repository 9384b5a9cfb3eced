//! The running etcd, and what tests do to it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::component::Component;
use super::health::Monitor;
use super::http::Requests;

/// The etcd of a cluster.
#[derive(Debug)]
pub struct Etcd {
    component: Component,
    requests: Requests,
    port: u16,
    data: PathBuf,
}

/// A copy of etcd's data. It lies in the cluster's folder, and goes with it.
#[derive(Debug)]
pub struct Snapshot(PathBuf);

impl Etcd {
    pub(super) const NAME: &'static str = "etcd";

    pub(super) fn new(
        program: PathBuf,
        flags: Vec<String>,
        port: u16,
        data: PathBuf,
        monitor: Monitor,
    ) -> Self {
        let component = Component::new(Self::NAME, program, flags, monitor);
        Self { component, requests: Requests::plain(), port, data }
    }

    /// Starts it without waiting.
    pub(super) async fn spawn(&self) -> anyhow::Result<()> {
        self.component.spawn().await
    }

    /// Starts it unless it runs, and waits until it answers.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        self.component.spawn().await?;
        let monitor = self.component.monitor();
        monitor
            .wait_for("starting etcd", Self::NAME, async || {
                let health = self.requests.json(Method::GET, self.port, "/health", None).await?;
                Ok((health["health"] == "true").then_some(()))
            })
            .await
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
        self.component.signal(Signal::STOP).await.context("cannot pause etcd")
    }

    /// Lets it go on after [`Self::pause`].
    ///
    /// # Errors
    /// When it is not running.
    ///
    /// # Cancel safety
    /// Either it goes on or it does not.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.component.signal(Signal::CONT).await.context("cannot resume etcd")
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

    /// Copies its data while it is stopped for a moment, as a backup would.
    ///
    /// # Errors
    /// When it cannot be stopped or started again, or the copy cannot be written.
    ///
    /// # Cancel safety
    /// It may be stopped, and the copy incomplete.
    pub async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let copy = self.data.with_extension(format!("snapshot-{}", self.revision().await?));
        self.component.stop().await?;
        copy_folder(&self.data, &copy)?;
        self.start().await?;
        Ok(Snapshot(copy))
    }

    /// Replaces its data by an earlier copy: all that was written since then is lost, revisions included. API servers
    /// must not run meanwhile; see [`Cluster::restore`](super::Cluster::restore).
    pub(super) async fn restore(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        self.component.stop().await?;
        std::fs::remove_dir_all(&self.data)
            .with_context(|| format!("cannot remove {}", self.data.display()))?;
        copy_folder(&snapshot.0, &self.data)?;
        self.start().await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.requests.json(Method::POST, self.port, path, Some(body)).await
    }
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let context = || format!("cannot copy {} to {}", from.display(), to.display());
    std::fs::create_dir_all(to).with_context(context)?;
    for entry in std::fs::read_dir(from).with_context(context)? {
        let entry = entry.with_context(context)?;
        let target = to.join(entry.file_name());
        if entry.file_type().with_context(context)?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target).with_context(context)?;
        }
    }
    Ok(())
}
