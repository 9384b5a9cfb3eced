//! Field errors (`field.Error`), printed as an API server prints them.
//!
//! This module owns the error types, their texts, and [`invalid_message`], which joins the texts of several errors
//! into the message of a `Status`. This module must not use schemas.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use serde_json::Value;

use super::go_float::format_go_float;

/// The type of a field error (`field.ErrorType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FieldErrorKind {
    /// A required value is absent.
    Required,
    /// The value violates a rule that no other error type describes.
    Invalid,
    /// The value has the wrong JSON type.
    TypeInvalid,
    /// The value is not one of the supported values.
    NotSupported,
    /// The object or item that the value refers to does not exist.
    NotFound,
    /// The value must be unique, but occurs more than once.
    Duplicate,
    /// The field must not be set in this context.
    Forbidden,
    /// The text is too long.
    TooLong,
    /// The list or map has too many entries.
    TooMany,
    /// The server failed to validate the value.
    Internal,
}

impl FieldErrorKind {
    /// The reason in a `StatusCause`, such as `FieldValueRequired`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::NotFound => "FieldValueNotFound",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
        }
    }

    /// The beginning of the message, as Go prints the error type.
    fn title(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::NotFound => "Not found",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }

    /// Whether the message contains the value.
    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::Internal)
    }
}

/// One validation error of one field.
///
/// `Display` prints the field and the message, such as
/// `spec.replicas: Invalid value: -1: must be greater than or equal to 0`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldError {
    /// The type of the error.
    pub(crate) kind: FieldErrorKind,
    /// The path of the field, such as `spec.containers[0].name`; `<nil>` instead of the empty path.
    pub(crate) field: String,
    /// The invalid value. Null if the error has no value, or if only the text of the value is known (`printed`).
    pub(crate) value: Value,
    /// The explanation; may be empty.
    pub(crate) detail: String,
    /// The text of the value in the message, for error types that show a value. If `None`, the message contains `value`
    /// as Go prints the value. If the text is empty, the message contains no value.
    printed: Option<String>,
}

impl FieldError {
    fn new(
        kind: FieldErrorKind,
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        let mut field = field.into();
        if field.is_empty() {
            field.push_str("<nil>");
        }
        Self { kind, field, value: value.into(), detail: detail.into(), printed: None }
    }

