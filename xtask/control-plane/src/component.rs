//! `Component`: a program of a cluster. It can be killed, stopped, and restarted with the same flags.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Mutex;

use super::health::Monitor;
use xtask_process::SupervisedProgram;

/// A component of a cluster. Its process may be running or stopped.
#[derive(Debug)]
pub(super) struct Component {
    name: String,
    program: PathBuf,
    flags: Vec<String>,
    monitor: Monitor,
    process: Mutex<Option<SupervisedProgram>>,
}

impl Component {
    pub(super) fn new(name: &str, program: PathBuf, flags: Vec<String>, monitor: Monitor) -> Self {
        Self { name: name.to_owned(), program, flags, monitor, process: Mutex::new(None) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// Whether the process of the component runs.
    pub(super) async fn is_running(&self) -> bool {
        self.process.lock().await.as_ref().is_some_and(|process| process.exit_if_ended().is_none())
    }

    /// Starts the component, unless it is running. Does not wait until it is ready.
    pub(super) async fn spawn(&self) -> anyhow::Result<()> {
        let mut process = self.process.lock().await;
        if process.as_ref().is_none_or(|process| process.exit_if_ended().is_some()) {
            *process = Some(self.monitor.start_component(&self.name, &self.program, &self.flags)?);
        }
        Ok(())
    }

    /// Sends a signal to the process group of the component.
    pub(super) async fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let process = self.process.lock().await;
        process.as_ref().with_context(|| format!("{} is not running", self.name))?.signal(signal).await
    }

    /// Kills the component (SIGKILL), as in a crash.
    pub(super) async fn kill(&self) -> anyhow::Result<()> {
        let mut process = self.process.lock().await;
        let running = process.as_ref().with_context(|| format!("{} is not running", self.name))?;
        running.kill().await.with_context(|| format!("cannot kill {}", self.name))?;
        *process = None;
        Ok(())
    }

    /// Sends SIGTERM, and SIGKILL if the component still runs after a minute. Waits until the component has ended.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let mut process = self.process.lock().await;
        let running = process.as_ref().with_context(|| format!("{} is not running", self.name))?;
        running
            .terminate(Duration::from_secs(60))
            .await
            .with_context(|| format!("cannot stop {}", self.name))?;
        *process = None;
        Ok(())
    }
}
