//! The binary that `cargo xtask envtest` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("envtest", |args: xtask_envtest::Args| xtask_envtest::run(&args))
}
