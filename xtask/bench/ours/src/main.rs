//! This project's contender in `cargo xtask bench`.

mod library;
#[path = "../../shared/mod.rs"]
mod shared;

fn main() -> std::process::ExitCode {
    shared::main()
}
