//! The binary that `cargo xtask kubectl` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("kubectl", |args: xtask_kubectl::Args| xtask_kubectl::run(&args))
}
