//! `LruMap`: a map of bounded size that evicts the least recently used entry.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A map that knows the order in which its entries were used. Each operation takes logarithmic time, except for
/// `iter_mut`.
#[derive(Debug)]
pub(super) struct LruMap<K, V> {
    capacity: usize,
    /// The number of uses so far.
    uses: u64,
    /// The values, each with the number of its last use.
    entries: HashMap<K, (u64, V)>,
    /// The keys by the number of their last use.
    order: BTreeMap<u64, K>,
}

impl<K: Clone + Eq + Hash, V> LruMap<K, V> {
    /// A map of at most `capacity` entries, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), uses: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the value of the entry, and makes the entry the most recently used one.
    pub(super) fn touch(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(key)?;
        if let Some(key) = self.order.remove(used) {
            self.uses += 1;
            *used = self.uses;
            self.order.insert(self.uses, key);
        }
        Some(value)
    }

    /// Returns the value of the entry; the order of use remains the same.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// Adds an entry as the most recently used one. Returns the value that it replaces, or that of an entry that it
    /// evicts because the map is full.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let replaced = self.remove(&key);
        let evicted = if self.entries.len() >= self.capacity {
            self.order.pop_first().and_then(|(_, key)| self.entries.remove(&key)).map(|(_, value)| value)
        } else {
            None
        };
        self.uses += 1;
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key, (self.uses, value));
        replaced.or(evicted)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.order.remove(&used);
        Some(value)
    }

    /// All entries, in no particular order. The order of use remains the same.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, (_, value))| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evicts_the_least_recently_used_entry() {
        let mut map = LruMap::new(2);
        assert_eq!(map.insert("a", 1), None);
        assert_eq!(map.insert("b", 2), None);
        assert_eq!(map.touch(&"a"), Some(&mut 1));
        assert_eq!(map.insert("c", 3), Some(2));
        assert_eq!(map.get_mut(&"b"), None);
        assert_eq!(map.insert("c", 4), Some(3));
        assert_eq!((map.remove(&"a"), map.remove(&"a")), (Some(1), None));
        assert_eq!(map.insert("d", 5), None);
        assert_eq!((map.entries.len(), map.order.len()), (2, 2));
    }
}
