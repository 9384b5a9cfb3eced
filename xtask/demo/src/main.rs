//! The binary that `cargo xtask demo` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("demo", |args: xtask_demo::Args| xtask_demo::run(&args))
}
