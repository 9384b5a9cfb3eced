//! `Parts`: the keys and versions of the objects that each part of a merged store selects. `Parts` decides what the writer
//! applies. This module must not store objects, except for the changed objects of a relist in progress.

use crate::reflector::object_map::{Keyed, ObjectMap};
use crate::reflector::stored_object::StoredObject;
use crate::reflector::wire_object::WireObject;
use crate::watcher::Event;
use crate::watcher::Storable;
use foldhash::fast::FixedState;
use kube_client::core::{ObjectOrigin, UndecodableObject};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The parts of a merged store.
pub(super) struct Parts<K> {
    all: Vec<Part<K>>,
    /// Whether the writer has begun its first snapshot.
    has_begun: bool,
    /// Whether all parts have listed their objects once.
    is_synced: bool,
}

/// One part of a merged store: a collection that has a watch of its own.
struct Part<K> {
    /// The objects that the part selects.
    known: ObjectMap<ObjectVersion>,
    /// The list in progress.
    listing: Option<Listing<K>>,
    is_synced: bool,
    /// The parts that may select the same objects.
    overlaps: Vec<usize>,
}

/// A list in progress.
struct Listing<K> {
    seen: ObjectMap<ObjectVersion>,
    /// For a relist: the objects that were removed from `seen`. An object is removed if it was deleted, or if
    /// the list began again. The store may still contain such an object: if another part's relist ended while
    /// `seen` contained the object, that relist did not remove the object from the store. The end of this
    /// relist therefore removes the object from the store, unless a part still selects the object.
    withdrawn: ObjectMap<ObjectVersion>,
    /// For a relist: the listed objects that `known` does not contain, or contains with another uid or resource
    /// version. The writer applies them when the list is complete.
    changed: Vec<Arrival<K>>,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { seen: ObjectMap::default(), withdrawn: ObjectMap::default(), changed: Vec::new() }
    }
}

/// The key and the resource version of an object, and the hash of its uid.
#[derive(Debug, Clone)]
pub(super) struct ObjectVersion {
    namespace: Box<str>,
    name: Box<str>,
    uid_hash: Option<u64>,
    resource_version: Option<u64>,
}

impl ObjectVersion {
    fn of(object: &impl Storable) -> Self {
        let (namespace, name) = object.key();
        Self {
            namespace: namespace.into(),
            name: name.into(),
            uid_hash: object.uid().map(hash_of_uid),
            resource_version: resource_version_of(object),
        }
    }

    /// Whether this version and `other`, which has the same key, are the same version of one object.
    fn is_same_version(&self, other: &Self) -> bool {
        self.resource_version.is_some()
            && self.resource_version == other.resource_version
            && self.uid_hash == other.uid_hash
    }

