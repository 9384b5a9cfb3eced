//! `Parts`: the names of the objects that each part of a merged store selects. It decides what the writer applies; it
//! must not store objects, except for the changes that a relist in progress has found.

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

/// One part.
struct Part<K> {
    /// The objects that the part selects.
    known: ObjectMap<Member>,
    /// The list in progress.
    listing: Option<Listing<K>>,
    is_synced: bool,
    /// The parts that may select the same objects.
    overlaps: Vec<usize>,
}

/// A list in progress.
struct Listing<K> {
    seen: ObjectMap<Member>,
    /// For a relist: the objects that were removed from `seen`, because they were deleted or the list began again.
    /// While `seen` contained such an object, the end of another part's relist kept it in the store. The end of this
    /// relist removes it, unless a part then selects it.
    withdrawn: ObjectMap<Member>,
    /// For a relist: the listed objects that `known` does not contain, or contains with another uid or resource
    /// version. The writer applies them when the list is complete.
    changed: Vec<Arrival<K>>,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { seen: ObjectMap::default(), withdrawn: ObjectMap::default(), changed: Vec::new() }
    }
}

/// The key, the hash of the uid and the resource version of an object.
#[derive(Debug, Clone)]
pub(super) struct Member {
    namespace: Box<str>,
    name: Box<str>,
    uid: Option<u64>,
    version: Option<u64>,
}

impl Member {
    fn of(object: &impl Storable) -> Self {
        let (namespace, name) = object.key();
        Self {
            namespace: namespace.into(),
            name: name.into(),
            uid: object.uid().map(hash_of),
            version: version_of(object),
        }
    }

    /// Whether this and `other` are the same state of the same object.
    fn is_same_state(&self, other: &Self) -> bool {
        self.version.is_some() && self.version == other.version && self.uid == other.uid
    }

    /// Namespace and name.
    pub(super) fn key(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl Keyed for Member {
    fn key(&self) -> (&str, &str) {
        self.key()
    }
}

/// The resource version of an object as a number; `None` if it is not a number.
fn version_of(object: &impl Storable) -> Option<u64> {
    object.version().and_then(|version| version.parse().ok())
}

/// The hash of a uid.
fn hash_of(uid: &str) -> u64 {
    FixedState::default().hash_one(uid)
}

/// An object of an event, and its identity.
#[derive(Debug)]
pub(super) struct Arrival<K> {
    member: Member,
    object: StoredObject<K>,
}

impl<K> Arrival<K> {
    /// A packed object.
    pub(super) fn packed(object: WireObject) -> Self {
        Self { member: Member::of(&object), object: object.into_stored() }
    }

    pub(super) fn into_stored(self) -> StoredObject<K> {
        self.object
    }
}

impl<K: Storable> Arrival<K> {
    /// A typed object.
    pub(super) fn typed(object: K) -> Self {
        Self { member: Member::of(&object), object: StoredObject::Typed(Arc::new(object)) }
    }
}

/// The action of the writer after an event of a part.
pub(super) enum Step<K> {
    Nothing,
    Apply(Event<Arrival<K>>),
    /// The first list of a part is complete: the writer drops the `vanished` objects, which the complete list does not
    /// contain. `is_complete` is whether the lists of all parts are complete.
    Listed {
        vanished: Vec<Member>,
        is_complete: bool,
    },
    /// A part has begun a relist: the store is not settled until the relist is complete.
    Relisting,
    /// The relist of a part is complete: the writer applies the `changed` objects and removes the `vanished` ones.
    Relisted {
        changed: Vec<Arrival<K>>,
        vanished: Vec<Member>,
    },
}

impl<K> Parts<K> {
    /// Parts that select these namespaces; `None` for a part that selects objects of all namespaces.
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

    /// The states of an object that the other parts know.
    fn elsewhere<'a>(&'a self, part: usize, key: (&'a str, &'a str)) -> impl Iterator<Item = &'a Member> {
        self.all[part].overlaps.iter().filter_map(move |other| {
            let other = &self.all[*other];
            let listed = other.listing.as_ref().and_then(|listing| listing.seen.get(key));
            listed.or_else(|| other.known.get(key))
        })
    }

    /// Whether another part knows a later state of an object, because the watch of that part is ahead.
    fn is_outdated(&self, part: usize, key: (&str, &str), version: Option<u64>) -> bool {
        self.elsewhere(part, key).any(|other| other.version > version)
    }

    /// The objects of `part` that a complete list did not contain and that no other part selects.
    fn vanished(&self, part: usize, before: ObjectMap<Member>) -> Vec<Member> {
        let missing = before.missing_from(&self.all[part].known);
        missing.into_iter().filter(|member| self.elsewhere(part, member.key()).next().is_none()).collect()
    }
}

