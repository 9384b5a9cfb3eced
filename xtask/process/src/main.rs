//! A program that only supervises other programs. The tests of this package need this binary, because the `main` of a
//! test binary does not recognize the `__supervise` subcommand.

use std::process::ExitCode;

/// This program has no arguments.
#[derive(Debug, clap::Args)]
struct Args {}

fn main() -> ExitCode {
    xtask_process::main("process", |Args {}| anyhow::bail!("this program runs no task"))
}
