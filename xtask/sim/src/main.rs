//! The binary that `cargo xtask sim` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("sim", xtask_sim::run)
}
