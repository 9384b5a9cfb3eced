//! What the examples share: logging, an end by signal, and how failures are told.
//!
//! It must not speak to a cluster: whatever an example shows of the libraries stands in its own file.

use anyhow::Context;
use kube_runtime::watcher;
use std::{
    future::Future,
    io::{self, ErrorKind, IsTerminal, Write as _},
    process::ExitCode,
};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

/// Runs an example until it fails, or until it is interrupted or terminated, which is a success.
///
/// It logs to stderr what `RUST_LOG` asks for, `info` and above without it. A failure is told as one message with its
/// whole chain of causes. Whoever reads stdout may close it: that ends the example, and is no failure.
pub fn run(example: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    match try_run(example) {
        Err(error) if !is_closed_pipe(&error) => {
            // When stderr is closed as well, the exit code alone has to tell.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn try_run(example: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env();
    let filter = filter.with_context(|| {
        let value = std::env::var_os("RUST_LOG").unwrap_or_default();
        format!("RUST_LOG={} is not a list of filters such as info,kube_runtime=debug", value.display())
    })?;
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            signal = signal() => {
                info!("{}: ending", signal?);
                Ok(())
            }
            result = example => result,
        }
    });
    // A name lookup or a file that does not answer must not keep the process.
    runtime.shutdown_background();
    result
}

/// The next signal that asks the process to end.
async fn signal() -> io::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => Ok("interrupted"),
            _ = terminate.recv() => Ok("terminated"),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| "interrupted")
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// What to do about polls that fail.
///
/// A poll that fails before any has succeeded points to something that waiting does not mend: a wrong address or
/// certificate, a resource that is not there. After that, a failure is reported, and the next poll waits for a while and
/// goes on.
#[derive(Debug, Default)]
pub struct Polls {
    succeeded: bool,
}

impl Polls {
    /// Reports a failure that will pass, and returns one that will not.
    ///
    /// # Errors
    ///
    /// The failure of a poll before which none has succeeded. An object that does not decode is not meant: it concerns
    /// that object alone, and is reported.
    pub fn check(&mut self, poll: watcher::Result<()>) -> watcher::Result<()> {
        let Err(error) = poll else {
            self.succeeded = true;
            return Ok(());
        };
        if error.undecodable().is_some() {
            warn!("skipped: {}", chain(error));
            return Ok(());
        }
        if !self.succeeded {
            return Err(error);
        }
        warn!("trying again: {}", chain(error));
        Ok(())
    }
}

/// An error and its causes in one line.
pub fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

/// The README of the repository, whose code runs with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
