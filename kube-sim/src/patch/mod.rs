//! The three patch formats that change an object without owning its fields: merge, JSON and strategic merge.
//!
//! Owns their algorithms and the answers to patches that do not apply. Server-side apply lives in `crate::apply`; whether
//! a resource takes a format at all is the handlers' business.

mod go_text;
mod json;
mod merge;
mod strategic;

pub(crate) use self::go_text::text as go_text;
pub(crate) use self::json::{MAX_OPERATIONS, json};
pub(crate) use self::merge::merge;
pub(crate) use self::strategic::strategic;

use serde_json::Value;

use crate::schema::FieldError;

/// Why a patch does not apply. The texts are whole messages of a `Status`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// The patch itself is malformed: 400, `BadRequest`.
    #[error("{0}")]
    BadRequest(String),
    /// The patch does not fit the object: 422, `Invalid`.
    #[error("{0}")]
    Unprocessable(String),
    /// The patch has too many operations: 413, `RequestEntityTooLarge`.
    #[error("{0}")]
    TooLarge(String),
    /// What a server answers with 500 and no reason, although the patch is to blame.
    #[error("{0}")]
    Internal(String),
}

/// The complaint about a patched object that its kind cannot hold, for a 422 whose object has neither kind nor name;
/// `problem` is what `schema::decode` or strict field validation said.
pub(crate) fn unusable_result(patched: &Value, problem: &str) -> FieldError {
    FieldError::invalid("patch", patched.to_string(), problem)
}

/// What Go's decoder calls a value that should have been an object.
fn not_an_object(found: &Value, expected: &str) -> String {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into Go value of type {expected}")
}
