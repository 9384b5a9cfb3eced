//! This project's contender in `cargo xtask bench`. Its tests are in `tests/rows.rs`.

// This program includes the source file of kube-runtime's queue. The unit tests of that file need other modules of
// kube-runtime, so this program is not compiled for unit tests.
#![cfg(not(test))]

mod hyper_util_client;
mod informers;
mod library;
#[path = "../../shared/mod.rs"]
mod shared;
mod work_queue;

fn main() -> std::process::ExitCode {
    shared::main()
}