impl<K> Parts<K> {
    /// Records an event of a part.
    pub(super) fn event(&mut self, part: usize, event: Event<Arrival<K>>) -> Step<K> {
        match event {
            Event::Init => self.begin_list(part),
            Event::InitApply(object) => self.listed(part, object),
            Event::InitDone => self.end_list(part),
            Event::Apply(object) => {
                let member = object.member.clone();
                let is_outdated = self.is_outdated(part, member.key(), member.version);
                self.all[part].known.insert(member);
                if is_outdated {
                    Step::Nothing
                } else if self.is_synced {
                    Step::Apply(Event::Apply(object))
                } else {
                    // The snapshot of the store is in progress.
                    Step::Apply(Event::InitApply(object))
                }
            }
            Event::Delete(object) => {
                if self.is_deleted(part, object.member.key()) {
                    Step::Apply(Event::Delete(object))
                } else {
                    Step::Nothing
                }
            }
        }
    }

    /// Records an object that does not decode. Returns whether the writer applies the deletion of the object.
    pub(super) fn undecodable(&mut self, part: usize, object: &UndecodableObject) -> bool {
        let Some(name) = object.name.as_deref() else { return false };
        let key = (object.namespace.as_deref().unwrap_or_default(), name);
        if object.origin == ObjectOrigin::Deleted {
            return self.is_deleted(part, key);
        }
        // The object exists: the store keeps its last state.
        let Part { known, listing: Some(listing), .. } = &mut self.all[part] else { return false };
        let uid = object.uid.as_deref().map(hash_of);
        if let Some(member) = known.get(key)
            && listing.seen.get(key).is_none()
            && (uid.is_none() || member.uid.is_none() || uid == member.uid)
        {
            listing.seen.insert(member.clone());
        }
        false
    }

    fn begin_list(&mut self, part: usize) -> Step<K> {
        let Part { known, listing, .. } = &mut self.all[part];
        let restarted = listing.replace(Listing::default());
        if self.is_synced {
            if let (Some(listing), Some(restarted)) = (listing, restarted) {
                listing.withdrawn = restarted.withdrawn;
                restarted.seen.into_values().for_each(|member| drop(listing.withdrawn.insert(member)));
            }
            return Step::Relisting;
        }
        // The snapshot of the store contains the objects of the list that did not complete.
        if let Some(Listing { seen, .. }) = restarted {
            seen.into_values().for_each(|member| drop(known.insert(member)));
        }
        if std::mem::replace(&mut self.has_begun, true) { Step::Nothing } else { Step::Apply(Event::Init) }
    }

    fn listed(&mut self, part: usize, object: Arrival<K>) -> Step<K> {
        let member = object.member.clone();
        let is_outdated = self.is_outdated(part, member.key(), member.version);
        let Part { known, listing, .. } = &mut self.all[part];
        let listing = listing.get_or_insert_default();
        if !self.is_synced {
            listing.seen.insert(member);
            return if is_outdated { Step::Nothing } else { Step::Apply(Event::InitApply(object)) };
        }
        let is_known = known.get(member.key()).is_some_and(|known| known.is_same_state(&member));
        if !is_known && !is_outdated {
            listing.changed.push(object);
        }
        listing.seen.insert(member);
        Step::Nothing
    }

    fn end_list(&mut self, part: usize) -> Step<K> {
        let Listing { seen, withdrawn, mut changed } = self.all[part].listing.take().unwrap_or_default();
        let mut before = std::mem::replace(&mut self.all[part].known, seen);
        withdrawn.into_values().for_each(|member| drop(before.insert(member)));
        self.all[part].is_synced = true;
        let vanished = self.vanished(part, before);
        if self.is_synced {
            // Another part may have received a later state of an object during the list.
            changed.retain(|object| !self.is_outdated(part, object.member.key(), object.member.version));
            return Step::Relisted { changed, vanished };
        }
        self.is_synced = self.all.iter().all(|part| part.is_synced);
        if self.is_synced {
            // The store already has the objects of a list that has begun again.
            for Part { known, listing, .. } in &mut self.all {
                let seen = listing.iter().flat_map(|listing| listing.seen.iter());
                seen.for_each(|member| drop(known.insert(member.clone())));
            }
        }
        Step::Listed { vanished, is_complete: self.is_synced }
    }

    /// Records the deletion of an object, or that the part no longer selects it. Returns whether the writer applies the
    /// deletion now: it does not if another part selects the object, or if the end of a relist in progress applies the
    /// deletion.
    fn is_deleted(&mut self, part: usize, key: (&str, &str)) -> bool {
        let Part { known, listing, .. } = &mut self.all[part];
        if let Some(listing) = listing {
            let removed = listing.seen.remove(key);
            listing.changed.retain(|object| object.member.key() != key);
            if self.is_synced {
                if let Some(removed) = removed {
                    listing.withdrawn.insert(removed);
                }
                // The end of the relist removes the object, unless it is created again before.
                return false;
            }
        }
        known.remove(key);
        self.elsewhere(part, key).next().is_none()
    }
}
