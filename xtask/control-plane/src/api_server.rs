//! One API server of a cluster, which can be killed, stopped and started again.

use std::path::PathBuf;

use anyhow::bail;
use http::Method;
use serde_json::Value;

use super::component::Component;
use super::health::Ward;
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
        ward: Ward,
    ) -> Self {
        let component = Component::new(&format!("kube-apiserver-{index}"), program, flags, ward);
        Self { component, port, requests }
    }

    /// Its address, `https://127.0.0.1:PORT`; it stays the same when the server is started again.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The port of 127.0.0.1 that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether its process runs.
    ///
    /// # Cancel safety
    /// Cancelling changes nothing.
    pub async fn is_running(&self) -> bool {
        self.component.is_running().await
    }

    /// Starts it after [`Self::kill`] or [`Self::stop`], and waits until it is ready.
    ///
    /// # Errors
    /// When it runs already, or does not come up; as a death of a component too when its port is no longer free.
    ///
    /// # Cancel safety
    /// It may have been started; calling this again then waits until it is ready.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.spawn().await?;
        self.ready().await
    }

    /// Starts it without waiting.
    pub(super) async fn spawn(&self) -> anyhow::Result<()> {
        self.component.spawn().await
    }

    /// Waits until it is ready for requests.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let name = self.component.name();
        let step = format!("starting {name}");
        self.component
            .ward()
            .until(&step, name, async || {
                let (status, text) = self.requests.send(Method::GET, self.port, "/readyz", None).await?;
                if !status.is_success() {
                    bail!(
                        "it is not ready: {}",
                        text.lines().filter(|line| line.starts_with("[-]")).collect::<String>()
                    );
                }
                Ok(Some(()))
            })
            .await
    }

    /// Kills it as a crash would: no connection is closed in good order.
    ///
    /// # Errors
    /// When it is not running.
    ///
    /// # Cancel safety
    /// It may or may not have been killed.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.component.kill().await
    }

    /// Ends it in good order, as an upgrade would; kills it if that takes longer than a minute.
    ///
    /// # Errors
    /// When it is not running.
    ///
    /// # Cancel safety
    /// It may or may not have been asked to end.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.component.stop().await
    }

    /// A request as the administrator, for what bringing up a cluster takes.
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        self.requests.json(method, self.port, path, body).await
    }
}
