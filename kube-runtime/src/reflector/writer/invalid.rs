//! The objects that do not decode: the store keeps their last states until they are deleted.

use super::Writer;
use crate::reflector::change::{DeltaIter, Effect};
use crate::reflector::snapshot::owned_key;
use crate::reflector::stored_object::StoredObject;
use crate::watcher::Storable;
use kube_client::core::{ObjectOrigin, UndecodableObject};

impl<K: Storable> Writer<K> {
    /// See [`apply_undecodable`](Self::apply_undecodable). Returns the changes of the store.
    pub(crate) fn apply_invalid(&mut self, object: &UndecodableObject) -> Option<DeltaIter<K>> {
        Some(self.effect_of_invalid(object)?.1.deltas)
    }

    /// See [`apply_undecodable`](Self::apply_undecodable). Returns the last state of the object, and the effect of its
    /// deletion.
    pub(super) fn effect_of_invalid(
        &mut self,
        object: &UndecodableObject,
    ) -> Option<(StoredObject<K>, Effect<K>)> {
        self.observed(|writer, observers| {
            let effect = writer.apply_invalid_unobserved(object);
            let deltas = effect.as_ref().map(|(_, effect)| effect.to_deltas()).unwrap_or_default();
            (effect, observers.publish(&deltas, false))
        })
    }

    /// See [`effect_of_invalid`](Self::effect_of_invalid).
    fn apply_invalid_unobserved(
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
        // Keep the last state in the new map, unless that map has a later state, or `object` is another object with the
        // same name.
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
