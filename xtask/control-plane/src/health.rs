//! Watches over components while they run, and waits for them to come up. Starts and stops nothing.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;
use tokio::time::Instant;

use xtask_process::{Ended, Launch, Streams, Supervised, log};

/// How long anything may take to come up, also on a slow and busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN_PROBES: Duration = Duration::from_millis(50);
const LINES: usize = 15;

/// A component that ended without having been asked to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Death {
    /// Which one, as `kube-apiserver-0`.
    pub component: String,
    /// How it ended.
    pub ended: Ended,
    /// The last lines of its log.
    pub log: String,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has died ({}); its last lines were:\n{}", self.component, self.ended, self.log)
    }
}

impl std::error::Error for Death {}

/// Starts components and learns of their deaths.
#[derive(Debug, Clone)]
pub(super) struct Ward {
    pub(super) scratch: PathBuf,
    pub(super) logs: PathBuf,
    deaths: Arc<watch::Sender<Option<Death>>>,
}

impl Ward {
    pub(super) fn new(scratch: PathBuf, logs: PathBuf) -> Self {
        Self { scratch, logs, deaths: Arc::new(watch::Sender::new(None)) }
    }

    /// Starts a component, whose output goes to a log of its name.
    pub(super) fn start(
        &self,
        name: &str,
        program: &std::path::Path,
        args: &[String],
    ) -> anyhow::Result<Supervised> {
        let log_file = self.log_file(name);
        let streams = Streams::Files { stdout: log_file.clone(), stderr: log_file.clone() };
        let launch = Launch::new(program, streams).args(args).scratch(&self.scratch).folder(&self.scratch);
        let (deaths, component) = (self.deaths.clone(), name.to_owned());
        Supervised::spawn(&launch, move |ended| {
            let log = log::tail(&log_file, LINES);
            deaths.send_replace(Some(Death { component, ended, log }));
        })
        .with_context(|| format!("cannot start {name}"))
    }

    /// The next death, or the one that there has been.
    pub(super) async fn death(&self) -> Death {
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

    /// Asks `probe` until it gives something. A death ends the waiting at once.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        component: &str,
        mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let mut last = None;
        let deadline = Instant::now() + PATIENCE;
        let probing = async {
            loop {
                match probe().await {
                    Ok(Some(found)) => return found,
                    Ok(None) => {}
                    Err(error) => last = Some(error),
                }
                tokio::time::sleep(BETWEEN_PROBES).await;
            }
        };
        tokio::select! {
            biased;
            death = self.death() => return Err(death.into()),
            found = probing => return Ok(found),
            () = tokio::time::sleep_until(deadline) => {}
        }
        let last = last.map(|error| format!(" ({error:#})")).unwrap_or_default();
        let log = log::tail(&self.log_file(component), LINES);
        bail!(
            "{what} took more than {} s{last}; the last lines of {component} are:\n{log}",
            PATIENCE.as_secs()
        )
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}
