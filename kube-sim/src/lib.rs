//! Skeleton.

#[expect(dead_code, unused_imports, reason = "the handlers that call this are being written")]
mod builtin;
#[expect(dead_code, unused_imports, reason = "the handlers that call this are being written")]
mod patch;
#[expect(dead_code, unused_imports, reason = "the handlers that call this are being written")]
mod schema;
