//! The packed objects of a writer: packing on other threads, and moves between pages. Does nothing for typed storage.

use super::{MAX_MOVES_PER_LOCK, Writer};
use crate::reflector::object_map::ObjectMap;
use crate::reflector::packing::Batch;
use crate::reflector::page::{Move, Packed};
use crate::reflector::storable::Storable;
use crate::reflector::stored_object::StoredObject;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

impl<K: Storable> Writer<K> {
    /// Stores the batches that are packed, without waiting for further ones.
    pub(super) fn store_finished(&mut self) {
        while let Some(batch) = self.packing.next_finished() {
            self.store_packed(batch);
        }
    }

    /// Converts an object to its stored form.
    pub(super) fn stored_form(&mut self, object: &Arc<K>) -> StoredObject<K> {
        let Some(codec) = self.shared.codec() else { return StoredObject::Typed(object.clone()) };
        let Some(packed) = codec.pack(object, &mut self.scratch) else {
            return StoredObject::Typed(object.clone());
        };
        self.move_queue.add(&packed);
        StoredObject::Packed(packed)
    }

    /// Converts an object of a snapshot to its stored form, which stays typed while another thread packs the object.
    pub(super) fn stored_form_of_listed(&mut self, object: &Arc<K>) -> StoredObject<K> {
        match self.shared.codec() {
            Some(codec)
                if !self.emits_additions && codec.has_dictionary() && self.packing.add(codec, object) =>
            {
                StoredObject::Typed(object.clone())
            }
            _ => self.stored_form(object),
        }
    }

    /// Stores packed batches. Ready when all batches are packed and stored.
    pub(in crate::reflector) fn poll_packed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(batch) = ready!(self.packing.poll_next(cx)) {
            self.store_packed(batch);
        }
        Poll::Ready(())
    }

    /// Replaces each object of a batch by its packed form, in the maps that still hold the object.
    fn store_packed(&mut self, batch: Batch<K>) {
        let Self { shared, snapshot, move_queue, .. } = self;
        for (object, packed) in batch.packed_objects() {
            let replace = |objects: &mut ObjectMap<StoredObject<K>>| {
                let stored = objects.get_mut(packed.key()).filter(|stored| stored.holds_typed(object));
                stored.map(|stored| *stored = StoredObject::Packed(packed.clone())).is_some()
            };
            // Both maps hold the object if a relist found it unchanged.
            let (new, old) =
                (snapshot.as_mut().is_some_and(|next| replace(&mut next.objects)), shared.write(replace));
            if new || old {
                move_queue.add(packed);
            }
        }
        self.packing.reuse_buffers(batch);
        self.compact_pages(None);
    }

    /// Moves objects to shared pages once they fill a page: objects with a page of their own, and the remaining
    /// objects on the page of `removed` if most objects of that page were removed.
    pub(super) fn compact_pages(&mut self, removed: Option<&StoredObject<K>>) {
        if let Some(StoredObject::Packed(removed)) = removed {
            self.move_queue.add_page_of(removed);
        }
        if !self.move_queue.fills_a_page() {
            return;
        }
        let Self { shared, snapshot, move_queue, .. } = self;
        let holds = |objects: &ObjectMap<StoredObject<K>>, packed: &Packed| {
            objects.get(packed.key()).is_some_and(|stored| stored.holds_packed(packed))
        };
        let moves = {
            let objects = shared.read();
            move_queue.move_to_shared_pages(|packed| {
                holds(&objects, packed) || snapshot.as_ref().is_some_and(|next| holds(&next.objects, packed))
            })
        };
        let apply = |moves: &[Move], objects: &mut ObjectMap<StoredObject<K>>| {
            for Move { from, to } in moves {
                if let Some(stored) = objects.get_mut(from.key()).filter(|stored| stored.holds_packed(from)) {
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

    /// As [`compact_pages`](Self::compact_pages), for all pages. Call it after a swap, when many objects on the pages
    /// may be unused. Does nothing for typed storage.
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
