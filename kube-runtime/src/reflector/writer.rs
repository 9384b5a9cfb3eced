//! `Writer`: applies events to a store. It is the only code that modifies a store.

use super::compact::{Codec, Scratch, Storage, StoredObject};
use super::object_map::{Keyed, ObjectMap, key};
use super::packing::{Batch, Packing};
use super::page::{Move, MoveQueue, Packed};
use super::store::{Shared, Store};
use crate::watcher::Event;
use foldhash::HashSet;
use kube_client::Resource;
use kube_client::core::{ObjectOrigin, UndecodableObject};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::watch;

/// The maximum number of objects to move to other pages under one write lock.
const MAX_MOVES_PER_LOCK: usize = 256;

/// The only handle that modifies a store. After the writer is dropped, readers keep the last state.
pub struct Writer<K> {
    shared: Arc<Shared<K>>,
    /// The new map, between `Init` and `InitDone`.
    next: Option<ObjectMap<StoredObject<K>>>,
    /// Objects in the readers' map whose deletion was reported during the relist and that were not created again. A
    /// restarted relist must not report their deletion again.
    deleted: HashSet<(String, String)>,
    /// Buffers for objects that this thread packs.
    scratch: Scratch,
    /// Packed objects to move to shared pages.
    move_queue: MoveQueue,
    /// Objects that other threads pack.
    packing: Packing<K>,
    /// Whether the first snapshot is complete.
    ready: watch::Sender<bool>,
}

/// An empty store and its writer.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_runtime::{reflector, watcher::Event};
///
/// let (reader, mut writer) = reflector::store::<ConfigMap>();
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// writer.apply_watcher_event(Event::Apply(map));
/// assert_eq!(reader.len(), 1);
/// ```
pub fn store<K>() -> (Store<K>, Writer<K>) {
    store_with(Storage::typed())
}

/// As [`store()`], with a storage format.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_runtime::{reflector::{self, Storage}, watcher::Event};
///
/// let (reader, mut writer) = reflector::store_with::<ConfigMap>(Storage::compact());
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// writer.apply_watcher_event(Event::Apply(map.clone()));
/// assert_eq!(*reader.state()[0], map);
/// ```
pub fn store_with<K>(storage: Storage<K>) -> (Store<K>, Writer<K>) {
    let shared = Arc::new(Shared::new(storage.codec));
    let (scratch, move_queue, packing) = (Scratch::default(), MoveQueue::default(), Packing::default());
    let (next, deleted, ready) = (None, HashSet::default(), watch::Sender::new(false));
    let writer = Writer { shared, next, deleted, scratch, move_queue, packing, ready };
    (writer.as_reader(), writer)
}

/// The effect of an event on the store.
#[non_exhaustive]
pub struct Change<K> {
    /// The event. With typed storage, the store shares its object.
    pub event: Event<Arc<K>>,
    /// After `InitDone`: the objects that the snapshot does not contain and whose deletion no event reported.
    pub vanished: Vec<Arc<K>>,
    /// For a deletion: whether the last complete snapshot contains the object, and no earlier event reported its
    /// deletion.
    pub(crate) deletes_known: bool,
    previous: Option<StoredObject<K>>,
    /// Decodes `previous`.
    codec: Option<Arc<Codec<K>>>,
}

impl<K> Change<K> {
    /// The state of the event's object before the event.
    pub fn previous(&self) -> Option<Arc<K>> {
        match self.previous.as_ref()? {
            StoredObject::Typed(object) => Some(object.clone()),
            StoredObject::Packed(packed) => self.codec.as_ref()?.unpack(packed),
        }
    }
}

impl<K> fmt::Debug for Change<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("replaces", &self.previous.is_some())
            .field("vanished", &self.vanished.len())
            .finish_non_exhaustive()
    }
}

impl<K> Writer<K> {
    /// A reader of the store.
    pub fn as_reader(&self) -> Store<K> {
        Store { shared: self.shared.clone(), ready: self.ready.subscribe() }
    }
}

