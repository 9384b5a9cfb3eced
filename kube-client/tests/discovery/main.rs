//! Tests of discovery on kube-sim, and on mock servers that respond with the documents of a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod documents;
mod faults;
mod mapper;
mod names;
