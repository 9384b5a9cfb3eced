//! Talks to the load source itself: a plain request over a connection of its own, so that no contender's client counts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context;
use serde::de::DeserializeOwned;

use super::Job;

/// The load source's own side of a session.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    source: String,
    session: String,
}

impl Control {
    /// Of this job's session.
    pub(crate) fn of(job: &Job) -> Self {
        Self { source: job.source.clone(), session: job.session.clone() }
    }

    /// Waits until so many watches are open.
    pub(crate) async fn held(&self, count: usize) -> anyhow::Result<()> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.ask(&format!("-/held?count={count}"))).await??;
        Ok(())
    }

    /// Has the events sent.
    pub(crate) fn send_events(&self) -> anyhow::Result<()> {
        self.ask("-/events").map(drop)
    }

    /// Lets the watches end as too old.
    pub(crate) fn send_gone(&self) -> anyhow::Result<()> {
        self.ask("-/gone").map(drop)
    }

    /// How long ago the list after that was asked for.
    pub(crate) fn since_relist(&self) -> anyhow::Result<Duration> {
        let nanoseconds =
            self.ask("-/since-relist")?.parse().context("the load source's answer is no number")?;
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// What a path of the session answers, as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let text = self.ask(path)?;
        serde_json::from_str(&text).with_context(|| format!("cannot read the load source's answer to {path}"))
    }

    /// What a path of the session answers.
    pub(crate) fn ask(&self, path: &str) -> anyhow::Result<String> {
        let mut connection = TcpStream::connect(&self.source).context("cannot reach the load source")?;
        write!(connection, "GET /{}/{path} HTTP/1.1\r\nHost: load\r\n\r\n", self.session)?;
        connection.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the load source's answer is no HTTP")?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "the load source refuses {path}: {body}");
        Ok(body.to_owned())
    }
}
