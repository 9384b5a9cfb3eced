//! The contender of `cargo xtask bench` that is kube.

mod peer;
#[path = "../../../shared/mod.rs"]
mod shared;

fn main() -> std::process::ExitCode {
    shared::main()
}
