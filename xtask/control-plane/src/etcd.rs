//! `Etcd`: the etcd of a cluster. Tests can pause it, compact its history, copy its data and restore the copy.

use std::path::{Path, PathBuf};

use anyhow::Context;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::component::Component;
use super::health::Monitor;
use super::http::HttpClient;

/// The etcd of a cluster.
#[derive(Debug)]
pub struct Etcd {
    component: Component,
    client: HttpClient,
    port: u16,
    data: PathBuf,
}

/// A copy of etcd's data, in the cluster's temporary folder.
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
        Self { component, client: HttpClient::without_tls(), port, data }
    }

    /// Starts etcd, unless it is running. Does not wait until it is healthy.
    pub(super) async fn spawn(&self) -> anyhow::Result<()> {
        self.component.spawn().await
    }

    /// Starts etcd, unless it is running, and waits until it is healthy.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        self.component.spawn().await?;
        let monitor = self.component.monitor();
        monitor
            .wait_for("starting etcd", Self::NAME, async || {
                let health = self.client.request_json(Method::GET, self.port, "/health", None).await?;
                Ok((health["health"] == "true").then_some(()))
            })
            .await
    }

    /// The URL for clients of etcd, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Pauses etcd (SIGSTOP), as if its machine hung: connections stay open, and requests get no response.
    ///
    /// # Errors
    /// When etcd is not running.
    ///
    /// # Cancel safety
    /// etcd may have been paused.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.component.signal(Signal::STOP).await.context("cannot pause etcd")
    }

    /// Continues etcd (SIGCONT) after [`Self::pause`].
    ///
    /// # Errors
    /// When etcd is not running.
    ///
    /// # Cancel safety
    /// etcd may have been continued.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.component.signal(Signal::CONT).await.context("cannot resume etcd")
    }

    /// The current revision of etcd, which Kubernetes uses as resource version.
    ///
    /// # Errors
    /// When the request fails.
    ///
    /// # Cancel safety
    /// Cancelling changes nothing.
    pub async fn revision(&self) -> anyhow::Result<u64> {
        let response = self.post("/v3/maintenance/status", &json!({})).await?;
        let revision = response["header"]["revision"].as_str().and_then(|text| text.parse().ok());
        revision.with_context(|| format!("etcd's status has no revision: {response}"))
    }

    /// Compacts the history up to the current revision, and returns that revision. API servers may still serve earlier
    /// revisions from their watch caches. All versions of Kubernetes do so for watches, and versions since 1.34 also
    /// for lists at an exact resource version and for the next page of a list.
    /// [`expire_history`](super::Cluster::expire_history) expires these revisions as well.
    ///
    /// # Errors
    /// When the request fails.
    ///
    /// # Cancel safety
    /// The history may have been compacted.
    pub async fn compact(&self) -> anyhow::Result<u64> {
        let revision = self.revision().await?;
        self.post("/v3/kv/compaction", &json!({ "revision": revision.to_string(), "physical": true }))
            .await?;
        Ok(revision)
    }

    /// Stops etcd, copies etcd's data, as for a backup, and restarts etcd.
    ///
    /// # Errors
    /// When a request to etcd fails, etcd cannot be stopped or restarted, or the copy cannot be written.
    ///
    /// # Cancel safety
    /// etcd may be stopped, and the copy incomplete.
    pub async fn take_snapshot(&self) -> anyhow::Result<Snapshot> {
        let copy = self.data.with_extension(format!("snapshot-{}", self.revision().await?));
        self.component.stop().await?;
        copy_folder(&self.data, &copy)?;
        self.start().await?;
        Ok(Snapshot(copy))
    }

    /// Replaces etcd's data with an earlier copy. All writes after the copy are lost, and the revision is reset to the
    /// revision of the copy. API servers must not run during the replacement; see
    /// [`Cluster::restore`](super::Cluster::restore).
    pub(super) async fn restore(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        self.component.stop().await?;
        std::fs::remove_dir_all(&self.data)
            .with_context(|| format!("cannot remove {}", self.data.display()))?;
        copy_folder(&snapshot.0, &self.data)?;
        self.start().await
    }

    /// Sends a request to etcd's gRPC gateway.
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.client.request_json(Method::POST, self.port, path, Some(body)).await
    }
}

/// Copies a folder with its contents.
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
