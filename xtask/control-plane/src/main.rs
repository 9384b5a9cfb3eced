//! The binary that `cargo xtask cluster` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("cluster", xtask_control_plane::run)
}