    /// Namespace and name.
    pub(super) fn key(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl Keyed for ObjectVersion {
    fn key(&self) -> (&str, &str) {
        self.key()
    }
}

/// The resource version of an object as a number; `None` if it is not a number.
fn resource_version_of(object: &impl Storable) -> Option<u64> {
    object.version().and_then(|version| version.parse().ok())
}

/// The hash of a uid.
fn hash_of_uid(uid: &str) -> u64 {
    FixedState::default().hash_one(uid)
}

/// An object of an event, and its version.
#[derive(Debug)]
pub(super) struct Arrival<K> {
    version: ObjectVersion,
    object: StoredObject<K>,
}

impl<K> Arrival<K> {
    /// The arrival of a packed object.
    pub(super) fn from_wire(object: WireObject) -> Self {
        Self { version: ObjectVersion::of(&object), object: object.into_stored_object() }
    }

    pub(super) fn into_stored(self) -> StoredObject<K> {
        self.object
    }
}

impl<K: Storable> Arrival<K> {
    /// The arrival of a typed object.
    pub(super) fn from_typed(object: K) -> Self {
        Self { version: ObjectVersion::of(&object), object: StoredObject::Typed(Arc::new(object)) }
    }
}

/// The action of the writer after an event of a part.
pub(super) enum WriterAction<K> {
    Nothing,
    Apply(Event<Arrival<K>>),
    /// A part has completed a list while the first snapshot of the store was in progress. The writer drops
    /// the `vanished` objects, which the list does not contain. `is_complete` tells whether this list also
    /// completes the snapshot.
    Listed {
        vanished: Vec<ObjectVersion>,
        is_complete: bool,
    },
    /// A part has begun a relist: the store is not settled until the relist is complete.
    Relisting,
    /// The relist of a part is complete: the writer applies the `changed` objects and removes the `vanished` ones.
    Relisted {
        changed: Vec<Arrival<K>>,
        vanished: Vec<ObjectVersion>,
    },
}

impl<K> Parts<K> {
    /// One part for each element of `namespaces`; `None` stands for a part that selects objects of all namespaces.
    pub(super) fn new(namespaces: &[Option<String>]) -> Self {
        let overlaps = |part: usize| {
            let own = &namespaces[part];
            let others = namespaces.iter().enumerate().filter(|(other, _)| *other != part);
            others
                .filter(|(_, other)| own.is_none() || other.is_none() || own == *other)
                .map(|(at, _)| at)
                .collect()
        };
        let part = |at| Part {
            known: ObjectMap::default(),
            listing: None,
            is_synced: false,
            overlaps: overlaps(at),
        };
        let is_synced = namespaces.is_empty();
        Self { all: (0..namespaces.len()).map(part).collect(), has_begun: is_synced, is_synced }
    }

    /// Whether all parts have listed their objects once.
    #[cfg(test)]
    pub(super) fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// Whether no list is in progress.
    pub(super) fn is_settled(&self) -> bool {
        self.all.iter().all(|part| part.listing.is_none())
    }

    /// For each other part that knows the object with this key: the version of the object that the part knows.
    fn versions_in_other_parts<'a>(
        &'a self,
        part: usize,
        key: (&'a str, &'a str),
    ) -> impl Iterator<Item = &'a ObjectVersion> {
        self.all[part].overlaps.iter().filter_map(move |other| {
            let other = &self.all[*other];
            let listed = other.listing.as_ref().and_then(|listing| listing.seen.get(key));
            listed.or_else(|| other.known.get(key))
        })
    }

    /// Whether `version` is outdated: another part, whose watch is ahead, knows a later version of the object.
    fn is_outdated(&self, part: usize, version: &ObjectVersion) -> bool {
        let mut others = self.versions_in_other_parts(part, version.key());
        others.any(|other| other.resource_version > version.resource_version)
    }

    /// The objects of `before` that the complete list of `part` does not contain and that no other part selects.
    /// `before` contains the objects that `part` selected before the list was complete.
    fn vanished_objects(&self, part: usize, before: ObjectMap<ObjectVersion>) -> Vec<ObjectVersion> {
        let missing = before.missing_from(&self.all[part].known);
        missing
            .into_iter()
            .filter(|version| self.versions_in_other_parts(part, version.key()).next().is_none())
            .collect()
    }
}

impl<K> Parts<K> {
    /// Records an event of a part. Returns the action of the writer.
    pub(super) fn record_event(&mut self, part: usize, event: Event<Arrival<K>>) -> WriterAction<K> {
        match event {
            Event::Init => self.begin_list(part),
            Event::InitApply(object) => self.record_listed_object(part, object),
            Event::InitDone => self.end_list(part),
            Event::Apply(object) => {
                let version = object.version.clone();
                let is_outdated = self.is_outdated(part, &version);
                self.all[part].known.insert(version);
                if is_outdated {
                    WriterAction::Nothing
                } else if self.is_synced {
                    WriterAction::Apply(Event::Apply(object))
                } else {
                    // The snapshot of the store is in progress.
                    WriterAction::Apply(Event::InitApply(object))
                }
            }
            Event::Delete(object) => {
                if self.record_deletion(part, object.version.key()) {
                    WriterAction::Apply(Event::Delete(object))
                } else {
                    WriterAction::Nothing
                }
            }
        }
    }

