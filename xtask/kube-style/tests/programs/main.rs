//! Programs in the style of kube, one file for each group of APIs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod clients;
mod controllers;
mod core;
mod derives;
mod discovery;
mod objects;
mod runtime;
mod streams;
mod verbs;
