//! Decodes JSON into any type, and skips the fields of a [`FieldSet`].
//!
//! The decoder replaces serde_json's decoder for three reasons. The decoder skips fields while it reads, for every
//! type, without a copy of the text: to skip an object or list, it only counts brackets. It gives size hints for lists,
//! so that vectors are allocated once. It checks UTF-8 once for the whole text, not string by string.
//!
//! The decoder must accept every valid JSON text that serde_json accepts, with the same result; the tests compare both
//! decoders. Three differences are deliberate. Skipped and ignored objects and lists are not validated: only their
//! brackets are counted. After an error that a type tolerates, a missing bracket is still an error, unlike in
//! serde_json. Times beyond the range of `jiff::Timestamp` decode to the nearest timestamp, because API servers store
//! `9999-12-31T23:59:59Z`.
//!
//! The errors of `decode` and `cut_skipped_fields` are `serde_json::Error`s with line and column, without the values
//! that serde_json quotes. Callers drop the errors of all other functions.

mod access;
mod cut;
mod key;
mod number;
mod peek;
mod reader;
mod value;

pub(crate) use cut::{ObjectIdentity, ValueCheck, cut_skipped_fields};
pub use peek::FilterDepth;
pub(crate) use peek::{ObjectHead, read_event_head, read_head, skipped_metadata_fields, split_event};

use crate::core::__client::remove_quoted_values;
use crate::core::FieldSet;
use reader::Reader;
use serde::de::{Deserialize, Error as _};
use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};
use value::Value;

type Result<T, E = serde_json::Error> = std::result::Result<T, E>;

/// Decodes `text`, and skips the fields in `skipped`. `text` must hold exactly one JSON value.
///
/// # Errors
///
/// If the text is not JSON, if it does not decode as a `T`, or if `T`'s implementation of `Deserialize` panics. The
/// error has line and column, and quotes no value of the text.
pub(crate) fn decode<'de, T: Deserialize<'de>>(text: &'de [u8], skipped: &FieldSet) -> Result<T> {
    let mut reader = Reader::new(check_utf8(text)?);
    let fields = skipped.root();
    // `T::deserialize` is user code. A panic becomes an error of this value: the panic must not end a list, a watch or
    // the task that polls them. The error does not contain the panic message, which may contain values of the object.
    let deserialize = || T::deserialize(Value::new(&mut reader, fields));
    let value = catch_unwind(AssertUnwindSafe(deserialize)).unwrap_or_else(|_panic| {
        let name = type_name::<T>();
        Err(serde_json::Error::custom(format_args!("the implementation of Deserialize of {name} panicked")))
    });
    // Match by reference and return `value` itself: destructuring would move a large `T`.
    match &value {
        Ok(_) => match reader.expect_end() {
            Ok(()) => value,
            Err(error) => Err(error_with_position(&error, &reader)),
        },
        Err(error) => Err(error_with_position(error, &reader)),
    }
}

/// The error with the reader's position in the whole text, and without the values that the message quotes.
fn error_with_position(error: &serde_json::Error, reader: &Reader<'_>) -> serde_json::Error {
    error_at(&remove_quoted_values(&text_without_position(error)), reader.consumed_text())
}

/// The text of an error without serde_json's position, which may be relative to a nested value instead of the whole
/// text.
fn text_without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if error.line() > 0 && text.ends_with(&position) {
        text.truncate(text.len() - position.len());
    }
    text
}

/// Checks that the whole text is UTF-8.
fn check_utf8(text: &[u8]) -> Result<&str> {
    simdutf8::basic::from_utf8(text).map_err(|_| {
        let valid = std::str::from_utf8(text).err().map_or(text.len(), |error| error.valid_up_to());
        error_at("bytes that are not UTF-8", &text[..valid])
    })
}

/// An error at the position after the text `before`.
fn error_at(problem: &str, before: &[u8]) -> serde_json::Error {
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    // serde_json parses line and column from the end of a custom message.
    serde_json::Error::custom(format_args!("{problem} at line {line} column {column}"))
}

#[cfg(test)]
mod tests;
