//! The list of errors of a validation, and the checks that several kinds share.

use std::collections::HashSet;

use serde_json::Value;

use crate::schema::{FieldError, parse_quantity};

/// The error text for a port number out of range.
pub(super) const INVALID_PORT: &str = "must be between 1 and 65535, inclusive";

/// A quantity. `text` is the string that error texts show. `nanos` is the value in units of 10^-9.
#[derive(Clone, Copy)]
pub(super) struct Quantity<'a> {
    pub(super) text: &'a str,
    pub(super) nanos: i128,
}

impl<'a> Quantity<'a> {
    /// The quantity in a field; `None` if the field is absent. Decoding rejects all strings that are not quantities.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        let text = value.as_str()?;
        Some(Self { text, nanos: parse_quantity(text).unwrap_or_default() })
    }
}

/// The errors that a validation has found.
#[derive(Debug, Default)]
pub(crate) struct Errors(pub(super) Vec<FieldError>);

impl Errors {
    pub(crate) fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Appends `enum_errors`, which come from the enums in the schema, and returns all errors. Skips an enum error if its
    /// field already has an error, because the earlier error is more specific.
    pub(super) fn with_enum_errors(self, enum_errors: Vec<FieldError>) -> Vec<FieldError> {
        let mut errors = self.0;
        let reported: Vec<String> = errors.iter().map(|error| error.field.clone()).collect();
        errors.extend(enum_errors.into_iter().filter(|error| !reported.contains(&error.field)));
        errors
    }

    /// Adds an error if the string in `field` is absent or empty.
    pub(super) fn require_string(&mut self, path: &str, object: &Value, field: &str) {
        if string_in(object, field).is_empty() {
            self.push(FieldError::required(join(path, field), ""));
        }
    }

    /// Adds an error if the field is set to a number less than `limit`.
    pub(super) fn require_at_least(&mut self, path: &str, object: &Value, field: &str, limit: i64) {
        if let Some(number) = object[field].as_i64().filter(|number| *number < limit) {
            let why = match limit {
                1 => "must be greater than 0".to_owned(),
                limit => format!("must be greater than or equal to {limit}"),
            };
            self.push(FieldError::invalid(join(path, field), number, why));
        }
    }

    /// Adds an error if the data of a config map or secret is larger than 1 MiB; `size` is in bytes.
    pub(super) fn limit_size(&mut self, path: &str, size: usize) {
        const LIMIT: usize = 1 << 20;
        if size > LIMIT {
            self.push(FieldError::too_long(path, LIMIT as u64));
        }
    }

    /// Adds an error if the update changes the field.
    pub(super) fn reject_change(&mut self, field: &str, old: &Value, new: &Value) {
        let pointer = format!("/{}", field.replace('.', "/"));
        let now = new.pointer(&pointer).cloned().unwrap_or_default();
        if old.pointer(&pointer).cloned().unwrap_or_default() != now {
            self.push(FieldError::invalid(field, now, "field is immutable"));
        }
    }
}

/// The path of `field` in the object at `path`.
pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// The string in `field`; empty if the field is absent.
pub(super) fn string_in<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The items of the list in `field`, each with its path.
pub(super) fn items<'a>(
    path: &str,
    object: &'a Value,
    field: &str,
) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let path = join(path, field);
    let list = object[field].as_array().map_or(&[][..], Vec::as_slice);
    list.iter().enumerate().map(move |(index, item)| (format!("{path}[{index}]"), item))
}

/// Whether the value is absent, or an empty text, list or map.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Reports each item of a list that equals an earlier item. Compares `field` of the items, or the whole items if `field`
/// is `None`. Ignores items whose compared value is empty.
pub(super) fn check_unique(path: &str, list: &Value, field: Option<&str>, out: &mut Errors) {
    let mut seen = HashSet::new();
    for (index, item) in list.as_array().into_iter().flatten().enumerate() {
        let key = field.map_or(item, |field| &item[field]);
        if !is_empty(key) && !seen.insert(key.to_string()) {
            let path = format!("{path}[{index}]");
            out.push(FieldError::duplicate(
                field.map_or(path.clone(), |field| join(&path, field)),
                key.clone(),
            ));
        }
    }
}
