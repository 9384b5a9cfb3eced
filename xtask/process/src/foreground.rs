//! The COMMAND of `cargo xtask TASK -- COMMAND`: runs in front of whatever the task has started. What that is, and whether
//! it lives, is the task's business.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::{Interrupt, Interrupts, Launch, Streams, Supervised};

/// How long a command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// A command with our input and output. Dropping it ends it, with all that it has started; a command that does not end
/// when asked to is killed after five seconds.
#[derive(Debug)]
pub struct Foreground {
    process: Supervised,
    terminal: bool,
}

impl Foreground {
    /// Starts a command: the program and its arguments, with these environment variables on top of ours.
    ///
    /// # Errors
    /// When the command is empty, or no process can be started. A program that cannot be found ends with code 127 and
    /// says so.
    pub fn start<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        command: &[OsString],
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> anyhow::Result<Self> {
        let (program, args) = command.split_first().context("no command was given")?;
        let terminal = std::io::stdin().is_terminal();
        let streams = if terminal { Streams::Terminal } else { Streams::Inherited };
        let mut launch = Launch::new(program, streams).args(args).grace(GRACE);
        // The command may be cargo.
        launch = launch.env_remove(crate::cargo::inherited());
        for (name, value) in variables {
            launch = launch.env(name.as_ref(), value.as_ref());
        }
        Ok(Self { process: Supervised::spawn(&launch, |_| {})?, terminal })
    }

    /// Waits until the command has ended or should: its exit code, or the one that tells of the interrupt.
    ///
    /// # Cancel safety
    /// Cancelling lets the command go on until this is dropped.
    pub async fn finish(&self, interrupts: &mut Interrupts) -> ExitCode {
        tokio::select! {
            ended = self.process.wait() => ExitCode::from(ended.code),
            interrupt = interrupts.next() => {
                // On a terminal Ctrl-C has reached the command as well, which may be ending in its own way.
                if self.terminal && interrupt == Interrupt::Int {
                    let _ = tokio::time::timeout(GRACE, self.process.wait()).await;
                }
                interrupt.announce()
            }
        }
    }
}
