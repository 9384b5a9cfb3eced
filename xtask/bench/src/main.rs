//! The program behind `cargo xtask bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("bench", |args: xtask_bench::Args| xtask_bench::run(&args))
}
