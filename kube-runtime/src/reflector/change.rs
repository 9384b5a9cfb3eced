//! `Change`: the effect of an event on a store.

use super::delta::Delta;
use super::store::Shared;
use super::stored_object::StoredObject;
use crate::watcher::Event;
use std::{fmt, iter::Chain, option, sync::Arc, vec};

/// The effect of an event on the store.
#[non_exhaustive]
pub struct Change<K> {
    /// The event. With typed storage, the store shares its object.
    pub event: Event<Arc<K>>,
    /// Whether the event deletes an object that neither the store nor the snapshot in progress contains.
    pub(super) is_unknown: bool,
    /// The previous object with the name of the event's object, if the event's object has another uid and the deletion
    /// of the previous object has not been emitted.
    pub(super) replaced: Option<Arc<K>>,
    pub(super) deltas: DeltaIter<K>,
}

/// The deltas of a [`Change`], in order.
pub(crate) type DeltaIter<K> = Chain<option::IntoIter<Delta<K>>, vec::IntoIter<Delta<K>>>;

/// The effect of an event, without the event.
pub(super) struct Effect<K> {
    /// See [`Change::is_unknown`].
    pub(super) is_unknown: bool,
    /// See [`Change::replaced`].
    pub(super) replaced: Option<StoredObject<K>>,
    /// The store's typed object, if it has the uid and the resource version of the event's object.
    pub(super) known: Option<Arc<K>>,
    pub(super) deltas: DeltaIter<K>,
}

impl<K> Effect<K> {
    /// No effect.
    pub(super) fn none() -> Self {
        Self::of(None.into_iter().chain(Vec::new()))
    }

    pub(super) fn of(deltas: DeltaIter<K>) -> Self {
        Self { is_unknown: false, replaced: None, known: None, deltas }
    }

    /// A copy of the deltas.
    pub(super) fn to_deltas(&self) -> Vec<Delta<K>> {
        self.deltas.clone().collect()
    }

    /// The effect with its event.
    pub(super) fn of_event(self, mut event: Event<Arc<K>>, shared: &Shared<K>) -> Change<K> {
        if let (Event::InitApply(object) | Event::Apply(object), Some(known)) = (&mut event, self.known) {
            *object = known;
        }
        let replaced = self.replaced.and_then(|replaced| shared.unpack(&replaced));
        Change { event, is_unknown: self.is_unknown, replaced, deltas: self.deltas }
    }
}

impl<K> Change<K> {
    /// The changes of the store, in order: at most two for an event of a watch, and at the end of a snapshot all
    /// differences between the previous content of the store and the snapshot.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_runtime::reflector::{self, Cause, DeltaKind};
    /// use kube_runtime::watcher::Event;
    ///
    /// let (_reader, mut writer) = reflector::store::<ConfigMap>();
    /// let mut map = ConfigMap::default();
    /// map.metadata.name = Some("settings".into());
    /// writer.apply_watcher_event(Event::Apply(map));
    /// // A snapshot without the object.
    /// writer.apply_watcher_event(Event::Init);
    /// let deltas: Vec<_> = writer.apply_watcher_event(Event::InitDone).into_deltas().collect();
    /// assert_eq!((deltas[0].kind(), deltas[0].cause()), (DeltaKind::Deleted, Cause::Vanished));
    /// ```
    pub fn into_deltas(self) -> impl Iterator<Item = Delta<K>> {
        self.deltas
    }

    pub(crate) fn into_parts(self) -> (Event<Arc<K>>, DeltaIter<K>) {
        (self.event, self.deltas)
    }
}

impl<K> fmt::Debug for Change<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("deltas", &self.deltas.size_hint().0).finish_non_exhaustive()
    }
}
