//! The packed objects of a writer: packing on other threads, and moves between pages. With typed storage, nothing is
//! packed or moved.

use super::{MAX_MOVES_PER_LOCK, Writer};
use crate::reflector::codec::Codec;
use crate::reflector::compression::Method;
use crate::reflector::object_map::ObjectMap;
use crate::reflector::packing::Batch;
use crate::reflector::page::{Move, Packed};
use crate::reflector::snapshot::{OwnedKey, owned_key};
use crate::reflector::stored_object::StoredObject;
use crate::watcher::Storable;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

/// The maximum number of outdated objects that the writer compresses again with each event. The number is greater than
/// one, because each event may add an outdated object.
const REPACKS_PER_EVENT: usize = 2;
/// The maximum number of objects that the writer compresses again when no event is available: about a millisecond of
/// work.
const REPACKS_PER_POLL: usize = 64;

/// The keys of the packed objects that were compressed with an earlier method than the current one.
#[derive(Default)]
pub(super) struct OutdatedKeys {
    keys: Vec<OwnedKey>,
    /// The method that was the best method when `keys` was last filled.
    method: Option<Method>,
}

impl OutdatedKeys {
    /// Records the current method. Returns whether the method differs from that of the last call. If so, the caller has to
    /// check all objects.
    fn record_method(&mut self, method: Method) -> bool {
        self.method.replace(method) != Some(method)
    }

    /// Adds the key of `packed` if the object was compressed with an earlier method.
    fn add_if_outdated<K>(&mut self, packed: &Packed, codec: Option<&Arc<Codec<K>>>) {
        if self.method.is_some() && codec.is_some_and(|codec| codec.is_outdated(packed)) {
            self.keys.push(owned_key(packed.key()));
        }
    }
}

impl<K: Storable> Writer<K> {
    /// Stores the finished batches, without waiting for the unfinished batches, and compresses some outdated objects
    /// again.
    pub(super) fn store_finished_batches(&mut self) {
        while let Some(batch) = self.packing.next_finished() {
            self.store_packed(&batch);
        }
        self.repack(REPACKS_PER_EVENT);
    }

    /// Converts an object to the form that the store contains. Adds a packed object to the move queue.
    pub(super) fn prepare_for_storage(&mut self, object: &StoredObject<K>) -> StoredObject<K> {
        let packed = match (self.shared.codec(), object) {
            (None, object) => return object.clone(),
            (Some(_), StoredObject::Packed(packed)) => packed.clone(),
            (Some(codec), StoredObject::Typed(typed)) => match codec.pack(typed) {
                Some(packed) => packed,
                None => return object.clone(),
            },
        };
        self.move_queue.add_object(&packed);
        self.outdated.add_if_outdated(&packed, self.shared.codec());
        StoredObject::Packed(packed)
    }

    /// Like [`prepare_for_storage`](Self::prepare_for_storage), for an object of a snapshot. If another thread packs the
    /// object, returns the typed object: the store contains the typed object until the other thread has packed it.
    pub(super) fn prepare_listed_object(&mut self, object: &StoredObject<K>) -> StoredObject<K> {
        if !self.records_additions
            && let (Some(codec), StoredObject::Typed(typed)) = (self.shared.codec(), object)
            && self.packing.add_object(codec, typed)
        {
            return object.clone();
        }
        self.prepare_for_storage(object)
    }

