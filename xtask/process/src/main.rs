//! A program that supervises and does nothing else: what the tests of this package, whose own binary is a test, supervise
//! with.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
struct Args {}

fn main() -> ExitCode {
    xtask_process::main("process", |Args {}| anyhow::bail!("this program runs no task"))
}
