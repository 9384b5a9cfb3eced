//! Decoded values of objects that many requests read, such as limit ranges and classes.
//!
//! A value uses several times the memory of the stored JSON, so the cache must stay bounded: it contains only the latest
//! version of an object, and at most [`LIMIT`] bytes of JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::State;
use super::object::Stored;

/// The maximum size of all objects in the cache in bytes of JSON.
const LIMIT: usize = 4 << 20;

/// The cache.
#[derive(Debug, Default)]
pub(super) struct DecodedValues(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// The objects and their values, by the uid of the object.
    values: BTreeMap<Arc<str>, (Arc<Stored>, Arc<Value>)>,
    /// The size of all objects in bytes of JSON.
    bytes: usize,
}

impl Entries {
    /// The value of `object`; `None` if the cache does not have it, or has another version of the object.
    fn get(&self, object: &Arc<Stored>) -> Option<&Arc<Value>> {
        let (stored, value) = self.values.get(&object.uid)?;
        Arc::ptr_eq(stored, object).then_some(value)
    }

    /// Adds a value in place of that of another version. If the cache becomes too large, removes all other values.
    fn add(&mut self, object: &Arc<Stored>, value: Arc<Value>) {
        if object.len() > LIMIT {
            return;
        }
        if let Some((replaced, _)) = self.values.remove(&object.uid) {
            self.bytes -= replaced.len();
        }
        if self.bytes + object.len() > LIMIT {
            *self = Self::default();
        }
        self.bytes += object.len();
        self.values.insert(object.uid.clone(), (object.clone(), value));
    }
}

impl State {
    /// The object without `apiVersion` and `kind`. It is decoded only once as long as the cache has it, so that only
    /// objects that many requests read should be read with this method.
    pub(crate) fn decoded(&self, object: &Arc<Stored>) -> Arc<Value> {
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
    use crate::store::object::decodes;

    fn state() -> State {
        State::new(Clock::fixed("2026-01-02T03:04:05Z".parse().unwrap()), 100)
    }

    fn object(uid: &str, version: u64, text: &str) -> Arc<Stored> {
        let value = json!({"metadata": {"uid": uid}, "text": text});
        Arc::new(Stored::new(Arc::from(uid), version, Arc::default(), value))
    }

    /// The number of values in the cache, and the size of their objects.
    fn size(state: &State) -> (usize, usize) {
        let entries = state.decoded.0.lock().unwrap();
        (entries.values.len(), entries.bytes)
    }

    #[test]
    fn only_the_latest_version_of_an_object_stays_decoded() {
        let state = state();
        let [first, second] = ["a", "b"].map(|text| object("x", 1, text));
        let before = decodes();
        assert_eq!(state.decoded(&first)["text"], "a");
        assert_eq!(state.decoded(&first)["text"], "a");
        assert_eq!(decodes() - before, 1);
        // After a rewind, another object can have the same uid and version.
        assert_eq!(state.decoded(&second)["text"], "b");
        assert_eq!(size(&state), (1, second.len()));
    }

    #[test]
    fn the_cache_is_bounded() {
        let state = state();
        let text = "x".repeat(LIMIT / 3);
        for uid in ["a", "b", "c", "d"] {
            state.decoded(&object(uid, 1, &text));
            assert!(size(&state).1 <= LIMIT);
        }
        let (count, bytes) = size(&state);
        assert_eq!(count, 2);
        let large = object("large", 1, &"x".repeat(LIMIT));
        assert_eq!(state.decoded(&large)["text"].as_str().map(str::len), Some(LIMIT));
        assert_eq!(size(&state), (count, bytes));
    }
}
