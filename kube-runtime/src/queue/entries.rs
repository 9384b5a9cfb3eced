//! `Entries`: a map from keys to values. A key has the same [`Slot`] from its insertion to its removal, so that other
//! structures can refer to the slot: they neither copy nor hash the key.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::{BuildHasher, Hash};

/// The index of a key in [`Entries`].
pub(super) type Slot = usize;

/// Values by key.
pub(super) struct Entries<K, V> {
    slab: Slab<Stored<K, V>>,
    by_key: HashTable<Slot>,
    hasher: RandomState,
}

/// The hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash(u64);

/// A key with its value, and its hash, so that growth of the table does not hash the keys again.
struct Stored<K, V> {
    hash: KeyHash,
    key: K,
    value: V,
}

impl<K: Hash + Eq, V> Entries<K, V> {
    pub(super) fn new() -> Self {
        Self { slab: Slab::new(), by_key: HashTable::new(), hasher: RandomState::default() }
    }

    pub(super) fn hash(&self, key: &K) -> KeyHash {
        KeyHash(self.hasher.hash_one(key))
    }

    /// The slot of `key`, which has this hash; `None` if the map does not contain the key.
    pub(super) fn find(&self, hash: KeyHash, key: &K) -> Option<Slot> {
        self.by_key.find(hash.0, |&slot| self.slab[slot].key == *key).copied()
    }

    /// Inserts a key that is not in the map. `value` receives its slot.
    pub(super) fn insert(&mut self, hash: KeyHash, key: K, value: impl FnOnce(Slot) -> V) {
        let vacant = self.slab.vacant_entry();
        let slot = vacant.key();
        vacant.insert(Stored { hash, key, value: value(slot) });
        self.by_key.insert_unique(hash.0, slot, |&slot| self.slab[slot].hash.0);
    }

    /// The key and the value in a slot.
    ///
    /// # Panics
    /// If the slot has no key. The other methods that take a slot panic, too.
    pub(super) fn get_mut(&mut self, slot: Slot) -> (&K, &mut V) {
        let Stored { key, value, .. } = &mut self.slab[slot];
        (key, value)
    }

    pub(super) fn key(&self, slot: Slot) -> &K {
        &self.slab[slot].key
    }

    /// Removes the key in a slot.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Stored { hash, .. } = self.slab.remove(slot);
        if let Ok(known) = self.by_key.find_entry(hash.0, |&other| other == slot) {
            known.remove();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &K, &V)> {
        self.slab.iter().map(|(slot, stored)| (slot, &stored.key, &stored.value))
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// The number of keys for which the map has memory.
    pub(super) fn capacity(&self) -> usize {
        self.slab.capacity()
    }
}
