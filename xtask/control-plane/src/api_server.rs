//! One API server of a cluster, which can be killed, stopped and restarted.

use std::path::PathBuf;

use anyhow::bail;
use http::Method;
use serde_json::Value;

use super::component::Component;
use super::health::Monitor;
use super::http::Requests;

/// An API server, running or not.
#[derive(Debug)]
pub struct ApiServer {
    component: Component,
    port: u16,
    requests: Requests,
}

impl ApiServer {
    pub(super) fn new(
        index: usize,
        program: PathBuf,
        flags: Vec<String>,
        port: u16,
        requests: Requests,
        monitor: Monitor,
    ) -> Self {
        let component = Component::new(&format!("kube-apiserver-{index}"), program, flags, monitor);
        Self { component, port, requests }
    }

    /// Its URL, `https://127.0.0.1:PORT`, which a restart does not change.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of 127.0.0.1 that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether its process is running.
    ///
    /// # Cancel safety
    /// Cancelling changes nothing.
    pub async fn is_running(&self) -> bool {
        self.component.is_running().await
    }

    /// Starts it after [`Self::kill`] or [`Self::stop`], unless it is running, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready. If its port is no longer free, [`Cluster::died`](super::Cluster::died) reports
    /// its death too.
    ///
    /// # Cancel safety
    /// It may have been started; another call then waits until it is ready.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.spawn().await?;
        self.ready().await
    }

    /// Starts it, unless it is running, without waiting until it is ready.
    pub(super) async fn spawn(&self) -> anyhow::Result<()> {
        self.component.spawn().await
    }

    /// Waits until it is ready for requests.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let name = self.component.name();
        let step = format!("starting {name}");
        self.component
            .monitor()
            .wait_for(&step, name, async || {
                let (status, text) = self.requests.send(Method::GET, self.port, "/readyz", None).await?;
                if !status.is_success() {
                    bail!(
                        "/readyz reports failed checks: {}",
                        text.lines().filter(|line| line.starts_with("[-]")).collect::<String>()
                    );
                }
                Ok(Some(()))
            })
            .await
    }

    /// Kills it (SIGKILL), as in a crash: it closes no connection gracefully.
    ///
    /// # Errors
    /// When it is not running.
    ///
    /// # Cancel safety
    /// It may have been killed.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.component.kill().await
    }

    /// Shuts it down gracefully (SIGTERM), as in an upgrade; kills it after a minute.
    ///
    /// # Errors
    /// When it is not running.
    ///
    /// # Cancel safety
    /// SIGTERM may have been sent.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.component.stop().await
    }

    /// Sends a request as the administrator, for the start of a cluster; returns the response's JSON.
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        self.requests.json(method, self.port, path, body).await
    }
}
