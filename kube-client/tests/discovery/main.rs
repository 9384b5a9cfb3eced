//! Discovery on the simulated server, and on servers that answer with documents of the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod documents;
mod faults;
mod mapper;
mod names;
