//! `Entries`: a map from each value in an index to the objects that have this value. The entries must not
//! refer to packed objects: a reference would keep the old page of an object in memory after the object moves
//! to another page.

use crate::reflector::object_map::{Keyed, ObjectMap};
use crate::watcher::Storable;
use foldhash::HashMap;
use std::sync::Arc;

/// An object of an index, or the key of the object.
pub(super) enum ObjectOrKey<K> {
    /// An object of a typed store.
    Object(Arc<K>),
    /// The namespace and the name of an object in a compact store.
    Key(Arc<(String, String)>),
}

impl<K> ObjectOrKey<K> {
    /// The key of an object in a compact store.
    pub(super) fn from_key((namespace, name): (&str, &str)) -> Self {
        Self::Key(Arc::new((namespace.to_owned(), name.to_owned())))
    }
}

impl<K> Clone for ObjectOrKey<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Object(object) => Self::Object(object.clone()),
            Self::Key(key) => Self::Key(key.clone()),
        }
    }
}

impl<K: Storable> Keyed for ObjectOrKey<K> {
    fn key(&self) -> (&str, &str) {
        match self {
            Self::Object(object) => object.key(),
            Self::Key(key) => (&key.0, &key.1),
        }
    }
}

/// An object and the values under which it is found.
struct ObjectValues<K> {
    object: ObjectOrKey<K>,
    values: Vec<Arc<str>>,
}

impl<K: Storable> Keyed for ObjectValues<K> {
    fn key(&self) -> (&str, &str) {
        self.object.key()
    }
}

/// The objects of an index, by value.
pub(super) struct Entries<K> {
    /// The objects of each value: at least one object for each value.
    by_value: HashMap<Arc<str>, ObjectMap<ObjectOrKey<K>>>,
    /// The objects that have values.
    indexed: ObjectMap<ObjectValues<K>>,
}

impl<K> Default for Entries<K> {
    fn default() -> Self {
        Self { by_value: HashMap::default(), indexed: ObjectMap::default() }
    }
}

impl<K> Entries<K> {
    /// The objects with this value.
    pub(super) fn get(&self, value: &str) -> Option<&ObjectMap<ObjectOrKey<K>>> {
        self.by_value.get(value)
    }

    /// The values that at least one object has.
    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.by_value.keys()
    }

    /// The number of objects that have values.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.indexed.len()
    }

    /// Returns `value` as a shared string. Reuses the existing string if an object already has this value.
    fn intern(&self, value: String) -> Arc<str> {
        match self.by_value.get_key_value(&*value) {
            Some((known, _)) => known.clone(),
            None => value.into(),
        }
    }
}

impl<K: Storable> Entries<K> {
    /// Removes the previous object with the key of `object`, and the values of the previous object. Then adds `object`
    /// with `values`, unless `values` is empty.
    pub(super) fn replace_object(&mut self, object: ObjectOrKey<K>, values: Vec<String>) {
        let values: Vec<_> = values.into_iter().map(|value| self.intern(value)).collect();
        let previous = self.indexed.remove(object.key()).map(|previous| previous.values).unwrap_or_default();
        for value in &previous {
            if let Some(objects) = self.by_value.get_mut(value) {
                objects.remove(object.key());
            }
        }
        for value in &values {
            self.by_value.entry(value.clone()).or_default().insert(object.clone());
        }
        for value in &previous {
            if self.by_value.get(value).is_some_and(|objects| objects.len() == 0) {
                self.by_value.remove(value);
            }
        }
        if !values.is_empty() {
            self.indexed.insert(ObjectValues { object, values });
        }
    }
}
