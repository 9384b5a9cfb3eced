//! Three patch formats: JSON Merge Patch, JSON Patch, and strategic merge patch.
//!
//! This module owns their algorithms and their error messages. Server-side apply is in `crate::apply`. The request
//! handlers decide which patch formats a resource accepts.

mod conversion;
mod go_format;
mod json;
mod merge;
mod strategic;

pub(crate) use self::conversion::conversion_error;
pub(crate) use self::go_format::format_value as format_go_value;
pub(crate) use self::json::{apply_json_patch, first_failing_operation};
pub(crate) use self::merge::apply_merge_patch;
pub(crate) use self::strategic::apply_strategic_patch;

use serde_json::Value;

use crate::schema::FieldError;

/// The reason why a patch cannot be applied. Each variant contains the complete message of the `Status`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// The patch itself is malformed: 400, `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// The patch cannot be applied to the object: 422, `Invalid`.
    #[error("{0}")]
    Unprocessable(String),
    /// The patch has too many operations: 413, `RequestEntityTooLarge`.
    #[error("{0}")]
    TooLarge(String),
    /// The patch is invalid, but the API server reports an internal error: 500 without a reason.
    #[error("{0}")]
    Internal(String),
}

/// Returns the field error for a patched object that cannot be decoded as its kind. `problem` is the error of
/// `schema::decode` or of strict field validation. The caller must leave the kind and the name of the object out of the
/// `Status`, as the API server does.
pub(crate) fn undecodable_result_error(patched: &Value, problem: &str) -> FieldError {
    FieldError::invalid("patch", patched.to_string(), problem)
}
