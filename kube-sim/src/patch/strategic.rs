//! Strategic merge patch: a merge patch that merges list items by a merge key and can contain directives.
//!
//! This module owns the merging of maps; the module `list` merges and sorts lists. The algorithm, the order of its
//! steps and its error messages are those of Kubernetes, because clients such as kubectl compute patches for exactly
//! this algorithm.
//!
//! The directives are:
//! - `$patch: delete` in a map clears the map. In a list item, it deletes the item.
//! - `$patch: replace` in a map replaces the map. In a list item, it replaces the list.
//! - `$retainKeys` lists the fields that a map keeps. All other fields are removed.
//! - `$deleteFromPrimitiveList/FIELD` lists the scalars to remove from the list `FIELD`.
//! - `$setElementOrder/FIELD` specifies the order of the list `FIELD`.

mod list;

use serde_json::{Map, Value};

use super::{PatchError, go_format};
use crate::go_json::unmarshal_error;
use crate::schema::{AdditionalFields, Schema};

const PATCH_DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

/// Merges `patch` into `target`, an object of a built-in kind. `schema` specifies the patch strategies and merge keys.
///
/// # Errors
/// The status codes are those of the API server:
/// - 400 if `patch` is not an object, if `$retainKeys` is not a list or omits a field that the patch sets, or if the
///   key of a directive is malformed.
/// - 422 for a list of lists.
/// - 500 for any other error, such as a list item without its merge key.
pub(crate) fn apply_strategic_patch(
    schema: &Schema,
    target: &mut Value,
    patch: Value,
) -> Result<(), PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::BadRequest(unmarshal_error(&patch, "map[string]interface {}")));
    };
    let original = match target {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    *target = Value::Object(merge_map(original, patch, Some(schema))?);
    Ok(())
}

/// The schema, patch strategy and merge key of a field.
struct Field<'a> {
    /// The schema of the field's value; for a list, the schema of the items. `None` for free-form values.
    schema: Option<&'a Schema>,
    strategy: &'a str,
    merge_key: &'a str,
}

/// Merges the map `patch` into the map `original`.
fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: Option<&Schema>,
) -> Result<Map<String, Value>, PatchError> {
    if let Some(directive) = patch.get(PATCH_DIRECTIVE).cloned() {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH_DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive_error(&directive, &patch)),
        };
    }
    apply_retain_keys(&mut original, &mut patch)?;
    apply_element_orders(&mut original, &mut patch, schema)?;
    for (key, value) in patch {
        let deletes = key.starts_with(DELETE_FROM_PRIMITIVE_LIST);
        let key = if deletes { directive_target(&key, DELETE_FROM_PRIMITIVE_LIST)?.to_owned() } else { key };
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let Some(present) = original.get_mut(&key) else {
            if !deletes {
                insert_new_field(&mut original, key, value);
            }
            continue;
        };
        match (present.take(), value) {
            (Value::Object(present_map), Value::Object(value)) => {
                let field = field_of(schema, &key, false)?;
                *present = Value::Object(match field.strategy {
                    "replace" => value,
                    _ => merge_map(present_map, value, field.schema)?,
                });
            }
            (Value::Array(items), Value::Array(value)) => {
                let field = field_of(schema, &key, true)?;
                *present = Value::Array(list::merge_lists(items, value, &field, deletes)?);
            }
            (before, _) if deletes => *present = before,
            (_, value) => {
                original.remove(&key);
                insert_new_field(&mut original, key, value);
            }
        }
    }
    Ok(original)
}

/// Inserts a field that `original` does not have. First removes two things from `value`: null fields, and maps that
/// contain `$patch`. If `value` itself is a map that contains `$patch`, inserts nothing.
fn insert_new_field(original: &mut Map<String, Value>, key: String, mut value: Value) {
    discard_null_fields(&mut value);
    if let Some(value) = without_directive_maps(value) {
        original.insert(key, value);
    }
}

/// Removes the null fields of maps, at every depth. Null list items are kept.
fn discard_null_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_null_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_null_fields),
        _ => {}
    }
}

/// Returns `value` without the maps that contain the field `$patch`, or `None` if `value` itself is such a map.
fn without_directive_maps(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH_DIRECTIVE) => None,
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(key, value)| Some((key, without_directive_maps(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directive_maps).collect()),
        scalar => Some(scalar),
    }
}

