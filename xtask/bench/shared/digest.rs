//! What objects are compared by: a sum that does not depend on their order, nor on how a library writes them.
//!
//! The load source, and every contender that is written in Rust, use this very file; the contender that is written in Go has
//! the same in Go. `metadata.managedFields`, which a store may drop, does not count; nor do `null`s and the type of an
//! object, which some libraries always write and others never.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How many objects, and the sum of their hashes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest {
    /// How many objects went in.
    pub(crate) count: u64,
    /// The sum, which wraps around.
    pub(crate) sum: u64,
}

impl Digest {
    /// Takes in an object.
    pub(crate) fn add(&mut self, object: Value) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash(canonical(object).to_string().as_bytes()));
    }

    /// Takes in what another digest has.
    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// The five fields that the incomplete struct of the bench names, and who the object is.
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

/// An object without what does not count.
fn canonical(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    drop_nulls(&mut object);
    object
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// FNV-1a: a few lines in any language.
fn hash(text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
