//! What the compiler says of mistakes in `#[kube(..)]`: one error each, at the right place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#![cfg(feature = "schema")]

#[test]
fn mistakes_are_errors_where_they_are_made() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
