//! Tests of the code that the derive macros generate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "schema")]

mod apply;
mod conversion;
mod definition;
mod kube_schema;
mod plain_schema;
mod resource;
