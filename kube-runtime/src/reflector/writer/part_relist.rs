//! Applies the changes that the relist of one part of a merged store found; see [`merged`](crate::reflector::merged()).
//! The other parts keep their objects.

use super::Writer;
use crate::reflector::delta::{Cause, Delta};
use crate::reflector::snapshot::owned_key;
use crate::reflector::stored_object::StoredObject;
use crate::watcher::Storable;

impl<K: Storable> Writer<K> {
    /// Sets whether the store contains all objects that its sources have received.
    pub(in crate::reflector) fn set_settled(&self, is_settled: bool) {
        self.settled.send_replace(is_settled);
    }

    /// Removes an object from the snapshot in progress. Call this if a part received the object, then restarted
    /// its list, and the complete list does not contain the object.
    pub(in crate::reflector) fn remove_from_snapshot(&mut self, key: (&str, &str)) {
        if let Some(next) = &mut self.snapshot
            && next.objects.remove(key).is_some()
        {
            next.superseded = true;
            next.deleted.insert(owned_key(key));
        }
    }

    /// Applies all differences that a relist of a part found. `changed` contains the new and changed objects.
    /// `vanished` contains the keys of the objects that no part selects any more. Readers see all differences
    /// at once. Returns the deltas.
    pub(in crate::reflector) fn apply_relist<'a>(
        &mut self,
        changed: Vec<StoredObject<K>>,
        vanished: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Delta<K>> {
        self.with_observers(|writer, observers| {
            let deltas = writer.apply_relist_without_publishing(changed, vanished);
            observers.version = None;
            let wakers = observers.publish_deltas(&deltas, true);
            (deltas, wakers)
        })
    }

    /// Like [`apply_relist`](Self::apply_relist), but does not pass the deltas to the observers.
    fn apply_relist_without_publishing<'a>(
        &mut self,
        changed: Vec<StoredObject<K>>,
        vanished: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<Delta<K>> {
        self.store_finished_batches();
        let stored: Vec<_> = changed.iter().map(|object| self.prepare_for_storage(object)).collect();
        let (replaced, removed) = self.shared.write(|objects| {
            let replaced: Vec<_> = stored.into_iter().map(|stored| objects.put(stored).0).collect();
            let removed: Vec<_> = vanished.filter_map(|key| objects.remove(key)).collect();
            (replaced, removed)
        });
        let mut deltas = Vec::with_capacity(replaced.len() + removed.len());
        for (object, old) in changed.into_iter().zip(replaced) {
            self.compact_pages(old.as_ref());
            deltas.extend(self.deltas_of_put(old, object, Cause::Relist).0);
        }
        for old in removed {
            self.compact_pages(Some(&old));
            deltas.push(Delta::new(Some(old), None, Cause::Vanished, self.shared.codec()));
        }
        deltas
    }
}
