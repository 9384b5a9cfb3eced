//! A cache of the decoded values of objects that many requests read, such as limit ranges and storage classes.
//!
//! A value uses several times the memory of the stored JSON, so the cache must stay bounded. The cache contains at most
//! one version of each object: the last decoded version that is not larger than [`MAX_CACHE_SIZE`]. The total size of the
//! objects in the cache is at most [`MAX_CACHE_SIZE`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::State;
use super::object::StoredObject;

/// The maximum total size of the objects in the cache, in bytes of JSON.
const MAX_CACHE_SIZE: usize = 4 << 20;

/// The cache of decoded values.
#[derive(Debug, Default)]
pub(super) struct DecodedValues(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The objects and their values, by the uid of the object.
    values: BTreeMap<Arc<str>, (Arc<StoredObject>, Arc<Value>)>,
    /// The total size of the objects, in bytes of JSON.
    bytes: usize,
}

impl Entries {
    /// The value of `object`; `None` if the cache does not have it, or has another version of the object.
    fn get(&self, object: &Arc<StoredObject>) -> Option<&Arc<Value>> {
        let (stored, value) = self.values.get(&object.uid)?;
        Arc::ptr_eq(stored, object).then_some(value)
    }

    /// Adds the value of an object in place of the value of another version. If the cache would become too large, removes
    /// all other values. Does nothing if the object alone is larger than [`MAX_CACHE_SIZE`].
    fn add(&mut self, object: &Arc<StoredObject>, value: Arc<Value>) {
        if object.len() > MAX_CACHE_SIZE {
            return;
        }
        if let Some((replaced, _)) = self.values.remove(&object.uid) {
            self.bytes -= replaced.len();
        }
        if self.bytes + object.len() > MAX_CACHE_SIZE {
            *self = Self::default();
        }
        self.bytes += object.len();
        self.values.insert(object.uid.clone(), (object.clone(), value));
    }
}

impl State {
    /// The value of an object. The value does not contain `apiVersion` and `kind`. The object is decoded
    /// only if the cache does not have the value. Use this method only for objects that many requests read:
    /// values of other objects would fill the cache.
    pub(crate) fn decoded_value(&self, object: &Arc<StoredObject>) -> Arc<Value> {
        let mut entries = self.decoded.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = entries.get(object) {
            return value.clone();
        }
        let value = Arc::new(object.value());
        entries.add(object, value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::store::object::decode_count;

    fn state() -> State {
        State::new(Clock::starting_at("2026-01-02T03:04:05Z".parse().unwrap()), 100)
    }

    fn object(uid: &str, version: u64, text: &str) -> Arc<StoredObject> {
        let value = json!({"metadata": {"uid": uid}, "text": text});
        Arc::new(StoredObject::new(Arc::from(uid), version, Arc::default(), value))
    }

    /// The number of values in the cache, and the size of their objects.
    fn count_and_size(state: &State) -> (usize, usize) {
        let entries = state.decoded.0.lock().unwrap();
        (entries.values.len(), entries.bytes)
    }

    #[test]
    fn only_the_last_decoded_version_of_an_object_is_kept() {
        let state = state();
        let [first, second] = ["a", "b"].map(|text| object("x", 1, text));
        let before = decode_count();
        assert_eq!(state.decoded_value(&first)["text"], "a");
        assert_eq!(state.decoded_value(&first)["text"], "a");
        assert_eq!(decode_count() - before, 1);
        // After a rewind, another state of the object can have the same version.
        assert_eq!(state.decoded_value(&second)["text"], "b");
        assert_eq!(count_and_size(&state), (1, second.len()));
    }

    #[test]
    fn the_cache_is_bounded() {
        let state = state();
        let text = "x".repeat(MAX_CACHE_SIZE / 3);
        for uid in ["a", "b", "c", "d"] {
            state.decoded_value(&object(uid, 1, &text));
            assert!(count_and_size(&state).1 <= MAX_CACHE_SIZE);
        }
        let (count, bytes) = count_and_size(&state);
        assert_eq!(count, 2);
        let large = object("large", 1, &"x".repeat(MAX_CACHE_SIZE));
        assert_eq!(state.decoded_value(&large)["text"].as_str().map(str::len), Some(MAX_CACHE_SIZE));
        assert_eq!(count_and_size(&state), (count, bytes));
    }
}
