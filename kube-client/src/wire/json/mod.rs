//! Decodes JSON into any type, and leaves out fields that are not wanted.
//!
//! A decoder of its own rather than serde_json's, for three reasons: a field of a [`FieldSet`] is skipped where it stands,
//! at the speed of a search for brackets, for every type and without a copy of the text; lists tell how many elements they
//! have, so that vectors are made in their final size; and a text is checked to be UTF-8 once, not string by string. What is
//! skipped is not looked at: only its brackets are counted.
//!
//! Errors are serde_json's, with line and column and without the values that it quotes. Everything that serde_json reads, this
//! reads alike. Beyond that, times that are later than a `jiff::Timestamp` can be decode to the last one: API servers store
//! `9999-12-31T23:59:59Z`, and an object with that time must be readable.

mod access;
mod key;
mod number;
mod peek;
mod reader;
mod value;

pub use peek::FilterDepth;
pub(crate) use peek::{Head, event_head, head};

use crate::core::{FieldSet, without_values};
use reader::Reader;
use serde::de::{Deserialize, Error as _};
use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};
use value::Value;

type Result<T, E = serde_json::Error> = std::result::Result<T, E>;

/// Decodes the one value that `text` holds, without the fields in `skipped`.
///
/// # Errors
///
/// When the text is not JSON, or not a `T`, or when `T`'s implementation of `Deserialize` panics. The error has the position,
/// and contains no value of the text.
pub(crate) fn decode<'de, T: Deserialize<'de>>(text: &'de [u8], skipped: &FieldSet) -> Result<T> {
    let mut reader = Reader::new(utf8(text)?);
    let fields = (!skipped.is_empty()).then(|| skipped.root());
    // `T::deserialize` is user code. A panic in it fails this value alone: it must not end a list, a watch or the task that
    // polls it. The error has no panic message, because that may contain values of the object.
    let deserialize = || T::deserialize(Value::new(&mut reader, fields));
    let value = catch_unwind(AssertUnwindSafe(deserialize)).unwrap_or_else(|_panic| {
        let name = type_name::<T>();
        Err(serde_json::Error::custom(format_args!("the implementation of Deserialize of {name} panicked")))
    });
    // Not taken apart when all is well, so that it need not be moved.
    let error = match &value {
        Ok(_) => match reader.end() {
            Ok(()) => return value,
            Err(error) => without_position(&error),
        },
        Err(error) => without_position(error),
    };
    Err(at_position(&without_values(&error), reader.before()))
}

/// The text of an error without the position that serde_json adds: that of values which it has read is one within the value.
fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    if error.line() > 0 && text.ends_with(&position) {
        text.truncate(text.len() - position.len());
    }
    text
}

fn utf8(text: &[u8]) -> Result<&str> {
    simdutf8::basic::from_utf8(text).map_err(|_| {
        let valid = std::str::from_utf8(text).err().map_or(text.len(), |error| error.valid_up_to());
        at_position("bytes that are not UTF-8", &text[..valid])
    })
}

/// An error behind the text `before`.
fn at_position(problem: &str, before: &[u8]) -> serde_json::Error {
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    // serde_json takes the position out of the text again.
    serde_json::Error::custom(format_args!("{problem} at line {line} column {column}"))
}

#[cfg(test)]
mod tests;
