//! Accessors of objects for all controllers: metadata, conditions, owners and times.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::{Clock, format_seconds};
use crate::store::object::key;
use crate::store::selector::Labels;
use crate::store::{State, StorageKey};

pub(super) const PODS: &str = "/pods";
pub(super) const NODES: &str = "/nodes";
pub(super) const REPLICA_SETS: &str = "apps/replicasets";
pub(super) const DEPLOYMENTS: &str = "apps/deployments";

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(super) fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

pub(super) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

pub(super) fn labels(object: &Value) -> Labels {
    Labels::of(&object["metadata"])
}

pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][name].as_str()
}

pub(super) fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The integer in a field; 0 if the field is absent or contains no integer.
pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// The storage key of an object in the table `storage`.
pub(super) fn storage_key_in(storage: &str, object: &Value) -> StorageKey {
    (Arc::from(storage), key(namespace(object), name(object)))
}

/// The objects of the table `storage` in `namespace`, or in all namespaces if `namespace` is empty.
pub(super) fn list(state: &State, storage: &str, namespace: &str) -> Vec<Value> {
    let table = state.table(storage);
    table.map(|table| table.objects(namespace)).unwrap_or_default().iter().map(|o| o.value()).collect()
}

/// The object with this namespace and name in the table `storage`.
pub(super) fn find(state: &State, storage: &str, namespace: &str, name: &str) -> Option<Value> {
    state.get(storage, &key(namespace, name)).map(|object| object.value())
}

/// The owner reference to the controller of the object.
pub(super) fn controller_of(object: &Value) -> Option<&Value> {
    let mut owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.find(|owner| owner["controller"] == true)
}

/// Whether `owner` is the controller of the object.
pub(super) fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    controller_of(object).is_some_and(|controller| controller["uid"] == owner["metadata"]["uid"])
}

/// The condition with the type `kind` in the status of the object.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind)
}

/// Whether the condition with the type `kind` has the status `True`.
pub(super) fn is_condition_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Sets a condition in a list. `lastTransitionTime` remains if the status does not change. Returns whether the
/// condition has changed.
pub(super) fn set_condition(conditions: &mut Value, mut condition: Value, now: &str) -> bool {
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return false };
    let old = list.iter().position(|old| old["type"] == condition["type"]);
    condition["lastTransitionTime"] = match old.map(|at| &list[at]) {
        Some(old) if old["status"] == condition["status"] => old["lastTransitionTime"].clone(),
        _ => now.into(),
    };
    match old {
        Some(at) if list[at] == condition => return false,
        Some(at) => list[at] = condition,
        None => list.push(condition),
    }
    true
}

/// The timestamp in a field; `None` if the field is absent or contains no timestamp.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// The duration from now until the timestamp `from + after`; zero if this timestamp is in the past. If `from`
/// is in the future, returns `after`.
pub(super) fn remaining_time(clock: &Clock, from: Timestamp, after: Duration) -> Duration {
    let passed = clock.now().duration_since(from);
    let passed = Duration::try_from(passed).unwrap_or(Duration::ZERO);
    after.saturating_sub(passed)
}

/// The duration in a field that contains a number of seconds; zero if the field is absent or negative.
pub(super) fn seconds(value: &Value) -> Duration {
    Duration::from_secs(u64::try_from(number(value)).unwrap_or(0))
}

/// Formats a time as `metav1.Time`.
pub(super) fn format_time(at: Timestamp) -> Value {
    format_seconds(at).into()
}

/// The value of a field that contains an integer, or a percentage of `total` (`intstr.GetScaledValueFromIntOrPercent`).
/// The result for a percentage is rounded up if `rounds_up` is true, and down otherwise.
pub(super) fn scaled_value(value: &Value, total: i64, rounds_up: bool) -> i64 {
    let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse::<i64>().ok());
    match percent {
        Some(percent) if rounds_up => percent.saturating_mul(total).saturating_add(99).div_euclid(100),
        Some(percent) => percent.saturating_mul(total).div_euclid(100),
        None => number(value),
    }
}

/// A deterministic hash of a value, encoded in characters that names may contain (`rand.SafeEncodeString`).
pub(super) fn hash(value: &Value, salt: Option<i64>) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut text = value.to_string();
    if let Some(salt) = salt {
        text.push_str(&salt.to_string());
    }
    let fnv =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    fnv.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}
