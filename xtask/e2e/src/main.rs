//! The binary that `cargo xtask e2e` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("e2e", |args: xtask_e2e::Args| xtask_e2e::run(&args))
}
