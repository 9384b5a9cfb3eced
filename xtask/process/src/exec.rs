//! The subcommand `__exec` of this binary: sets the parent death signal, and then replaces itself with a program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

/// The name of the subcommand that replaces this process with a program. The name is the first command line argument.
pub(crate) const SUBCOMMAND: &str = "__exec";

/// The arguments of `__exec`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of the parent process. The kernel kills this process when the parent ends.
    #[arg(long)]
    parent: u32,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Replaces this process with the program. If the program cannot be executed, prints the error and returns exit code 127
/// (the program is not found) or 126 (any other error).
///
/// # Errors
/// When the parent has already ended, or the parent death signal cannot be set.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    set_parent_death_signal(rustix::process::Signal::KILL)?;
    if std::os::unix::process::parent_id() != args.parent {
        bail!("the supervisor has already ended");
    }
    let (program, arguments) = args.command.split_first().context("no program was given")?;
    let error = Command::new(program).args(arguments).exec();
    eprintln!("error: cannot run {}: {error}", program.display());
    Ok(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }))
}

/// Sets the parent death signal: the kernel sends `signal` to this process when the thread that started this process
/// ends. Only Linux has this signal. On other systems this function does nothing. There, the supervisor detects the end of
/// its parent by polling, and the program does not detect the end of the supervisor.
pub(crate) fn set_parent_death_signal(signal: rustix::process::Signal) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(signal))
        .context("cannot set the parent death signal")?;
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
    Ok(())
}
