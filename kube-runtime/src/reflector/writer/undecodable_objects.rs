//! The objects that do not decode: the store keeps their last states until they are deleted.

use super::Writer;
use crate::reflector::change::{DeltaIter, Effect};
use crate::reflector::snapshot::owned_key;
use crate::reflector::stored_object::StoredObject;
use crate::watcher::Storable;
use kube_client::core::{ObjectOrigin, UndecodableObject};

impl<K: Storable> Writer<K> {
    /// Like [`apply_undecodable`](Self::apply_undecodable), but returns only the changes of the store.
    pub(crate) fn apply_undecodable_for_deltas(
        &mut self,
        object: &UndecodableObject,
    ) -> Option<DeltaIter<K>> {
        Some(self.apply_undecodable_and_publish(object)?.1.deltas)
    }

    /// Like [`apply_undecodable`](Self::apply_undecodable), but returns the last stored state of the deleted object, and
    /// the effect of the deletion.
    pub(super) fn apply_undecodable_and_publish(
        &mut self,
        object: &UndecodableObject,
    ) -> Option<(StoredObject<K>, Effect<K>)> {
        self.with_observers(|writer, observers| {
            let effect = writer.apply_undecodable_without_publishing(object);
            let deltas = effect.as_ref().map(|(_, effect)| effect.to_deltas()).unwrap_or_default();
            (effect, observers.publish_deltas(&deltas, false))
        })
    }

    /// Like [`apply_undecodable_and_publish`](Self::apply_undecodable_and_publish), but does not pass the deltas to the
    /// observers.
    fn apply_undecodable_without_publishing(
        &mut self,
        object: &UndecodableObject,
    ) -> Option<(StoredObject<K>, Effect<K>)> {
        let key = (object.namespace.as_deref().unwrap_or_default(), object.name.as_deref()?);
        if object.origin == ObjectOrigin::Deleted {
            let listed = self.snapshot.as_ref().and_then(|next| next.objects.get(key).cloned());
            let known = listed.or_else(|| self.shared.read().get(key).cloned())?;
            let effect = self.delete(key, None);
            return (!effect.is_unknown).then_some((known, effect));
        }
        // Keep the last state in the snapshot in progress, except in three cases: the snapshot has a later state, the known
        // object was deleted during the snapshot, or `object` is another object with the same name.
        if let Some(next) = &mut self.snapshot
            && next.objects.get(key).is_none()
            && !next.deleted.contains(&owned_key(key))
            && let Some(known) = self.shared.read().get(key)
            && object
                .uid
                .as_deref()
                .is_none_or(|uid| known.may_have_uid(uid, self.shared.codec().map(|codec| &**codec)))
        {
            next.objects.insert(known.clone());
        }
        None
    }
}