impl<K: Resource> Writer<K> {
    /// Applies an event to the store. The object is moved, not copied.
    ///
    /// Between [`Event::Init`] and [`Event::InitDone`] readers keep the previous map; the writer swaps the map at
    /// `InitDone`.
    pub fn apply_watcher_event(&mut self, event: Event<K>) -> Change<K> {
        while let Some(batch) = self.packing.next_finished() {
            self.store_packed(batch);
        }
        let mut deletes_known = false;
        let (event, previous) = match event {
            Event::Init => {
                self.next = Some(ObjectMap::default());
                (Event::Init, None)
            }
            Event::InitApply(object) => {
                let (object, previous) = self.add_listed(object);
                (Event::InitApply(object), previous)
            }
            Event::InitDone => return self.swap_maps(),
            Event::Apply(object) => {
                let object = Arc::new(object);
                let stored = self.stored_form(&object);
                let previous = self.shared.write(|objects| objects.insert(stored));
                (Event::Apply(object), previous)
            }
            Event::Delete(object) => {
                let (previous, known) = self.remove(key(object.meta()));
                deletes_known = known;
                (Event::Delete(Arc::new(object)), previous)
            }
        };
        self.compact_pages(previous.as_ref());
        Change { deletes_known, ..self.change_for(event, previous) }
    }

    /// The change for an event, without vanished objects.
    fn change_for(&self, event: Event<Arc<K>>, previous: Option<StoredObject<K>>) -> Change<K> {
        let codec = previous.as_ref().and_then(|_| self.shared.codec().cloned());
        Change { event, previous, vanished: Vec::new(), deletes_known: false, codec }
    }

    /// Converts an object to its stored form.
    fn stored_form(&mut self, object: &Arc<K>) -> StoredObject<K> {
        let Some(codec) = self.shared.codec() else { return StoredObject::Typed(object.clone()) };
        let Some(packed) = codec.pack(object, &mut self.scratch) else {
            return StoredObject::Typed(object.clone());
        };
        self.move_queue.add(&packed);
        StoredObject::Packed(packed)
    }

    /// Converts an object of a snapshot to its stored form, which stays typed while another thread packs the object.
    fn stored_form_of_listed(&mut self, object: &Arc<K>) -> StoredObject<K> {
        match self.shared.codec() {
            Some(codec) if codec.has_dictionary() && self.packing.add(codec, object) => {
                StoredObject::Typed(object.clone())
            }
            _ => self.stored_form(object),
        }
    }

