//! Replaces the values that differ in each run, such as uids and times. The keys and the types stay comparable.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// The keys whose values differ in each run. The values of these keys are masked at any depth of a body.
const VOLATILE_KEYS: [&str; 17] = [
    "username",
    "uid",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
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

/// Masks the values of a body that differ in each run, and the values at the JSON pointers `pointers`. Sorts the entries
/// of each `managedFields`.
pub(crate) fn mask_body(body: &mut Value, pointers: &[String]) {
    for pointer in pointers {
        if let Some(value) = body.pointer_mut(pointer) {
            hide(value);
        }
    }
    mask_volatile_fields(body);
    mask_cells(body);
    mask_texts(body);
    sort_managed_fields(body);
}

/// A key in the field `extra` of a `UserInfo`. The value of this key identifies the credential of the user.
const CREDENTIAL_ID_KEY: &str = "authentication.kubernetes.io/credential-id";

/// The table columns whose cells differ in each run: times, durations, allocated addresses and the name of the user.
const VOLATILE_COLUMNS: [&str; 7] =
    ["Age", "Cluster-IP", "Created At", "Duration", "First Seen", "Last Seen", "Requestor"];

/// Masks the cells in the [volatile columns](VOLATILE_COLUMNS) of each `Table`, except cells such as `<none>`.
fn mask_cells(value: &mut Value) {
    let Some(columns) = value["columnDefinitions"].as_array() else {
        let children: Box<dyn Iterator<Item = &mut Value>> = match value {
            Value::Object(map) => Box::new(map.values_mut()),
            Value::Array(items) => Box::new(items.iter_mut()),
            _ => return,
        };
        return children.for_each(mask_cells);
    };
    let names: Vec<Value> = columns.iter().map(|column| column["name"].clone()).collect();
    for row in value["rows"].as_array_mut().into_iter().flatten() {
        for (cell, name) in row["cells"].as_array_mut().into_iter().flatten().zip(&names) {
            let is_absent = matches!(cell.as_str(), Some("<none>" | "<unknown>" | "None"));
            if !is_absent && VOLATILE_COLUMNS.iter().any(|column| name == column) {
                hide(cell);
            }
        }
    }
}

/// Masks those parts of each string that differ in each run: uids, times, the current resource version, the hashes in
/// OpenAPI paths, and printed objects.
pub(crate) fn mask_texts(value: &mut Value) {
    static PATTERNS: LazyLock<[(Regex, &str); 6]> = LazyLock::new(|| {
        #[expect(clippy::expect_used, reason = "the patterns are constants, and every run compiles them")]
        let pattern = |text| Regex::new(text).expect("the pattern is valid");
        [
            (pattern("patch: Invalid value: \"\\{.*\\}\""), "patch: Invalid value: (object)"),
            (pattern("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "(uid)"),
            (pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?Z"), "(time)"),
            (pattern("current: [0-9]+"), "current: (number)"),
            // The API server prints the invalid object as a Go struct.
            (pattern("Invalid value: (\\[?)\\{.*\\}(\\]?): "), "Invalid value: (object): "),
            (pattern("\\?hash=[0-9A-F]+"), "?hash=(hash)"),
        ]
    });
    match value {
        Value::String(text) => {
            for (pattern, replacement) in &*PATTERNS {
                if pattern.is_match(text) {
                    *text = pattern.replace_all(text, *replacement).into_owned();
                }
            }
        }
        Value::Object(map) => {
            // If a patched object cannot be decoded, the response has a cause with the field `patch`. The message of this
            // cause contains the patched object. With the prefix `patch: `, the message matches the first pattern.
            if map.get("field").is_some_and(|field| field == "patch")
                && let Some(Value::String(text)) = map.get_mut("message")
            {
                *text = format!("patch: {text}");
            }
            map.values_mut().for_each(mask_texts);
        }
        Value::Array(items) => items.iter_mut().for_each(mask_texts),
        _ => {}
    }
}

/// Sorts the entries of each `managedFields` by manager, operation and subresource. The API server sorts the
/// entries by time. Two entries may have the same time by chance, so the server's order can differ in each
/// run.
fn sort_managed_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(entries)) = map.get_mut("managedFields") {
                let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                entries
                    .sort_by_key(|entry| ["manager", "operation", "subresource"].map(|key| text(entry, key)));
            }
            map.values_mut().for_each(sort_managed_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(sort_managed_fields),
        _ => {}
    }
}

/// Masks the values of the [volatile keys](VOLATILE_KEYS) at any depth. Removes each `extra` that has the key
/// [`CREDENTIAL_ID_KEY`].
fn mask_volatile_fields(value: &mut Value) {
    match value {
        Value::Object(map) => {
            // The two servers authenticate clients in different ways, so the ids of the credentials are not comparable.
            map.retain(|key, value| key != "extra" || value.get(CREDENTIAL_ID_KEY).is_none());
            for (key, value) in map {
                if VOLATILE_KEYS.contains(&key.as_str()) { hide(value) } else { mask_volatile_fields(value) }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask_volatile_fields),
        _ => {}
    }
}

/// Replaces each string and number in `value` with the name of its type. Keeps empty strings, booleans and null, which
/// are the same in each run.
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
    fn masking_keeps_types_nulls_and_empty_strings() {
        let mut body =
            json!({"metadata": {"uid": "a", "name": "n", "creationTimestamp": null}, "continue": ""});
        mask_body(&mut body, &["/metadata/name".to_owned()]);
        let masked = json!({"metadata": {"uid": "(string)", "name": "(string)", "creationTimestamp": null}, "continue": ""});
        assert_eq!(body, masked);
    }
}
