//! Replaces the values that differ in each run, such as uids and times. The keys and the types stay comparable.

use serde_json::Value;

/// The keys whose values differ in each run, anywhere in a body.
const VOLATILE: [&str; 14] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "time",
    "lastTransitionTime",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "healthCheckNodePort",
    "token",
    "expirationTimestamp",
    "continue",
    "remainingItemCount",
];

/// Masks the [volatile](VOLATILE) values of a body, and the values at the JSON pointers `pointers`.
pub(crate) fn mask(body: &mut Value, pointers: &[String]) {
    for pointer in pointers {
        if let Some(value) = body.pointer_mut(pointer) {
            hide(value);
        }
    }
    mask_keys(body);
    sort_managers(body);
}

/// Sorts the entries of each `managedFields` by manager, operation and subresource. The API server sorts them by time,
/// and the time of two entries is equal or not by chance.
fn sort_managers(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(entries)) = map.get_mut("managedFields") {
                let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                entries
                    .sort_by_key(|entry| ["manager", "operation", "subresource"].map(|key| text(entry, key)));
            }
            map.values_mut().for_each(sort_managers);
        }
        Value::Array(items) => items.iter_mut().for_each(sort_managers),
        _ => {}
    }
}

/// Masks the values of volatile keys at any depth.
fn mask_keys(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if VOLATILE.contains(&key.as_str()) { hide(value) } else { mask_keys(value) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_keys),
        _ => {}
    }
}

/// Replaces each scalar by the name of its type. Empty strings and null are kept: their presence is comparable.
fn hide(value: &mut Value) {
    let name = match value {
        Value::String(text) if !text.is_empty() => "(string)",
        Value::Number(_) => "(number)",
        Value::Array(items) => return items.iter_mut().for_each(hide),
        Value::Object(map) => return map.values_mut().for_each(hide),
        Value::String(_) | Value::Null | Value::Bool(_) => return,
    };
    *value = name.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn volatile_values_keep_their_presence_and_type() {
        let mut body =
            json!({"metadata": {"uid": "a", "name": "n", "creationTimestamp": null}, "continue": ""});
        mask(&mut body, &["/metadata/name".to_owned()]);
        let masked = json!({"metadata": {"uid": "(string)", "name": "(string)", "creationTimestamp": null}, "continue": ""});
        assert_eq!(body, masked);
    }
}
