//! `cargo xtask e2e`: behaviour tests that are written once and run on any API server.
//!
//! `suites` holds the cases; each gets an `env::Env` and knows nothing of how it is run. `server` is what they run on:
//! a real control plane in `cargo xtask e2e`, `kube-sim` in `cargo test`. Where the two differ, the real one is right.

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
