//! The binary that `cargo xtask record` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("record", |args: xtask_record::Args| xtask_record::run(&args))
}
