//! `MockServer`: starts the mock API server process and sends it control requests.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;

use super::figures::Digest;
use xtask_process::{LaunchOptions, Scratch, Streams, SupervisedProgram, log};

/// The time limit for the start and for each request. The mock API server can generate the largest allowed number of
/// pods in this time.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The seed of the mock API server. The same seed gives the same bytes, so that runs are comparable.
const SEED: u64 = 20_260_501;

/// A running mock API server process; terminated on drop.
#[derive(Debug)]
pub(super) struct MockServer {
    _process: SupervisedProgram,
    agent: ureq::Agent,
    /// The address of the listener for plain HTTP, such as `127.0.0.1:1234`.
    address: String,
    /// The address of the listener for TLS.
    tls_address: String,
    pods: usize,
}

impl MockServer {
    /// Starts a mock API server with `pods` pods and waits until it accepts connections.
    ///
    /// # Errors
    /// If the process exits or is not ready within [`TIMEOUT`].
    ///
    /// # Cancel safety
    /// Cancelling terminates the process.
    pub(super) async fn start(binary: &Path, scratch: &Scratch, pods: usize) -> anyhow::Result<Self> {
        let file = |end: &str| scratch.path().join(format!("mock-server-{pods}.{end}"));
        let (stdout, stderr) = (file("out"), file("log"));
        // A previous mock API server may have left its address in the file.
        let _ = fs::remove_file(&stdout);
        let streams = Streams::Files { stdout: stdout.clone(), stderr: stderr.clone() };
        let plan = json!({"pods": pods, "seed": SEED}).to_string();
        let process = SupervisedProgram::spawn(
            &LaunchOptions::new(binary, streams).args([plan]).scratch(scratch.path()),
            |_| {},
        )?;
        let deadline = Instant::now() + TIMEOUT;
        let (address, tls_address) = loop {
            match fs::read_to_string(&stdout) {
                Ok(text) if text.ends_with('\n') => {
                    let addresses = text.trim().split_once(' ');
                    let (http, https) = addresses.context("the mock API server printed no two addresses")?;
                    break (http.to_owned(), https.to_owned());
                }
                _ if process.exit_if_ended().is_some() => {
                    bail!("the mock API server exited during startup: {}", log::tail(&stderr, 5))
                }
                _ if Instant::now() > deadline => bail!("the mock API server is not ready after {TIMEOUT:?}"),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let agent =
            ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).proxy(None).build().new_agent();
        Ok(Self { _process: process, agent, address, tls_address, pods })
    }

    /// The address on which the mock API server listens for plain HTTP.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The address on which the mock API server listens for TLS.
    pub(super) fn tls_address(&self) -> &str {
        &self.tls_address
    }

    /// The number of pods that the mock API server serves.
    pub(super) fn pod_count(&self) -> usize {
        self.pods
    }

    /// Makes the mock API server generate the data of the rows with `needs_preparation`, in Protobuf if `protobuf` is
    /// true, otherwise in JSON. The generation is then complete before the measured runs.
    ///
    /// # Errors
    /// If the request fails.
    pub(super) fn prepare_data(&self, protobuf: bool) -> anyhow::Result<()> {
        let path = if protobuf { "-/prepare?format=protobuf" } else { "-/prepare" };
        self.send_control_request("prepare", path).map(drop)
    }

    /// The digest of the set of objects that has the name `set`, such as `pods` or `relisted`.
    ///
    /// # Errors
    /// If the request fails or no set has this name.
    pub(super) fn digest(&self, set: &str) -> anyhow::Result<Digest> {
        let text = self.send_control_request("digest", &format!("-/digest?of={set}"))?;
        serde_json::from_str(&text).context("cannot decode the digest from the mock API server")
    }

    /// The number of TLS connections that have carried requests of a session.
    ///
    /// # Errors
    /// If the request fails.
    pub(super) fn connection_count(&self, session: &str) -> anyhow::Result<u64> {
        let text = self.send_control_request(session, "-/connections")?;
        text.parse().context("the mock API server's response is not a number")
    }

    /// Ends a session and its watches.
    ///
    /// # Errors
    /// If the request fails.
    pub(super) fn end_session(&self, session: &str) -> anyhow::Result<()> {
        self.send_control_request(session, "-/end").map(drop)
    }

    /// Sends a control request for a session, and returns the response's body.
    fn send_control_request(&self, session: &str, path: &str) -> anyhow::Result<String> {
        let url = format!("http://{}/{session}/{path}", self.address);
        let body = self.agent.get(&url).call().and_then(|mut response| response.body_mut().read_to_string());
        body.with_context(|| format!("cannot request {path} from the mock API server"))
    }
}
