//! `Cache`: a cache of the objects that were recently read from a compact store.

use super::page::{Packed, WeakPacked};
use foldhash::quality::FixedState;
use std::{hash::BuildHasher, sync::Arc};

/// A direct-mapped cache of decoded objects.
pub(super) struct Cache<K> {
    slots: Vec<Option<(WeakPacked, Arc<K>)>>,
}

impl<K> Cache<K> {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| None).collect() }
    }

    /// The cache slot for the address of an object; `None` if the cache has no slots. The [`WeakPacked`] in a slot prevents
    /// the reuse of the address.
    fn slot(&mut self, packed: &Packed) -> Option<&mut Option<(WeakPacked, Arc<K>)>> {
        let count = self.slots.len();
        let key = FixedState::default().hash_one(packed.address());
        self.slots.get_mut(usize::try_from(key).unwrap_or(usize::MAX).checked_rem(count)?)
    }

    pub(super) fn get(&mut self, packed: &Packed) -> Option<Arc<K>> {
        let (known, object) = self.slot(packed)?.as_ref()?;
        known.refers_to(packed).then(|| object.clone())
    }

    pub(super) fn insert(&mut self, packed: &Packed, object: &Arc<K>) {
        if let Some(slot) = self.slot(packed) {
            *slot = Some((packed.downgrade(), object.clone()));
        }
    }
}
