//! The examples as their users meet them: programs of their own, against a simulated cluster that changes meanwhile, and
//! against everything that can be wrong. Nothing here reaches into an example; only what it prints and how it ends counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod bad_cluster;
mod bad_connection;
mod bad_kubeconfig;
mod foos;
mod informers;
mod kubectl;
mod reflectors;
mod run;
mod support;
