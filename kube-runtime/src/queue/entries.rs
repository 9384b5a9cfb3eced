//! `Entries`: a map from keys to values. A key has the same [`Slot`] from its insertion to its removal. Other structures
//! refer to a key by its slot, so that they neither copy nor hash the key.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::{BuildHasher, Hash};

/// The index of a key in [`Entries`].
pub(super) type Slot = usize;

/// A map from keys to values.
pub(super) struct Entries<K, V> {
    slab: Slab<SlabEntry<K, V>>,
    by_key: HashTable<Slot>,
    hasher: RandomState,
}

/// The hash of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash(u64);

/// A key, its value and its hash. The table uses this hash when it grows, and does not hash the key again.
struct SlabEntry<K, V> {
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

    /// The slot of `key`; `None` if the map does not contain the key. `hash` must be the hash of `key`.
    pub(super) fn find(&self, hash: KeyHash, key: &K) -> Option<Slot> {
        self.by_key.find(hash.0, |&slot| self.slab[slot].key == *key).copied()
    }

    /// Inserts a key that is not in the map, with the value that `value` returns for the slot of the key.
    pub(super) fn insert(&mut self, hash: KeyHash, key: K, value: impl FnOnce(Slot) -> V) {
        let vacant = self.slab.vacant_entry();
        let slot = vacant.key();
        vacant.insert(SlabEntry { hash, key, value: value(slot) });
        self.by_key.insert_unique(hash.0, slot, |&slot| self.slab[slot].hash.0);
    }

    /// The key and the value in a slot.
    ///
    /// # Panics
    /// If the slot has no key. The other methods that take a slot panic, too.
    pub(super) fn get_mut(&mut self, slot: Slot) -> (&K, &mut V) {
        let SlabEntry { key, value, .. } = &mut self.slab[slot];
        (key, value)
    }

    pub(super) fn key(&self, slot: Slot) -> &K {
        &self.slab[slot].key
    }

    /// Removes the key in a slot.
    pub(super) fn remove(&mut self, slot: Slot) {
        let SlabEntry { hash, .. } = self.slab.remove(slot);
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