    /// Stores packed batches. Ready when all batches are packed and stored.
    pub(super) fn poll_packed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(batch) = ready!(self.packing.poll_next(cx)) {
            self.store_packed(batch);
        }
        Poll::Ready(())
    }

    /// Replaces each object of a batch by its packed form, in the maps that still hold the object.
    fn store_packed(&mut self, batch: Batch<K>) {
        let Self { shared, next, move_queue, .. } = self;
        for (object, packed) in batch.packed_objects() {
            let replace = |objects: &mut ObjectMap<StoredObject<K>>| {
                let stored = objects.get_mut(packed.key()).filter(|stored| stored.holds_typed(object));
                stored.map(|stored| *stored = StoredObject::Packed(packed.clone())).is_some()
            };
            // Both maps hold the object if a relist found it unchanged.
            let (new, old) = (next.as_mut().is_some_and(replace), shared.write(replace));
            if new || old {
                move_queue.add(packed);
            }
        }
        self.packing.reuse_buffers(batch);
        self.compact_pages(None);
    }

    /// Moves objects to shared pages once they fill a page: objects with a page of their own, and the remaining
    /// objects on the page of `removed` if most objects of that page were removed.
    fn compact_pages(&mut self, removed: Option<&StoredObject<K>>) {
        if let Some(StoredObject::Packed(removed)) = removed {
            self.move_queue.add_page_of(removed);
        }
        if !self.move_queue.fills_a_page() {
            return;
        }
        let Self { shared, next, move_queue, .. } = self;
        let holds = |objects: &ObjectMap<StoredObject<K>>, packed: &Packed| {
            objects.get(packed.key()).is_some_and(|stored| stored.holds_packed(packed))
        };
        let moves = {
            let objects = shared.read();
            move_queue.move_to_shared_pages(|packed| {
                holds(&objects, packed) || next.as_ref().is_some_and(|next| holds(next, packed))
            })
        };
        let apply = |moves: &[Move], objects: &mut ObjectMap<StoredObject<K>>| {
            for Move { from, to } in moves {
                if let Some(stored) = objects.get_mut(from.key()).filter(|stored| stored.holds_packed(from)) {
                    *stored = StoredObject::Packed(to.clone());
                }
            }
        };
        if let Some(next) = next {
            apply(&moves, next);
        }
        // A relist may move many objects: release the lock between chunks.
        for moves in moves.chunks(MAX_MOVES_PER_LOCK) {
            shared.write(|objects| apply(moves, objects));
        }
    }

    /// As [`compact_pages`](Self::compact_pages), for all pages. Call it after a swap, when many objects on the pages
    /// may be unused. Does nothing for typed storage.
    fn compact_all_pages(&mut self) {
        if self.shared.codec().is_none() {
            return;
        }
        for stored in self.shared.read().iter() {
            if let StoredObject::Packed(packed) = stored {
                self.move_queue.add_page_of(packed);
            }
        }
        self.compact_pages(None);
    }

    /// Applies the event of an undecodable object: the store keeps the object's last state until the object is
    /// deleted. Returns the deletion if the store had the object.
    pub fn apply_undecodable(&mut self, object: &UndecodableObject) -> Option<Change<K>> {
        let key = (object.namespace.as_deref().unwrap_or_default(), object.name.as_deref()?);
        if object.origin == ObjectOrigin::Deleted {
            let (previous, deletes_known) = self.remove(key);
            let previous = previous?;
            self.compact_pages(Some(&previous));
            let last = self.shared.unpack(previous.clone())?;
            return Some(Change { deletes_known, ..self.change_for(Event::Delete(last), Some(previous)) });
        }
        // The new map may already have a later version.
        if let Some(next) = &mut self.next
            && next.get(key).is_none()
            && !self.deleted.contains(&owned_key(key))
            && let Some(known) = self.shared.read().get(key)
        {
            next.insert(known.clone());
        }
        None
    }

    /// Adds an object of a snapshot to the new map. If the object is unchanged, both maps share it. Also returns the
    /// previous state from the new map or, if the new map does not contain the object, from the readers' map.
    fn add_listed(&mut self, object: K) -> (Arc<K>, Option<StoredObject<K>>) {
        // An object that was created again after its deletion is a new object without a previous state.
        let again = !self.deleted.is_empty() && self.deleted.remove(&owned_key(key(object.meta())));
        let known = if again { None } else { self.shared.read().get(key(object.meta())).cloned() };
        let previous = known;
        let codec = self.shared.codec().map(|codec| &**codec);
        let (object, stored) = match &previous {
            Some(known) if known.is_same_version_as(&object, codec) => match known {
                StoredObject::Typed(known) => (known.clone(), StoredObject::Typed(known.clone())),
                StoredObject::Packed(known) => (Arc::new(object), StoredObject::Packed(known.clone())),
            },
            _ => {
                let object = Arc::new(object);
                let stored = self.stored_form_of_listed(&object);
                (object, stored)
            }
        };
        // An `InitApply` without an `Init` also begins a snapshot.
        let again = self.next.get_or_insert_default().insert(stored);
        (object, again.or(previous))
    }

    /// Removes an object from the new map during a relist, and otherwise from the readers' map. Returns its last state,
    /// and whether the readers' map contained the object and no earlier event reported its deletion.
    fn remove(&mut self, key: (&str, &str)) -> (Option<StoredObject<K>>, bool) {
        let Some(next) = &mut self.next else {
            let previous = self.shared.write(|objects| objects.remove(key));
            let known = previous.is_some();
            return (previous, known);
        };
        // The readers' map stays unchanged until the swap.
        let known = self.shared.read().get(key).cloned();
        let known = known.filter(|_| self.deleted.insert(owned_key(key)));
        let deletes_known = known.is_some();
        (next.remove(key).or(known), deletes_known)
    }

    /// Completes a snapshot: replaces the readers' map by the new map.
    fn swap_maps(&mut self) -> Change<K> {
        let mut vanished = Vec::new();
        if let Some(codec) = self.shared.codec() {
            self.packing.flush(codec);
        }
        if let Some(next) = self.next.take() {
            let old = self.shared.write(|objects| std::mem::replace(objects, next));
            // Compare after releasing the write lock, so that readers can continue.
            let missing = old.missing_from(&self.shared.read());
            let deleted = std::mem::take(&mut self.deleted);
            let missing = missing
                .into_iter()
                .filter(|stored| deleted.is_empty() || !deleted.contains(&owned_key(stored.key())));
            vanished = missing.filter_map(|stored| self.shared.unpack(stored)).collect();
            self.compact_all_pages();
        }
        self.ready.send_replace(true);
        Change { vanished, ..self.change_for(Event::InitDone, None) }
    }
}

/// As [`key`], with owned strings.
fn owned_key((namespace, name): (&str, &str)) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}

impl<K> fmt::Debug for Writer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("relisting", &self.next.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