    /// Compresses up to `limit` outdated objects again with the current method. Returns whether outdated objects
    /// remain.
    fn repack(&mut self, limit: usize) -> bool {
        let Self { shared, snapshot, move_queue, outdated, .. } = self;
        let Some(codec) = shared.codec() else { return false };
        if outdated.record_method(codec.compression.best_method()) {
            let current = shared.read();
            let maps = [Some(&*current), snapshot.as_ref().map(|next| &next.objects)];
            let stored = maps.into_iter().flatten().flat_map(ObjectMap::iter);
            outdated.keys.extend(stored.filter_map(|stored| match stored {
                StoredObject::Packed(packed) if codec.is_outdated(packed) => Some(owned_key(packed.key())),
                _ => None,
            }));
        }
        let begin = outdated.keys.len().saturating_sub(limit);
        for (namespace, name) in outdated.keys.drain(begin..) {
            let key = (namespace.as_str(), name.as_str());
            let listed = snapshot.as_ref().and_then(|next| next.objects.get(key).cloned());
            let stored = listed.or_else(|| shared.read().get(key).cloned());
            let Some(StoredObject::Packed(packed)) = stored else { continue };
            let Some(better) = Some(&packed)
                .filter(|packed| codec.is_outdated(packed))
                .and_then(|packed| codec.repack(packed))
            else {
                continue;
            };
            let replace = |objects: &mut ObjectMap<StoredObject<K>>| {
                if let Some(slot) = objects.get_mut(key).filter(|slot| slot.holds_packed_object(&packed)) {
                    *slot = StoredObject::Packed(better.clone());
                }
            };
            if let Some(next) = snapshot {
                replace(&mut next.objects);
            }
            shared.write(replace);
            move_queue.add_object(&better);
            move_queue.add_page_of(&packed);
        }
        let has_more = !outdated.keys.is_empty();
        self.compact_pages(None);
        has_more
    }

    /// Stores packed batches. Ready when all batches are stored, and all objects are compressed with the current
    /// method.
    pub(crate) fn poll_packing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(batch) = ready!(self.packing.poll_next(cx)) {
            self.store_packed(&batch);
        }
        if self.repack(REPACKS_PER_POLL) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Replaces each object of a batch by its packed form. Does so in the readers' map and in the snapshot in progress, if
    /// they still contain the object.
    fn store_packed(&mut self, batch: &Batch<K>) {
        let Self { shared, snapshot, move_queue, outdated, .. } = self;
        for (object, packed) in batch.packed_objects() {
            let replace = |objects: &mut ObjectMap<StoredObject<K>>| {
                let stored = objects.get_mut(packed.key()).filter(|stored| stored.holds_typed_object(object));
                stored.map(|stored| *stored = StoredObject::Packed(packed.clone())).is_some()
            };
            // Both maps contain the object if a relist found the object unchanged.
            let (new, old) =
                (snapshot.as_mut().is_some_and(|next| replace(&mut next.objects)), shared.write(replace));
            if new || old {
                move_queue.add_object(packed);
                outdated.add_if_outdated(packed, shared.codec());
            }
        }
        self.compact_pages(None);
    }

    /// If most objects on the page of `removed` were removed, adds the remaining objects on that page to the
    /// queue. Then moves the queued objects to shared pages if these objects fill a page, or if they keep too
    /// many vacated pages in memory.
    pub(super) fn compact_pages(&mut self, removed: Option<&StoredObject<K>>) {
        if let Some(StoredObject::Packed(removed)) = removed {
            self.move_queue.add_page_of(removed);
        }
        if !self.move_queue.may_have_moves() {
            return;
        }
        let Self { shared, snapshot, move_queue, .. } = self;
        let holds = |objects: &ObjectMap<StoredObject<K>>, packed: &Packed| {
            objects.get(packed.key()).is_some_and(|stored| stored.holds_packed_object(packed))
        };
        let moves = {
            let objects = shared.read();
            move_queue.move_to_shared_pages(|packed| {
                holds(&objects, packed) || snapshot.as_ref().is_some_and(|next| holds(&next.objects, packed))
            })
        };
        let apply = |moves: &[Move], objects: &mut ObjectMap<StoredObject<K>>| {
            for Move { from, to } in moves {
                if let Some(stored) =
                    objects.get_mut(from.key()).filter(|stored| stored.holds_packed_object(from))
                {
                    *stored = StoredObject::Packed(to.clone());
                }
            }
        };
        if let Some(next) = snapshot {
            apply(&moves, &mut next.objects);
        }
        // A relist may move many objects: release the lock between chunks.
        for moves in moves.chunks(MAX_MOVES_PER_LOCK) {
            shared.write(|objects| apply(moves, objects));
        }
    }

    /// Like [`compact_pages`](Self::compact_pages), for all pages. Call it after a snapshot has replaced the
    /// readers' map: many objects on the pages may then be unused. Does nothing for typed storage.
    pub(super) fn compact_all_pages(&mut self) {
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
}
