//! `ObjectMap`: a map of objects by namespace and name.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// A value that contains its key.
pub(super) trait Keyed {
    /// Namespace and name. The namespace of a cluster-scoped object is empty.
    fn key(&self) -> (&str, &str);
}

/// A map of objects of one kind. It stores no keys: the objects contain them.
#[derive(Debug)]
pub(super) struct ObjectMap<T> {
    table: HashTable<T>,
    hasher: RandomState,
}

impl<T> Default for ObjectMap<T> {
    fn default() -> Self {
        Self { table: HashTable::new(), hasher: RandomState::default() }
    }
}

impl<T> ObjectMap<T> {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.table.iter()
    }

    /// Returns the first match among the objects whose keys may have this [`hash`](Self::hash).
    pub(super) fn find(&self, hash: u64, is_match: impl Fn(&T) -> bool) -> Option<&T> {
        self.table.find(hash, is_match)
    }

    /// The hash of a key in this map. Another map has another hash for the same key.
    pub(super) fn hash(&self, key: (&str, &str)) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.table.into_iter()
    }
}

impl<T: Keyed> ObjectMap<T> {
    pub(super) fn get(&self, key: (&str, &str)) -> Option<&T> {
        self.table.find(self.hasher.hash_one(key), |object| object.key() == key)
    }

    /// The object with this key. The caller may replace it only by an object with the same key.
    pub(super) fn get_mut(&mut self, key: (&str, &str)) -> Option<&mut T> {
        self.table.find_mut(self.hasher.hash_one(key), |object| object.key() == key)
    }

    /// Inserts an object. Returns the previous object with this key.
    pub(super) fn insert(&mut self, object: T) -> Option<T> {
        let Self { table, hasher } = self;
        let key = object.key();
        let hash = hasher.hash_one(key);
        if let Some(slot) = table.find_mut(hash, |known| known.key() == key) {
            return Some(std::mem::replace(slot, object));
        }
        table.insert_unique(hash, object, |known| hasher.hash_one(known.key()));
        None
    }

    pub(super) fn remove(&mut self, key: (&str, &str)) -> Option<T> {
        let Self { table, hasher } = self;
        let found = table.find_entry(hasher.hash_one(key), |object| object.key() == key).ok()?;
        let removed = found.remove().0;
        // Shrink the table only if it is almost empty, to avoid repeated reallocation.
        if table.capacity() > 64 && table.len() < table.capacity() / 8 {
            table.shrink_to(2 * table.len(), |known| hasher.hash_one(known.key()));
        }
        Some(removed)
    }

    /// The objects whose keys are not in `other`.
    pub(super) fn missing_from(self, other: &Self) -> Vec<T> {
        self.table.into_iter().filter(|object| other.get(object.key()).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test value: namespace, name and content.
    #[derive(Debug, PartialEq)]
    struct Item(&'static str, String, u8);

    impl Keyed for Item {
        fn key(&self) -> (&str, &str) {
            (self.0, &self.1)
        }
    }

    fn item(namespace: &'static str, name: &str, value: u8) -> Item {
        Item(namespace, name.to_owned(), value)
    }

    #[test]
    fn the_map_stores_one_object_per_key() {
        let mut objects = ObjectMap::default();
        assert_eq!(objects.insert(item("a", "x", 1)), None);
        assert_eq!(objects.insert(item("a", "x", 2)), Some(item("a", "x", 1)));
        objects.insert(item("", "x", 3));
        assert_eq!((objects.len(), objects.iter().count()), (2, 2));
        assert_eq!(objects.get(("", "x")), Some(&item("", "x", 3)));
        assert_eq!(objects.remove(("a", "x")), Some(item("a", "x", 2)));
        assert_eq!(objects.remove(("a", "x")), None);
        assert_eq!((objects.len(), objects.get(("a", "x"))), (1, None));
    }

    #[test]
    fn removing_many_objects_frees_capacity() {
        let mut objects = ObjectMap::default();
        for n in 0..10_000 {
            objects.insert(item("a", &n.to_string(), 0));
        }
        for n in 0..9_990 {
            assert!(objects.remove(("a", &n.to_string())).is_some());
        }
        assert!(objects.table.capacity() < 200, "room for {}", objects.table.capacity());
        assert_eq!(objects.len(), 10);
        for n in 9_990..10_000 {
            assert!(objects.get(("a", &n.to_string())).is_some());
        }
    }

    #[test]
    fn missing_from_returns_the_objects_that_another_map_lacks() {
        let set = |places: &[(&'static str, &str)]| {
            let mut objects = ObjectMap::default();
            for (namespace, name) in places {
                objects.insert(item(namespace, name, 0));
            }
            objects
        };
        let missing =
            set(&[("a", "x"), ("a", "y"), ("b", "x")]).missing_from(&set(&[("a", "y"), ("c", "x")]));
        let mut missing: Vec<_> = missing.iter().map(Keyed::key).collect();
        missing.sort_unstable();
        assert_eq!(missing, [("a", "x"), ("b", "x")]);
    }
}