/// Applies `$retainKeys`: removes the fields of `original` that `$retainKeys` does not list. Returns an error if
/// `$retainKeys` is not a list, or if the patch sets a field that `$retainKeys` does not list.
fn apply_retain_keys(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
) -> Result<(), PatchError> {
    let malformed = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let Some(retained) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(retained) = retained else { return Err(malformed()) };
    let is_retained = |key: &str| retained.iter().any(|retained| retained == key);
    let is_directive =
        |key: &str| key.starts_with(DELETE_FROM_PRIMITIVE_LIST) || key.starts_with(SET_ELEMENT_ORDER);
    let stray = |(key, value): (&String, &Value)| !value.is_null() && !is_directive(key) && !is_retained(key);
    if patch.iter().any(stray) {
        return Err(malformed());
    }
    original.retain(|key, _| is_retained(key));
    Ok(())
}

/// Merges the lists for which the patch has a `$setElementOrder` directive, and sorts their items by this directive.
fn apply_element_orders(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: Option<&Schema>,
) -> Result<(), PatchError> {
    let directives: Vec<String> =
        patch.keys().filter(|key| key.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = patch.remove(&directive).unwrap_or(Value::Null);
        let order = items_or_error(order)?;
        let key = directive_target(&directive, SET_ELEMENT_ORDER)?;
        let present = original.get(key).cloned().map(items_or_error).transpose()?;
        let patched = patch.get(key).cloned().map(items_or_error).transpose()?;
        let field = field_of(schema, key, true)?;
        list::check_order(patched.as_deref().unwrap_or_default(), &order, field.merge_key)?;
        let merged = match (&present, patched.clone()) {
            (None, None) => continue,
            (Some(present), None) => present.clone(),
            (None, Some(patched)) => patched.into_iter().filter_map(without_directive_maps).collect(),
            (Some(present), Some(patched)) => list::merge_lists(present.clone(), patched, &field, false)?,
        };
        let server = present.unwrap_or_default();
        let kind = list::item_kind(&[&server, patched.as_deref().unwrap_or_default()])?;
        let (ours, theirs) = list::partition(merged, &order, field.merge_key)?;
        let ordered = list::merge_in_order(ours, theirs, &order, &server, field.merge_key, kind)?;
        original.insert(key.to_owned(), Value::Array(ordered));
        patch.remove(key);
    }
    Ok(())
}

/// Returns the items of a list, or an error for any other value.
fn items_or_error(value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => {
            let found = go_format::type_name(&other);
            Err(PatchError::Internal(format!("expected a []interface {{}}, but received a {found}")))
        }
    }
}

/// Returns the name `FIELD` in a key of the form `PREFIX/FIELD`, or an error for any other key.
fn directive_target<'a>(key: &'a str, prefix: &str) -> Result<&'a str, PatchError> {
    let target = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
    target.ok_or_else(|| {
        let list = if prefix == SET_ELEMENT_ORDER { "setElementOrder" } else { "primitive" };
        PatchError::BadRequest(format!("invalid patch format of {list} list"))
    })
}

/// Looks up the field `key` in `schema`. `is_list` specifies whether the value of the field is a list.
fn field_of<'a>(schema: Option<&'a Schema>, key: &str, is_list: bool) -> Result<Field<'a>, PatchError> {
    let unknown = Field { schema: None, strategy: "", merge_key: "" };
    let Some(schema) = schema else { return Ok(unknown) };
    let Some(field) = schema.field(key) else {
        if schema.has_properties() && matches!(schema.additional_fields(), AdditionalFields::Unset) {
            let name = schema.component().and_then(|name| name.rsplit('.').next()).unwrap_or_default();
            let message = format!("unable to find api field in struct {name} for the json field {key:?}");
            return Err(PatchError::Internal(message));
        }
        return Ok(unknown);
    };
    let strategy = field.patch_strategies().find(|strategy| *strategy != "retainKeys").unwrap_or_default();
    let merge_key = field.merge_key.as_deref().unwrap_or_default();
    let schema = if is_list { field.items().map(|items| &**items) } else { Some(&**field) };
    Ok(Field { schema, strategy, merge_key })
}

fn unknown_directive_error(directive: &Value, map: &Map<String, Value>) -> PatchError {
    let directive = go_format::format_value(directive);
    PatchError::Internal(format!("unknown patch type: {directive} in map: {}", format_map(map)))
}

fn missing_merge_key_error(map: &Map<String, Value>, key: &str) -> PatchError {
    PatchError::Internal(format!("map: {} does not contain declared merge key: {key}", format_map(map)))
}

fn format_map(map: &Map<String, Value>) -> String {
    go_format::format_value(&Value::Object(map.clone()))
}

#[cfg(test)]
mod tests;