    /// The error that a required value is absent.
    pub(crate) fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, field, Value::Null, detail)
    }

    /// The error that the value is invalid.
    pub(crate) fn invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(FieldErrorKind::Invalid, field, value, detail)
    }

    /// The error that a value is invalid. The message contains `printed` as the text of the value.
    pub(crate) fn invalid_with_text(
        field: impl Into<String>,
        printed: String,
        detail: impl Into<String>,
    ) -> Self {
        Self { printed: Some(printed), ..Self::invalid(field, Value::Null, detail) }
    }

    /// The error for an internal failure: the server was unable to validate the value.
    pub(crate) fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Internal, field, Value::Null, detail)
    }

    /// Removes the value from the message of the error.
    pub(crate) fn without_value(self) -> Self {
        Self { printed: Some(String::new()), ..self }
    }

    /// The error that the value has the wrong JSON type.
    pub(crate) fn type_invalid(
        field: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(FieldErrorKind::TypeInvalid, field, value, detail)
    }

    /// The error that the value is not one of `supported`. The message keeps the order of `supported`.
    pub(crate) fn not_supported(
        field: impl Into<String>,
        value: impl Into<Value>,
        supported: &[&str],
    ) -> Self {
        let mut detail = String::new();
        if !supported.is_empty() {
            let quoted: Vec<String> = supported.iter().map(|text| quote(text)).collect();
            detail = format!("supported values: {}", quoted.join(", "));
        }
        Self::new(FieldErrorKind::NotSupported, field, value, detail)
    }

    /// The error for a value that refers to a missing object or item.
    pub(crate) fn not_found(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::NotFound, field, value, "")
    }

    /// The error that the value must be unique, but occurs more than once.
    pub(crate) fn duplicate(field: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, field, value, "")
    }

    /// The error that the field must not be set in this context.
    pub(crate) fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, field, Value::Null, detail)
    }

    /// The error that the text is longer than `max` bytes.
    pub(crate) fn too_long(field: impl Into<String>, max: u64) -> Self {
        let plural = if max == 1 { "" } else { "s" };
        let detail = format!("may not be more than {max} byte{plural}");
        Self::new(FieldErrorKind::TooLong, field, Value::Null, detail)
    }

    /// The error that the list or map has `actual` entries, but at most `max` are allowed.
    pub(crate) fn too_many(field: impl Into<String>, actual: u64, max: u64) -> Self {
        let plural = if max == 1 { "" } else { "s" };
        let detail = format!("must have at most {max} item{plural}");
        Self::new(FieldErrorKind::TooMany, field, actual, detail)
    }

    /// The message of a `StatusCause`: the text of the error without the field's path.
    pub(crate) fn message(&self) -> String {
        let mut text = self.kind.title().to_owned();
        let value = match &self.printed {
            _ if !self.kind.shows_value() => String::new(),
            Some(printed) => printed.clone(),
            None => format_go_value(&self.value),
        };
        if !value.is_empty() {
            text.push_str(": ");
            text.push_str(&value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

/// The message of a `Status` with the reason `Invalid`: `Deployment.apps "web" is invalid: ...`.
///
/// Several errors are enclosed in brackets; equal texts are printed once.
pub(crate) fn invalid_message(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> String {
    let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let mut message = format!("{qualified} {} is invalid", quote(name));
    let mut seen = HashSet::new();
    let mut texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.retain(|text| seen.insert(text.clone()));
    match texts.as_slice() {
        [] => {}
        [only] => {
            message.push_str(": ");
            message.push_str(only);
        }
        many => {
            message.push_str(": [");
            message.push_str(&many.join(", "));
            message.push(']');
        }
    }
    message
}

/// Formats a value as Go prints it in field errors: a string in quotes, a float64 as with `%v`, other values as JSON.
fn format_go_value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        // Go prints a float64 with `%v`, and parses an integer outside of int64 as a float64.
        Value::Number(number) if number.as_i64().is_none() => {
            number.as_f64().map_or_else(|| number.to_string(), format_go_float)
        }
        other => other.to_string(),
    }
}

/// Quotes a string as Go's `%q` does, but escapes only ASCII characters; `%q` also escapes non-printable characters
/// outside of ASCII.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn field_errors_are_printed_as_in_the_api_server() {
        let cases = [
            (FieldError::required("spec.a", ""), "spec.a: Required value"),
            (FieldError::required("spec.a", "why"), "spec.a: Required value: why"),
            (FieldError::invalid("spec.n", -1, "too small"), "spec.n: Invalid value: -1: too small"),
            (FieldError::invalid("spec.s", "x\"y", "bad"), "spec.s: Invalid value: \"x\\\"y\": bad"),
            (
                FieldError::not_supported("spec.p", "x", &["A", "B"]),
                "spec.p: Unsupported value: \"x\": supported values: \"A\", \"B\"",
            ),
            (FieldError::duplicate("l[1]", json!({"name": "a"})), "l[1]: Duplicate value: {\"name\":\"a\"}"),
            (FieldError::not_found("v", "x"), "v: Not found: \"x\""),
            (FieldError::forbidden("", "no"), "<nil>: Forbidden: no"),
            (FieldError::too_long("s", 1), "s: Too long: may not be more than 1 byte"),
            (FieldError::too_many("l", 3, 2), "l: Too many: 3: must have at most 2 items"),
        ];
        for (error, expected) in cases {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn invalid_message_joins_errors_in_brackets_without_duplicates() {
        let a = FieldError::required("a", "");
        let b = FieldError::required("b", "");
        assert_eq!(
            invalid_message("Deployment", "apps", "web", std::slice::from_ref(&a)),
            "Deployment.apps \"web\" is invalid: a: Required value"
        );
        assert_eq!(
            invalid_message("Pod", "", "p", &[a.clone(), b, a]),
            "Pod \"p\" is invalid: [a: Required value, b: Required value]"
        );
    }
}
