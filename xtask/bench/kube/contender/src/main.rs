//! kube's contender in `cargo xtask bench`.

mod informers;
mod library;
#[path = "../../../shared/mod.rs"]
mod shared;

fn main() -> std::process::ExitCode {
    shared::main()
}
