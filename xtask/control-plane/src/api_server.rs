//! `ApiServer`: one API server of a cluster. Tests can kill, stop and restart it.

use std::path::PathBuf;

use anyhow::bail;
use http::Method;
use serde_json::Value;

use super::component::Component;
use super::health::Monitor;
use super::http::HttpClient;

/// An API server of a cluster. Its process may be running or stopped.
#[derive(Debug)]
pub struct ApiServer {
    component: Component,
    port: u16,
    client: HttpClient,
}

impl ApiServer {
    pub(super) fn new(
        index: usize,
        program: PathBuf,
        flags: Vec<String>,
        port: u16,
        client: HttpClient,
        monitor: Monitor,
    ) -> Self {
        let component = Component::new(&format!("kube-apiserver-{index}"), program, flags, monitor);
        Self { component, port, client }
    }

    /// The URL of the server, `https://127.0.0.1:PORT`. A restart does not change it.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of 127.0.0.1 on which the server listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the process of the server is running.
    ///
    /// # Cancel safety
    /// Cancelling changes nothing.
    pub async fn is_running(&self) -> bool {
        self.component.is_running().await
    }

    /// Starts the server after [`Self::kill`] or [`Self::stop`], unless it is running. Waits until the server is ready.
    ///
    /// # Errors
    /// When the server does not become ready. If the port is no longer free,
    /// [`Cluster::wait_for_death`](super::Cluster::wait_for_death) also reports the death of the process.
    ///
    /// # Cancel safety
    /// The server may have been started. Another call then waits until it is ready.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.component.spawn().await?;
        let name = self.component.name();
        let step = format!("starting {name}");
        self.component
            .monitor()
            .wait_for(&step, name, async || {
                let (status, text) = self.client.send(Method::GET, self.port, "/readyz", None).await?;
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

    /// Kills the server (SIGKILL), as in a crash: no connection is closed gracefully.
    ///
    /// # Errors
    /// When the server is not running.
    ///
    /// # Cancel safety
    /// The server may have been killed.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.component.kill().await
    }

    /// Shuts the server down gracefully (SIGTERM), as in an upgrade. Kills the server if it still runs after a minute.
    ///
    /// # Errors
    /// When the server is not running.
    ///
    /// # Cancel safety
    /// SIGTERM may have been sent.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.component.stop().await
    }

    /// Sends a request as the administrator, and parses the response as JSON. Only the start of a cluster uses this
    /// method.
    pub(super) async fn request_json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        self.client.request_json(method, self.port, path, body).await
    }
}
