//! The load source: starts it, and asks it what it knows.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;

use super::figures::Digest;
use xtask_process::{Launch, Scratch, Streams, Supervised, log};

/// How long the source may take to prepare its bytes, for any number of pods that fits into memory.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same seed gives the same bytes, so that runs can be compared.
const SEED: u64 = 20_260_501;

/// A load source at work. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Source {
    _process: Supervised,
    agent: ureq::Agent,
    /// Such as `127.0.0.1:1234`.
    address: String,
    pods: usize,
}

impl Source {
    /// Starts one that serves so many pods, and waits until it does.
    ///
    /// # Errors
    /// When it does not start.
    ///
    /// # Cancel safety
    /// Cancelling ends it.
    pub(super) async fn start(binary: &Path, scratch: &Scratch, pods: usize) -> anyhow::Result<Self> {
        let file = |end: &str| scratch.path().join(format!("source-{pods}.{end}"));
        let (stdout, stderr) = (file("out"), file("log"));
        // An earlier one may have left its address there.
        let _ = fs::remove_file(&stdout);
        let streams = Streams::Files { stdout: stdout.clone(), stderr: stderr.clone() };
        let plan = json!({"pods": pods, "seed": SEED}).to_string();
        let process =
            Supervised::spawn(&Launch::new(binary, streams).args([plan]).scratch(scratch.path()), |_| {})?;
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            match fs::read_to_string(&stdout) {
                Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
                _ if process.ended().is_some() => {
                    bail!("the load source does not start: {}", log::tail(&stderr, 5))
                }
                _ if Instant::now() > deadline => bail!("the load source is not ready after {PATIENCE:?}"),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let agent =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().new_agent();
        Ok(Self { _process: process, agent, address, pods })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// How many pods it serves.
    pub(super) fn pods(&self) -> usize {
        self.pods
    }

    /// Has it make everything that it would else make when it is first asked for.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn prepare(&self) -> anyhow::Result<()> {
        self.ask("prepare", "-/prepare").map(drop)
    }

    /// What the objects of a set add up to.
    ///
    /// # Errors
    /// When it does not answer, or knows no such set.
    pub(super) fn digest(&self, of: &str) -> anyhow::Result<Digest> {
        let text = self.ask("digest", &format!("-/digest?of={of}"))?;
        serde_json::from_str(&text).context("cannot read a digest of the load source")
    }

    /// Ends a session: its watches end.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn end(&self, session: &str) -> anyhow::Result<()> {
        self.ask(session, "-/end").map(drop)
    }

    fn ask(&self, session: &str, path: &str) -> anyhow::Result<String> {
        let url = format!("http://{}/{session}/{path}", self.address);
        let answer = self.agent.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
        answer.with_context(|| format!("the load source does not answer {path}"))
    }
}
