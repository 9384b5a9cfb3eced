//! Tests of the simulated server. All these tests are in one program, because each test program takes seconds
//! to link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod access_reviews;
mod apply;
mod authorization;
mod common;
mod control;
mod controllers;
mod conversions;
mod definitions;
mod documents;
mod evictions;
mod faults;
mod https;
mod initial_objects;
mod journal;
mod kubectl;
mod lists;
mod objects;
mod refusals;
mod replicas;
mod streams;
mod tokens;
mod updates;
mod watches;
mod workload_controllers;
mod workload_simulator;
