//! The binary that `cargo xtask conformance` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("conformance", |args: xtask_conformance::Args| xtask_conformance::run(&args))
}
