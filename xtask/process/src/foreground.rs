//! Runs the COMMAND of `cargo xtask TASK -- COMMAND` in the foreground while the task's servers run. This module must
//! not start or monitor the servers.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::{Interrupt, Interrupts, LaunchOptions, Streams, SupervisedProgram};

/// The time between SIGTERM and SIGKILL, and the time limit for the command to end after Ctrl-C on a terminal.
const GRACE: Duration = Duration::from_secs(5);

/// A command that inherits stdin, stdout and stderr. Dropping this handle ends the command and its descendants:
/// sends SIGTERM, and SIGKILL five seconds later.
#[derive(Debug)]
pub struct ForegroundCommand {
    process: SupervisedProgram,
    terminal: bool,
}

impl ForegroundCommand {
    /// Starts `command` (a program and its arguments). The command gets `variables`, and inherits the other
    /// variables of this process except the [`variables_from_cargo`](crate::cargo::variables_from_cargo).
    ///
    /// # Errors
    /// When the command is empty, or no process can be started. If the program is not found, the command prints an
    /// error and ends with exit code 127.
    pub fn start<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        command: &[OsString],
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> anyhow::Result<Self> {
        let (program, args) = command.split_first().context("no command was given")?;
        let terminal = std::io::stdin().is_terminal();
        let streams = if terminal { Streams::Terminal } else { Streams::Inherited };
        let mut launch = LaunchOptions::new(program, streams).args(args).grace(GRACE);
        // The command may be cargo, which would rebuild packages if it inherited these variables.
        launch = launch.env_remove(crate::cargo::variables_from_cargo());
        for (name, value) in variables {
            launch = launch.env(name.as_ref(), value.as_ref());
        }
        Ok(Self { process: SupervisedProgram::spawn(&launch, |_| {})?, terminal })
    }

    /// Waits for the end of the command or for an interrupt. Returns the command's exit code, or
    /// the exit code for the interrupt.
    ///
    /// # Cancel safety
    /// After cancelling, the command continues until the [`ForegroundCommand`] is dropped.
    pub async fn finish(&self, interrupts: &mut Interrupts) -> ExitCode {
        tokio::select! {
            ended = self.process.wait() => ExitCode::from(ended.code),
            interrupt = interrupts.next() => {
                // On a terminal the command has also received Ctrl-C: wait until it has cleaned up and ended.
                if self.terminal && interrupt == Interrupt::Int {
                    let _ = tokio::time::timeout(GRACE, self.process.wait()).await;
                }
                interrupt.announce()
            }
        }
    }
}
