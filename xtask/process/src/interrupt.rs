//! The signals that interrupt a task of `cargo xtask`: SIGINT, SIGTERM and SIGHUP.

use std::fmt;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that interrupts a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Ctrl-C (SIGINT).
    Int,
    /// SIGTERM.
    Term,
    /// The terminal was closed (SIGHUP).
    Hangup,
}

impl Interrupt {
    /// The exit code of a process that this signal ended, as shells report it: 128 plus the signal's number.
    pub fn exit_code(self) -> u8 {
        128 + match self {
            Self::Hangup => 1,
            Self::Int => 2,
            Self::Term => 15,
        }
    }

    /// Prints to stderr that the task ends because of this signal, and returns the exit code.
    pub fn announce(self) -> ExitCode {
        eprintln!("{self}: shutting down");
        ExitCode::from(self.exit_code())
    }
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int => "interrupted",
            Self::Term => "terminated",
            Self::Hangup => "terminal closed",
        })
    }
}

/// A listener for SIGINT, SIGTERM and SIGHUP. After its creation, these signals no longer end the process.
/// Therefore create the listener before any state that needs cleanup.
#[derive(Debug)]
pub struct Interrupts {
    int: Signal,
    term: Signal,
    hangup: Signal,
}

impl Interrupts {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            int: listen(SignalKind::interrupt())?,
            term: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next interrupt.
    ///
    /// # Cancel safety
    /// Cancelling loses no signal.
    pub async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.int.recv() => Interrupt::Int,
            _ = self.term.recv() => Interrupt::Term,
            _ = self.hangup.recv() => Interrupt::Hangup,
        }
    }
}
