//! `cargo xtask e2e`: behaviour tests that run on any API server.
//!
//! `suites` holds the cases. Each gets an `env::Env` and must not depend on the runner. `server` is the server under
//! test: a real control plane in `cargo xtask e2e`, `kube-sim` in `cargo test`. If the two differ, kube-sim is wrong.

mod case;
mod choose;
mod cli;
mod env;
mod failure;
mod leftovers;
mod report;
mod runner;
mod server;
mod suites;
mod support;
#[cfg(test)]
mod tests;

pub use cli::{Args, run};
