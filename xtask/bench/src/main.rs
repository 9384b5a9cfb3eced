//! The binary that `cargo xtask bench` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("bench", |args: xtask_bench::Args| xtask_bench::run(&args))
}
