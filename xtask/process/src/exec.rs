//! The `__exec` form of this binary: becomes a program that dies with its parent. Does nothing else.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

/// The first argument that asks for this form.
pub(crate) const FORM: &str = "__exec";

/// What `__exec` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The process whose end ends this one.
    #[arg(long)]
    parent: u32,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

/// Replaces this process by the program.
///
/// # Errors
/// When the parent is gone already, or the program cannot be run; it never returns otherwise.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    die_with_parent(rustix::process::Signal::KILL)?;
    if std::os::unix::process::parent_id() != args.parent {
        bail!("the supervisor is gone");
    }
    let (program, arguments) = args.command.split_first().context("no program was named")?;
    let error = Command::new(program).args(arguments).exec();
    eprintln!("error: cannot run {}: {error}", program.display());
    Ok(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }))
}

/// Has the kernel send `signal` to this process when the thread that started it ends. Only Linux can; elsewhere the
/// supervisor's own watch over its parent has to do.
pub(crate) fn die_with_parent(signal: rustix::process::Signal) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(signal))
        .context("cannot ask to die with the parent")?;
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
    Ok(())
}
