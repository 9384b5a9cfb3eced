//! A program that only supervises. The tests of this package use it as
//! [`supervisor`](xtask_process::Launch::supervisor), because the `main` of a test binary is not
//! [`xtask_process::main`].

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
struct Args {}

fn main() -> ExitCode {
    xtask_process::main("process", |Args {}| anyhow::bail!("this program runs no task"))
}
