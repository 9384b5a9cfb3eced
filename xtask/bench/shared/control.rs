//! `Control`: sends control requests to the mock API server. The measured client must not send control requests, so
//! `Control` opens its own connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;
use serde::de::DeserializeOwned;

use super::Job;

/// Sends control requests for one session of the mock API server.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    server: String,
    session: String,
}

impl Control {
    /// A `Control` for the session of `job`.
    pub(crate) fn for_job(job: &Job) -> Self {
        Self { server: job.source.clone(), session: job.session.clone() }
    }

    /// Waits until the mock API server holds `count` open watches.
    pub(crate) async fn wait_for_watches(&self, count: usize) -> anyhow::Result<()> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.request(&format!("-/held?count={count}"))).await??;
        Ok(())
    }

    /// Makes the mock API server send the prepared events to the open watches.
    pub(crate) fn send_events(&self) -> anyhow::Result<()> {
        self.request("-/events").map(drop)
    }

    /// Ends the open watches with `410 Expired`. Each later list request for pods returns a changed list:
    /// compared with the initial list, some pods are modified, deleted or added.
    pub(crate) fn expire_watches(&self) -> anyhow::Result<()> {
        self.request("-/gone").map(drop)
    }

    /// The time since the mock API server received the first list request after the expiry of the watches; zero
    /// if there was no such request.
    pub(crate) fn time_since_relist(&self) -> anyhow::Result<Duration> {
        let nanoseconds = self
            .request("-/since-relist")?
            .parse()
            .context("the mock API server's response is not a number")?;
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// The namespaces and names of up to `count` pods, at regular intervals in the initial list.
    pub(crate) fn pod_names(&self, count: usize) -> anyhow::Result<Vec<(String, String)>> {
        self.request_json(&format!("-/names?count={count}"))
    }

    /// Requests a path of the session and decodes the JSON response.
    pub(crate) fn request_json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let text = self.request(path)?;
        serde_json::from_str(&text)
            .with_context(|| format!("cannot decode the mock API server's response to {path}"))
    }

    /// Requests a path of the session and returns the response body.
    pub(crate) fn request(&self, path: &str) -> anyhow::Result<String> {
        let mut connection = TcpStream::connect(&self.server).context("cannot reach the mock API server")?;
        write!(connection, "GET /{}/{path} HTTP/1.1\r\nHost: load\r\n\r\n", self.session)?;
        connection.shutdown(std::net::Shutdown::Write)?;
        let mut response = String::new();
        connection.read_to_string(&mut response)?;
        let (head, body) =
            response.split_once("\r\n\r\n").context("the mock API server's response is not HTTP")?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "the mock API server rejected {path}: {body}");
        Ok(body.to_owned())
    }
}
