//! End-to-end tests of the examples: each example runs as a process, against a simulated cluster or a faulty server.
//! Tests must assert only the output, the exit codes and the requests of the examples, and the objects in the cluster.
//! Tests must not call code of an example.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod bad_cluster;
mod bad_connection;
mod bad_kubeconfig;
mod commands;
mod controllers;
mod crd_reflector;
mod derived_kinds;
mod informers;
mod kubectl;
mod reflectors;
mod signals_and_logs;
mod support;
mod watchers;
mod webhooks;
