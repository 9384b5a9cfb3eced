//! Tests of the compile errors of the derive macros, for invalid attributes and unsupported types. Each error has the span
//! of the mistake.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "schema")]

#[test]
fn each_mistake_is_reported_at_its_span() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
