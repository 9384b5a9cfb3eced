//! The binary that `cargo xtask protobuf` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask_process::main("protobuf", |args: xtask_protobuf::Args| xtask_protobuf::run(&args))
}
