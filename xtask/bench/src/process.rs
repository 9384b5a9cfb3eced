//! Runs a program to completion and returns its output. The program never outlives this process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use xtask_process::{LaunchOptions, Scratch, Streams, SupervisedProgram, log};

/// Runs `program` with the arguments, folder and environment that `configure` sets, and returns its output.
///
/// # Errors
/// If the program cannot be started, fails, or takes longer than `limit`. The error includes the end of the program's
/// stderr.
///
/// # Cancel safety
/// Cancelling terminates the program.
pub(super) async fn run_to_completion(
    scratch: &Scratch,
    program: &Path,
    limit: Duration,
    configure: impl FnOnce(LaunchOptions) -> LaunchOptions,
) -> anyhow::Result<Output> {
    let (stdout, stderr) = (scratch.path().join("stdout"), scratch.path().join("stderr"));
    for file in [&stdout, &stderr] {
        // The file may have the output of the previous program.
        let _ = fs::remove_file(file);
    }
    let streams = Streams::Files { stdout: stdout.clone(), stderr: stderr.clone() };
    let launch =
        configure(LaunchOptions::new(program, streams).scratch(scratch.path()).grace(Duration::from_secs(2)));
    let process = SupervisedProgram::spawn(&launch, |_| {})?;
    let name = launch.name();
    let Ok(ended) = tokio::time::timeout(limit, process.wait()).await else {
        bail!("{name} takes longer than {limit:?}: {}", log::tail(&stderr, 5));
    };
    if ended.code != 0 {
        bail!("{name} failed ({ended}): {}", log::tail(&stderr, 12));
    }
    let read =
        |file: &Path| fs::read_to_string(file).with_context(|| format!("cannot read the output of {name}"));
    Ok(Output { stdout: read(&stdout)?, stderr: read(&stderr)? })
}

/// The output of a finished program.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) stdout: String,
    pub(super) stderr: String,
}
