//! Functions that set defaults in JSON objects.

use serde_json::{Map, Value};

/// Sets `field` to `value` if the field is absent or null.
pub(super) fn set_default(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Value::Object(map) = object {
        let present = map.entry(field).or_insert(Value::Null);
        if present.is_null() {
            *present = value.into();
        }
    }
}

/// Sets `field` to `value` if the field is absent, null or an empty string.
pub(super) fn set_default_string(object: &mut Value, field: &str, value: &str) {
    if object.get(field).is_some_and(|present| present == "") {
        object[field] = Value::from(value);
    }
    set_default(object, field, value);
}

/// The value of `field` if it is an object.
pub(super) fn object_in<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    object.get_mut(field).filter(|value| value.is_object())
}

/// Inserts an empty object in `field` if the field is absent or null. Returns the value of the field if it is an
/// object.
pub(super) fn object_or_insert<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    set_default(object, field, Map::new());
    object_in(object, field)
}

/// The items of the list in `field` that are objects.
pub(super) fn object_items<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter(|item| item.is_object())
}

/// Whether `field` is the string `text`.
pub(super) fn has_string(object: &Value, field: &str, text: &str) -> bool {
    object.get(field).and_then(Value::as_str) == Some(text)
}
