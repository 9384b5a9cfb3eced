//! Schemas of Rust types, before and after.
