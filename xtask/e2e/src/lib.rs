//! `cargo xtask e2e`: behaviour tests that run on any API server.
//!
//! `suites` contains the cases. Each case gets an `env::Env`, and must not depend on the runner. `server` is the server
//! under test. By default, `cargo xtask e2e` uses a real control plane; `cargo test` uses kube-sim. If a case passes only
//! on the real control plane, kube-sim is wrong.

mod case;
mod choice;
mod cli;
mod env;
mod failure;
mod languages;
mod leftovers;
mod report;
mod runner;
mod server;
mod suites;
mod support;
#[cfg(test)]
mod tests;
mod variant;
mod webhook_server;

pub use cli::{Args, run};