    /// Records an object that does not decode. Returns `true` if the object comes from a `DELETED` event and the
    /// writer applies the deletion now. Otherwise returns `false`.
    pub(super) fn record_undecodable(&mut self, part: usize, object: &UndecodableObject) -> bool {
        let Some(name) = object.name.as_deref() else { return false };
        let key = (object.namespace.as_deref().unwrap_or_default(), name);
        if object.origin == ObjectOrigin::Deleted {
            return self.record_deletion(part, key);
        }
        // The object still exists on the server: the store keeps the last state that it has of the object.
        // The end of a list removes the objects that `seen` does not contain. Therefore add the object to
        // `seen`, unless its uid shows that it is a new object with the same name.
        let Part { known, listing: Some(listing), .. } = &mut self.all[part] else { return false };
        let uid_hash = object.uid.as_deref().map(hash_of_uid);
        if let Some(version) = known.get(key)
            && listing.seen.get(key).is_none()
            && (uid_hash.is_none() || version.uid_hash.is_none() || uid_hash == version.uid_hash)
        {
            listing.seen.insert(version.clone());
        }
        false
    }

    fn begin_list(&mut self, part: usize) -> WriterAction<K> {
        let Part { known, listing, .. } = &mut self.all[part];
        let restarted = listing.replace(Listing::default());
        if self.is_synced {
            if let (Some(listing), Some(restarted)) = (listing, restarted) {
                listing.withdrawn = restarted.withdrawn;
                restarted.seen.into_values().for_each(|version| drop(listing.withdrawn.insert(version)));
            }
            return WriterAction::Relisting;
        }
        // The snapshot of the store already contains the objects of the interrupted list.
        if let Some(Listing { seen, .. }) = restarted {
            seen.into_values().for_each(|version| drop(known.insert(version)));
        }
        if std::mem::replace(&mut self.has_begun, true) {
            WriterAction::Nothing
        } else {
            WriterAction::Apply(Event::Init)
        }
    }

    fn record_listed_object(&mut self, part: usize, object: Arrival<K>) -> WriterAction<K> {
        let version = object.version.clone();
        let is_outdated = self.is_outdated(part, &version);
        let Part { known, listing, .. } = &mut self.all[part];
        let listing = listing.get_or_insert_default();
        if !self.is_synced {
            listing.seen.insert(version);
            return if is_outdated {
                WriterAction::Nothing
            } else {
                WriterAction::Apply(Event::InitApply(object))
            };
        }
        let is_known = known.get(version.key()).is_some_and(|known| known.is_same_version(&version));
        if !is_known && !is_outdated {
            listing.changed.push(object);
        }
        listing.seen.insert(version);
        WriterAction::Nothing
    }

    fn end_list(&mut self, part: usize) -> WriterAction<K> {
        let Listing { seen, withdrawn, mut changed } = self.all[part].listing.take().unwrap_or_default();
        let mut before = std::mem::replace(&mut self.all[part].known, seen);
        withdrawn.into_values().for_each(|version| drop(before.insert(version)));
        self.all[part].is_synced = true;
        let vanished = self.vanished_objects(part, before);
        if self.is_synced {
            // Another part may have received a later state of an object during the list.
            changed.retain(|object| !self.is_outdated(part, &object.version));
            return WriterAction::Relisted { changed, vanished };
        }
        self.is_synced = self.all.iter().all(|part| part.is_synced);
        if self.is_synced {
            // A part whose first list is complete may have begun another list. The store already contains the objects
            // that the part has received from that list.
            for Part { known, listing, .. } in &mut self.all {
                let seen = listing.iter().flat_map(|listing| listing.seen.iter());
                seen.for_each(|version| drop(known.insert(version.clone())));
            }
        }
        WriterAction::Listed { vanished, is_complete: self.is_synced }
    }

    /// Records that an object was deleted, or that the part no longer selects the object. Returns whether the writer
    /// applies the deletion now. Returns `false` if another part selects the object. Returns `false` also during a
    /// relist of the part: the end of the relist applies the deletion.
    fn record_deletion(&mut self, part: usize, key: (&str, &str)) -> bool {
        let Part { known, listing, .. } = &mut self.all[part];
        if let Some(listing) = listing {
            let removed = listing.seen.remove(key);
            listing.changed.retain(|object| object.version.key() != key);
            if self.is_synced {
                if let Some(removed) = removed {
                    listing.withdrawn.insert(removed);
                }
                // The end of the relist removes the object, unless this part has received it again by then, or another
                // part selects it.
                return false;
            }
        }
        known.remove(key);
        self.versions_in_other_parts(part, key).next().is_none()
    }
}
