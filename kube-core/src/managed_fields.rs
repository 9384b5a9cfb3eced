//! The fields of an object that a field manager owns (`metadata.managedFields`, KEP-555).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value, json};

/// The fields of `object` that the field manager `manager` owns because it applied them; `None` if the manager has
/// applied nothing.
///
/// The result also has `apiVersion`, `kind`, name and namespace. It is a complete input for the next server-side apply of
/// this manager. Change some of its fields, and apply it: the manager still owns the fields that you did not change.
/// `subresource` is `None` for the object itself, or the name of a subresource, such as `status`, that the manager has
/// applied.
///
/// `object` is the JSON of an object, such as a serialized `DynamicObject`. It must contain
/// `metadata.managedFields`. The objects of kube-runtime's watchers lack this field by default. A field that is in
/// `managedFields` but not in the object is ignored.
///
/// ```
/// use kube_core::applied_fields;
/// use serde_json::json;
///
/// let site = json!({
///     "apiVersion": "example.com/v1", "kind": "Site",
///     "metadata": {"name": "a", "uid": "1", "managedFields": [
///         {"manager": "scaler", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
///     ]},
///     "spec": {"replicas": 3, "title": "of another manager"},
/// });
/// let expected = json!({
///     "apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "a"}, "spec": {"replicas": 3},
/// });
/// assert_eq!(applied_fields(&site, "scaler", None), Some(expected));
/// assert_eq!(applied_fields(&site, "editor", None), None);
/// ```
#[must_use]
pub fn applied_fields(object: &Value, manager: &str, subresource: Option<&str>) -> Option<Value> {
    let metadata = object.get("metadata")?;
    let mut entries = metadata.get("managedFields")?.as_array()?.iter().filter_map(decode_entry);
    let entry = entries.find(|entry| {
        entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().filter(|name| !name.is_empty()) == subresource
    })?;
    let mut out = match owned_part(object, &entry.fields_v1?.0) {
        Some(Value::Object(out)) => out,
        _ => Map::new(),
    };
    for key in ["apiVersion", "kind"] {
        if let Some(value) = object.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    if let Value::Object(owned) = out.entry("metadata").or_insert_with(|| json!({})) {
        for key in ["name", "namespace"] {
            if let Some(value) = metadata.get(key) {
                owned.insert(key.to_owned(), value.clone());
            }
        }
    }
    Some(Value::Object(out))
}

/// Decodes an entry of `managedFields`; `None` if it does not decode.
fn decode_entry(entry: &Value) -> Option<ManagedFieldsEntry> {
    serde_json::from_value(entry.clone()).ok()
}

/// The part of a value that a set of fields (`fieldsV1`) contains. `None` if the set has fields and the value is a
/// scalar, or if the set is not a JSON object.
fn owned_part(value: &Value, fields: &Value) -> Option<Value> {
    let fields = fields.as_object()?;
    if fields.is_empty() {
        return Some(value.clone());
    }
    match value {
        Value::Object(object) => {
            let owned = fields.iter().filter_map(|(key, fields)| {
                let name = key.strip_prefix("f:")?;
                Some((name.to_owned(), owned_part(object.get(name)?, fields)?))
            });
            Some(Value::Object(owned.collect()))
        }
        Value::Array(items) => {
            let owned = items.iter().enumerate().filter_map(|(index, item)| {
                let (key, fields) = fields.iter().find(|(key, _)| identifies_item(key, index, item))?;
                let mut part = owned_part(item, fields)?;
                if let (Value::Object(part), Some(Value::Object(keys))) = (&mut part, parse_item_keys(key)) {
                    // An apply needs the key fields of each item, even if the manager does not own the key fields.
                    part.extend(keys);
                }
                Some(part)
            });
            Some(Value::Array(owned.collect()))
        }
        // The value was a map or a list when the manager applied it, and is a scalar now.
        _ => None,
    }
}

/// Whether `key`, a path element of `fieldsV1`, identifies this list item. `k:{..}` identifies an item by its key fields,
/// `v:..` by its value, and `i:..` by its index.
fn identifies_item(key: &str, index: usize, item: &Value) -> bool {
    if let Some(Value::Object(keys)) = parse_item_keys(key) {
        return keys.iter().all(|(name, value)| item.get(name) == Some(value));
    }
    match key.split_at_checked(2) {
        Some(("v:", text)) => serde_json::from_str::<Value>(text).is_ok_and(|value| value == *item),
        Some(("i:", text)) => text.parse() == Ok(index),
        _ => false,
    }
}

/// The names and values of the key fields in a path element `k:{..}`; `None` for other path elements.
fn parse_item_keys(key: &str) -> Option<Value> {
    serde_json::from_str(key.strip_prefix("k:")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that `expected` is the part of `value` that `fields` contains.
    #[track_caller]
    fn check_owned_part(value: &Value, fields: &Value, expected: Option<&Value>) {
        assert_eq!(owned_part(value, fields).as_ref(), expected);
    }

    #[test]
    fn owned_part_contains_fields_items_and_atomic_values() {
        check_owned_part(&json!({"a": {"b": 1}, "c": 2}), &json!({"f:a": {}}), Some(&json!({"a": {"b": 1}})));
        check_owned_part(&json!({"a": {"b": 1}}), &json!({"f:a": {".": {}}}), Some(&json!({"a": {}})));
        check_owned_part(&json!({"a": 1}), &json!({"f:missing": {}}), Some(&json!({})));
        check_owned_part(&json!(1), &json!({"f:a": {}}), None);
        let ports = json!([{"port": 1, "protocol": "TCP", "name": "a"}, {"port": 2, "protocol": "TCP"}]);
        let by_key = json!({r#"k:{"port":1,"protocol":"TCP"}"#: {".": {}, "f:port": {}}, "k:[]": {}});
        check_owned_part(&ports, &by_key, Some(&json!([{"port": 1, "protocol": "TCP"}])));
        check_owned_part(&json!(["a", "b"]), &json!({"v:\"b\"": {}, "v:broken": {}}), Some(&json!(["b"])));
        check_owned_part(&json!([5, 6]), &json!({"i:1": {}, "é": {}}), Some(&json!([6])));
    }

    #[test]
    fn the_entry_is_selected_by_manager_operation_and_subresource() {
        let entry = |operation: &str, subresource: &str, field: &str| json!({"manager": "m", "operation": operation, "subresource": subresource, "fieldsV1": {field: {}}});
        let mut object = json!({
            "metadata": {"name": "a", "namespace": "n"}, "spec": {"a": 1}, "status": {"b": 2}, "data": 3,
        });
        object["metadata"]["managedFields"] = json!([
            3,
            entry("Update", "", "f:data"),
            entry("Apply", "status", "f:status"),
            entry("Apply", "", "f:spec"),
        ]);
        let metadata = json!({"name": "a", "namespace": "n"});
        assert_eq!(applied_fields(&object, "m", None), Some(json!({"metadata": metadata, "spec": {"a": 1}})));
        let status = Some(json!({"metadata": metadata, "status": {"b": 2}}));
        assert_eq!(applied_fields(&object, "m", Some("status")), status);
        assert_eq!(applied_fields(&object, "m", Some("scale")), None);
    }
}
