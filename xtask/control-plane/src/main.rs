//! The program behind `cargo xtask cluster`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("cluster", xtask_control_plane::run)
}
