//! The strategy of config maps, and the validation that config maps and secrets share.

use serde_json::Value;

use crate::names;
use crate::schema::FieldError;
use crate::strategy::Strategy;
use crate::strategy::printer::{Printer, age_cell, entry_count, name_cell};
use crate::strategy::validation::Errors;

/// The error text for an update of an immutable config map or secret.
const IMMUTABLE_DATA_ERROR: &str = "field is immutable when `immutable` is set";

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "ConfigMap",
    validate,
    validate_update: Some(|old, new, out| {
        validate(new, out);
        reject_changes_of_immutable_data(old, new, &["data", "binaryData"], out);
    }),
    printer: Printer::new(|object, now| {
        let count = entry_count(&object["data"]) + entry_count(&object["binaryData"]);
        vec![name_cell(object), count.into(), age_cell(object, now)]
    }),
    ..Strategy::DEFAULT
};

fn validate(new: &Value, out: &mut Errors) {
    check_data_keys("data", &new["data"], out);
    check_data_keys("binaryData", &new["binaryData"], out);
    for key in new["binaryData"].as_object().into_iter().flat_map(|map| map.keys()) {
        if new["data"].get(key).is_some() {
            let why = "duplicate of key present in binaryData";
            out.push(FieldError::invalid(format!("data[{key}]"), key.as_str(), why));
        }
    }
    let texts = total_size(&new["data"], str::len);
    // The API server prints the path `[]` for an error about the whole object.
    out.limit_size("[]", texts + total_size(&new["binaryData"], decoded_len));
}

/// The sum of the sizes of the strings in a map, in bytes. `size_of` returns the size of one string.
pub(super) fn total_size(data: &Value, size_of: impl Fn(&str) -> usize) -> usize {
    data.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()).map(size_of).sum()
}

/// The number of bytes that a base64 string encodes.
pub(super) fn decoded_len(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// Rejects an update of `immutable` or of `fields` if `immutable` is true in the stored object.
pub(super) fn reject_changes_of_immutable_data(old: &Value, new: &Value, fields: &[&str], out: &mut Errors) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        out.push(FieldError::forbidden("immutable", IMMUTABLE_DATA_ERROR));
    }
    for field in fields.iter().filter(|field| old[**field] != new[**field]) {
        out.push(FieldError::forbidden(*field, IMMUTABLE_DATA_ERROR));
    }
}

/// Validates the keys of the data of a config map or secret.
pub(super) fn check_data_keys(field: &str, data: &Value, out: &mut Errors) {
    for key in data.as_object().into_iter().flat_map(|map| map.keys()) {
        if let Some(why) = names::config_key_problem(key) {
            out.push(FieldError::invalid(format!("{field}[{key}]"), key.as_str(), why));
        }
    }
}
