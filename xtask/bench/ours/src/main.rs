//! This project's contender in `cargo xtask bench`.

mod hyper_util_client;
mod library;
#[path = "../../shared/mod.rs"]
mod shared;

fn main() -> std::process::ExitCode {
    shared::main()
}
