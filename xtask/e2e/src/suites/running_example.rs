//! A running example program and its output.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use kube_client::config::Kubeconfig;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::env::Env;
use crate::failure::{Outcome, check};
use crate::support::eventually;

/// The time limit of [`wait_for_line`](RunningExample::wait_for_line) and of
/// [`wait_for_exit`](RunningExample::wait_for_exit). Some examples print only after a poll, which takes up to ten seconds.
const TIMEOUT: Duration = Duration::from_secs(45);

/// The lines that an example has written to stdout or stderr. A task appends the lines.
type OutputLines = Arc<Mutex<Vec<String>>>;

/// A running example and its captured output. Dropping this value kills the example.
pub(super) struct RunningExample {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: OutputLines,
    stderr: OutputLines,
    readers: [JoinHandle<()>; 2],
    /// The folder of the kubeconfig.
    _folder: TempDir,
}

impl RunningExample {
    /// Starts the example as a child process, with tasks that read its output. The kubeconfig of the example selects the
    /// namespace of the case.
    pub(super) fn start(env: &Env, name: &str, arguments: &[&str]) -> Outcome<Self> {
        Self::start_with(env, name, arguments, &[])
    }

    /// Like [`start`](Self::start), with further environment variables.
    pub(super) fn start_with(
        env: &Env,
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Outcome<Self> {
        Self::start_at(env, None, name, arguments, variables)
    }

    /// Like [`start_with`](Self::start_with). `url` replaces the server's URL in the kubeconfig.
    pub(super) fn start_at(
        env: &Env,
        url: Option<&str>,
        name: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Outcome<Self> {
        let mut kubeconfig = match env.server().kubeconfig() {
            Some(path) => Kubeconfig::read_from(path)?,
            None => Kubeconfig::read()?,
        };
        for context in kubeconfig.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
            context.namespace = Some(env.namespace().to_owned());
        }
        if let Some(url) = url {
            for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
                cluster.server = Some(url.to_owned());
            }
        }
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("kubeconfig");
        kubeconfig.write_to(&path)?;
        let mut command = Command::new(env.example(name)?);
        command.args(arguments).env("KUBECONFIG", path).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start the example {name}"))?;
        let (stdout_pipe, stderr_pipe) =
            (child.stdout.take().context("no stdout")?, child.stderr.take().context("no stderr")?);
        let (stdout, stderr) = (OutputLines::default(), OutputLines::default());
        let readers = [read_lines(stdout_pipe, stdout.clone()), read_lines(stderr_pipe, stderr.clone())];
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, stdout, stderr, readers, _folder: folder })
    }

    /// Writes a line to stdin.
    pub(super) async fn send_line(&mut self, line: &str) -> Outcome {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(())
    }

    pub(super) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line of stdout that contains all of `parts`, and returns the line.
    pub(super) async fn wait_for_line(&self, parts: &[&str]) -> Outcome<String> {
        eventually(&format!("the example prints a line with {parts:?}"), TIMEOUT, async || {
            let lines = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(line) = lines.iter().find(|line| parts.iter().all(|part| line.contains(part))) {
                return Ok(Some(line.clone()));
            }
            let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            Err(anyhow!(
                "last lines of stdout {:?}, stderr {stderr:?}",
                &lines[lines.len().saturating_sub(10)..]
            ))
        })
        .await
    }

    /// Sends SIGTERM and checks that the example exits with status 0.
    pub(super) async fn terminate(self) -> Outcome {
        self.end_with_signal(Signal::TERM).await
    }

    pub(super) fn send_signal(&self, signal: Signal) -> Outcome {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(kill_process(id.context("the example has already exited")?, signal)?)
    }

    /// Sends a signal and checks that the example exits with status 0.
    pub(super) async fn end_with_signal(mut self, signal: Signal) -> Outcome {
        self.send_signal(signal)?;
        let status: ExitStatus = timeout(Duration::from_secs(10), self.child.wait()).await??;
        check!(status.success(), "{status}; stderr {:?}", self.stderr);
        Ok(())
    }

    /// Waits until the example exits, checks its exit code, and returns the lines of stdout and stderr.
    pub(super) async fn wait_for_exit(mut self, code: i32) -> Outcome<[Vec<String>; 2]> {
        let status = timeout(TIMEOUT, self.child.wait()).await??;
        for reader in &mut self.readers {
            reader.await?;
        }
        let lines = [&self.stdout, &self.stderr]
            .map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).clone());
        check!(status.code() == Some(code), "{status} instead of {code}; output {lines:?}");
        Ok(lines)
    }
}

impl Drop for RunningExample {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// Starts a task that appends the lines of `from` to `into` until `from` ends.
fn read_lines(from: impl AsyncRead + Unpin + Send + 'static, into: OutputLines) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}
