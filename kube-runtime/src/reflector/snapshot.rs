//! `Snapshot`: the objects of a snapshot in progress. `ContentSwap`: the differences between a complete
//! snapshot and the content of the store that the snapshot replaces.
//!
//! The readers of a store read the current content from the readers' map (see `store`). This module must not
//! modify the readers' map; only `writer` does.

use super::change::{CompactDelta, DeltaIter};
use super::codec::Codec;
use super::delta::{Cause, Delta};
use super::object_map::{Keyed, ObjectMap};
use super::stored_object::StoredObject;
use crate::watcher::Storable;
use foldhash::{HashMap, HashSet};
use std::sync::Arc;

/// Namespace and name.
pub(super) type OwnedKey = (String, String);

/// Namespace and name, as owned strings.
pub(super) fn owned_key((namespace, name): (&str, &str)) -> OwnedKey {
    (namespace.to_owned(), name.to_owned())
}

/// The deletions that were emitted before the snapshot was complete, while the readers' map still contained the objects.
/// The value for each key is the final state of the object, if the server reported the state.
pub(super) type EmittedDeletions<K> = HashMap<OwnedKey, Option<StoredObject<K>>>;

/// An object of a snapshot in progress.
pub(super) enum ListedObject<K> {
    Typed(Arc<K>),
    /// The hash of a packed object's key in [`Snapshot::objects`], and the hash of its uid and resource version.
    ///
    /// The entry has no reference to the object: after the object moves to another page, the reference would keep
    /// the old page in memory. The entry has no copy of the key: the copies would be short-lived allocations
    /// between the long-lived pages, and would fragment the heap.
    Packed {
        key_hash: u64,
        identity: u64,
    },
}

impl<K: Storable> ListedObject<K> {
    /// The element of [`Snapshot::listed`] for `stored`, an object of the new map `objects`.
    pub(super) fn of(stored: &StoredObject<K>, objects: &ObjectMap<StoredObject<K>>) -> Self {
        match stored {
            StoredObject::Typed(object) => Self::Typed(object.clone()),
            StoredObject::Packed(packed) => {
                Self::Packed { key_hash: objects.hash(packed.key()), identity: packed.encoded().identity }
            }
        }
    }

    /// Returns the object. Looks up a packed object in the new map `objects`; `None` if the map does not contain this
    /// state of the object.
    fn find_in(self, objects: &ObjectMap<StoredObject<K>>) -> Option<StoredObject<K>> {
        match self {
            Self::Typed(object) => Some(StoredObject::Typed(object)),
            Self::Packed { key_hash, identity } => {
                let is_listed = |stored: &StoredObject<K>| match stored {
                    StoredObject::Packed(packed) => {
                        packed.encoded().identity == identity && objects.hash(packed.key()) == key_hash
                    }
                    StoredObject::Typed(_) => false,
                };
                objects.find(key_hash, is_listed).cloned()
            }
        }
    }
}

/// A snapshot in progress.
pub(super) struct Snapshot<K> {
    /// The new map, which replaces the readers' map when the snapshot is complete.
    pub(super) objects: ObjectMap<StoredObject<K>>,
    /// The new and the changed objects: the readers' map does not contain such an object, or contains another
    /// state of it. The objects are in the order of the list. Empty if no consumer needs these objects.
    pub(super) listed: Vec<ListedObject<K>>,
    /// Whether an entry of `listed` may be outdated, because its object was deleted or listed again after the
    /// entry was added.
    pub(super) superseded: bool,
    /// The keys of the objects that were removed while this snapshot was in progress. If the server sends an
    /// undecodable object, the writer usually keeps the last state of the object in the snapshot. The writer
    /// does not do this for these keys: an object that the server sends after the removal is a new object.
    pub(super) deleted: HashSet<OwnedKey>,
    /// The keys of the objects that `listed` may contain several times. The entries of an object usually have
    /// different states. In a merged store, two entries may have the same state, if a part lags behind
    /// another part.
    pub(super) replaced: HashSet<OwnedKey>,
}

impl<K> Default for Snapshot<K> {
    fn default() -> Self {
        Self {
            objects: ObjectMap::default(),
            listed: Vec::new(),
            superseded: false,
            deleted: HashSet::default(),
            replaced: HashSet::default(),
        }
    }
}

/// The content before and after a complete snapshot.
pub(super) struct ContentSwap<'a, K> {
    pub(super) old: ObjectMap<StoredObject<K>>,
    pub(super) new: &'a ObjectMap<StoredObject<K>>,
    /// See [`Snapshot::listed`].
    pub(super) listed: Vec<ListedObject<K>>,
    pub(super) superseded: bool,
    /// See [`Snapshot::deleted`].
    pub(super) deleted: HashSet<OwnedKey>,
    /// See [`Snapshot::replaced`].
    pub(super) replaced: HashSet<OwnedKey>,
    pub(super) deletions: EmittedDeletions<K>,
    /// The cause of additions and modifications.
    pub(super) cause: Cause,
    pub(super) codec: Option<&'a Arc<Codec<K>>>,
}

impl<K: Storable> ContentSwap<'_, K> {
    /// The differences: additions, modifications and replacements in the order of `listed`, then deletions in the order
    /// of their keys.
    pub(super) fn deltas(mut self) -> DeltaIter<K> {
        let codec = self.codec.map(|codec| &**codec);
        let mut deltas = Vec::with_capacity(self.listed.len());
        let mut repeated = HashSet::default();
        for listed in std::mem::take(&mut self.listed) {
            let Some(new) = listed.find_in(self.new) else { continue };
            if self.superseded && self.new.get(new.key()).is_none_or(|current| !current.is_identical_to(&new))
            {
                continue;
            }
            // `listed` may contain an object twice: the object was added to `listed`, then it was removed or
            // got another state, and then it was added to `listed` again.
            if !(self.deleted.is_empty() && self.replaced.is_empty()) {
                let key = owned_key(new.key());
                if (self.deleted.contains(&key) || self.replaced.contains(&key)) && !repeated.insert(key) {
                    continue;
                }
            }
            let old = self.old.get(new.key()).cloned();
            let replaced = old.as_ref().is_some_and(|old| old.is_different_from(&new, codec));
            let old = if replaced {
                deltas.extend(old.map(|old| self.deletion(old)));
                None
            } else {
                old
            };
            deltas.push(match old {
                None => CompactDelta::Added(new),
                old => CompactDelta::Other(Box::new(Delta::new(old, Some(new), self.cause, self.codec))),
            });
        }
        let mut missing = std::mem::take(&mut self.old).missing_from(self.new);
        missing.sort_unstable_by(|one, other| one.key().cmp(&other.key()));
        deltas.extend(missing.into_iter().map(|old| self.deletion(old)));
        DeltaIter::of_snapshot(deltas, self.cause, self.codec)
    }

    /// The deletion of an object of the old content.
    fn deletion(&self, old: StoredObject<K>) -> CompactDelta<K> {
        let emitted =
            if self.deletions.is_empty() { None } else { self.deletions.get(&owned_key(old.key())) };
        let last = emitted.cloned().flatten();
        let cause = if last.is_some() { Cause::Relist } else { Cause::Vanished };
        let mut delta = Delta::new(Some(old), None, cause, self.codec).with_final_state(last);
        delta.was_emitted = emitted.is_some();
        CompactDelta::Other(Box::new(delta))
    }
}
