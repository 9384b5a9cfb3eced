//! Monitors components: reports their deaths, and waits until they are ready. Does not restart them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio::time::Instant;

use xtask_process::{LaunchOptions, ProgramExit, Streams, SupervisedProgram, log};

/// The time limit for a component to become ready. It is long enough for a slow and busy machine.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(120);
/// The interval between two probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// The number of log lines in an error.
const LOG_LINES: usize = 15;

/// The unexpected end of a component's process.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Death {
    /// The component's name, such as `kube-apiserver-0`.
    pub component: String,
    /// The exit status of the component's process.
    pub ended: ProgramExit,
    /// The last lines of the component's log.
    pub log: String,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has died ({}); its last lines were:\n{}", self.component, self.ended, self.log)
    }
}

impl std::error::Error for Death {}

/// Starts components and reports their deaths.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    pub(super) scratch: PathBuf,
    pub(super) logs: PathBuf,
    deaths: Arc<watch::Sender<Option<Death>>>,
}

impl Monitor {
    pub(super) fn new(scratch: PathBuf, logs: PathBuf) -> Self {
        Self { scratch, logs, deaths: Arc::new(watch::Sender::new(None)) }
    }

    /// Starts a component, which logs to `NAME.log`.
    pub(super) fn start_component(
        &self,
        name: &str,
        program: &std::path::Path,
        args: &[String],
    ) -> anyhow::Result<SupervisedProgram> {
        let log_file = self.log_file(name);
        let streams = Streams::Files { stdout: log_file.clone(), stderr: log_file.clone() };
        let launch =
            LaunchOptions::new(program, streams).args(args).scratch(&self.scratch).folder(&self.scratch);
        let (deaths, component) = (self.deaths.clone(), name.to_owned());
        SupervisedProgram::spawn(&launch, move |ended| {
            let log = log::tail(&log_file, LOG_LINES);
            deaths.send_replace(Some(Death { component, ended, log }));
        })
        .with_context(|| format!("cannot start {name}"))
    }

    /// Waits for the death of a component. If components have already died, immediately returns the most recent death.
    pub(super) async fn wait_for_death(&self) -> Death {
        let mut deaths = self.deaths.subscribe();
        loop {
            if let Some(death) = deaths.borrow_and_update().clone() {
                return death;
            }
            if deaths.changed().await.is_err() {
                // Unreachable while `self` holds the sender.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Calls `probe` repeatedly until it returns a value. Fails if a component dies, or if `probe` returns no value
    /// within [`READY_LIMIT`]. The error about the time limit contains `what`, and the last log lines of `component`.
    pub(super) async fn wait_for<T>(
        &self,
        what: &str,
        component: &str,
        mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let mut last_error = None;
        let deadline = Instant::now() + READY_LIMIT;
        let probing = async {
            loop {
                match probe().await {
                    Ok(Some(found)) => return found,
                    Ok(None) => {}
                    Err(error) => last_error = Some(error),
                }
                tokio::time::sleep(PROBE_INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            death = self.wait_for_death() => return Err(death.into()),
            found = probing => return Ok(found),
            () = tokio::time::sleep_until(deadline) => {}
        }
        let last_error = last_error.map(|error| format!(" ({error:#})")).unwrap_or_default();
        let log = log::tail(&self.log_file(component), LOG_LINES);
        bail!(
            "{what} took more than {} s{last_error}; the last lines of {component} are:\n{log}",
            READY_LIMIT.as_secs()
        )
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}
