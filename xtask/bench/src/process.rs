//! Runs a program to its end and gives what it prints; it never outlives us.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use xtask_process::{Launch, Scratch, Streams, Supervised, log};

/// Runs `program`, as `change` adds to it, in `folder`.
///
/// # Errors
/// When it cannot be run, fails, or takes longer than `limit`; its last words are in the error.
///
/// # Cancel safety
/// Cancelling ends the program.
pub(super) async fn output(
    scratch: &Scratch,
    program: &Path,
    limit: Duration,
    change: impl FnOnce(Launch) -> Launch,
) -> anyhow::Result<Output> {
    let (stdout, stderr) = (scratch.path().join("stdout"), scratch.path().join("stderr"));
    for file in [&stdout, &stderr] {
        // What the last program has left there.
        let _ = fs::remove_file(file);
    }
    let streams = Streams::Files { stdout: stdout.clone(), stderr: stderr.clone() };
    let launch = change(Launch::new(program, streams).scratch(scratch.path()).grace(Duration::from_secs(2)));
    let process = Supervised::spawn(&launch, |_| {})?;
    let name = launch.name();
    let Ok(ended) = tokio::time::timeout(limit, process.wait()).await else {
        bail!("{name} takes longer than {limit:?}: {}", log::tail(&stderr, 5));
    };
    if ended.code != 0 {
        bail!("{name} failed ({ended}): {}", log::tail(&stderr, 12));
    }
    let read =
        |file: &Path| fs::read_to_string(file).with_context(|| format!("cannot read what {name} printed"));
    Ok(Output { stdout: read(&stdout)?, stderr: read(&stderr)? })
}

/// What a program has printed.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stdout: String,
    pub(super) stderr: String,
}
