//! The executable of `cargo xtask e2e`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("e2e", |args: xtask_e2e::Args| xtask_e2e::run(&args))
}
