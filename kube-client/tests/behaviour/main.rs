//! Tests of the client on the simulated server and on mock servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[cfg(feature = "ws")]
mod containers;
mod discovery;
mod dynamic;
