//! The program behind `cargo xtask sim`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("sim", xtask_sim::run)
}
