//! `Digest`: a hash of a set of objects, independent of their order and of a library's serialisation.
//!
//! The mock API server and the Rust contenders compile this file; `client-go/digest.go` computes the same digest in Go.
//! The digest ignores `metadata.managedFields`, which a store may drop. It also ignores `null`s, `apiVersion` and `kind`:
//! some libraries always write them, and others never do.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The number of objects and the sum of their hashes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest {
    /// The number of objects.
    pub(crate) count: u64,
    /// The wrapping sum of the hashes.
    pub(crate) sum: u64,
}

impl Digest {
    /// Adds an object.
    pub(crate) fn add_object(&mut self, object: Value) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(fnv1a(without_ignored_fields(object).to_string().as_bytes()));
    }

    /// Adds the objects of another digest.
    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// A copy of a pod with only its name, namespace, uid and resource version, and the five fields that the row
/// `store-incomplete` stores.
pub(crate) fn five_fields(pod: &Value) -> Value {
    let at = |pointer: &str| pod.pointer(pointer).cloned().unwrap_or_default();
    json!({
        "metadata": {
            "name": at("/metadata/name"),
            "namespace": at("/metadata/namespace"),
            "uid": at("/metadata/uid"),
            "resourceVersion": at("/metadata/resourceVersion"),
        },
        "spec": {"nodeName": at("/spec/nodeName"), "priority": at("/spec/priority")},
        "status": {"phase": at("/status/phase"), "podIP": at("/status/podIP"), "startTime": at("/status/startTime")},
    })
}

/// Removes the fields that the digest ignores.
fn without_ignored_fields(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    remove_nulls(&mut object);
    object
}

/// Removes the fields that are null, at every depth.
fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

/// The 64-bit FNV-1a hash. It is simple enough to implement in every contender's language.
fn fnv1a(text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
