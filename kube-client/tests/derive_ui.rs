//! Tests of the compile errors for invalid attributes of the derive macros: one error for each mistake, with its span.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![cfg(feature = "schema")]

#[test]
fn reports_each_mistake_at_its_span() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
