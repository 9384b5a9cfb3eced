//! This project's contender in `cargo xtask bench`. Its tests are in `tests/rows.rs`.

// The file of kube-runtime's queue, which this program includes, has unit tests that need more of kube-runtime.
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
