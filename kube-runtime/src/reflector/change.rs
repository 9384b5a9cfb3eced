//! `Change`: the effect of an event on a store.

use super::codec::Codec;
use super::delta::{Cause, Delta};
use super::store::Shared;
use super::stored_object::StoredObject;
use crate::watcher::Event;
use std::{fmt, sync::Arc, vec};

/// The effect of an event on the store.
#[non_exhaustive]
pub struct Change<K> {
    /// The event. With typed storage, the event and the store share the object.
    pub event: Event<Arc<K>>,
    /// Whether the event deletes an object that neither the store nor the snapshot in progress contains.
    pub(super) is_unknown: bool,
    /// The object that the event's object replaces: an earlier object with the same name and another uid. `None` if the
    /// deletion of the earlier object has already been emitted.
    pub(super) replaced: Option<Arc<K>>,
    pub(super) deltas: DeltaIter<K>,
}

/// The deltas of a [`Change`], in order.
pub(crate) struct DeltaIter<K> {
    /// The first delta, unless `rest` contains it (as for a snapshot). Most events of a watch have only one
    /// delta. In this field, the delta needs no allocation.
    first: Option<Delta<K>>,
    rest: vec::IntoIter<CompactDelta<K>>,
    /// The cause of the additions in `rest`, and the codec of the store.
    additions: (Cause, Option<Arc<Codec<K>>>),
}

/// A form of [`Delta`] in which an addition takes less memory. The first snapshot of a store has one addition
/// for each object. Each addition is in memory until the consumer receives it.
pub(super) enum CompactDelta<K> {
    Added(StoredObject<K>),
    Other(Box<Delta<K>>),
}

impl<K> DeltaIter<K> {
    /// An iterator without deltas.
    pub(super) fn empty() -> Self {
        Self { first: None, rest: Vec::new().into_iter(), additions: (Cause::Watch, None) }
    }

    /// An iterator over one delta.
    pub(super) fn once(delta: Delta<K>) -> Self {
        Self { first: Some(delta), ..Self::empty() }
    }

    /// An iterator over the deltas of a snapshot. `cause` is the cause of the additions.
    pub(super) fn of_snapshot(
        deltas: Vec<CompactDelta<K>>,
        cause: Cause,
        codec: Option<&Arc<Codec<K>>>,
    ) -> Self {
        Self { first: None, rest: deltas.into_iter(), additions: (cause, codec.cloned()) }
    }
}

impl<K> Iterator for DeltaIter<K> {
    type Item = Delta<K>;

    fn next(&mut self) -> Option<Delta<K>> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        Some(match self.rest.next()? {
            CompactDelta::Added(object) => {
                let (cause, codec) = &self.additions;
                Delta::new(None, Some(object), *cause, codec.as_ref())
            }
            CompactDelta::Other(delta) => *delta,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.rest.len() + usize::from(self.first.is_some());
        (count, Some(count))
    }
}

impl<K> FromIterator<Delta<K>> for DeltaIter<K> {
    fn from_iter<I: IntoIterator<Item = Delta<K>>>(deltas: I) -> Self {
        let mut deltas = deltas.into_iter();
        let first = deltas.next();
        let rest: Vec<_> = deltas.map(|delta| CompactDelta::Other(Box::new(delta))).collect();
        Self { first, rest: rest.into_iter(), ..Self::empty() }
    }
}

impl<K> Clone for DeltaIter<K> {
    fn clone(&self) -> Self {
        Self { first: self.first.clone(), rest: self.rest.clone(), additions: self.additions.clone() }
    }
}

impl<K> Clone for CompactDelta<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Added(object) => Self::Added(object.clone()),
            Self::Other(delta) => Self::Other(delta.clone()),
        }
    }
}

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
    /// The effect of an event that changes nothing.
    pub(super) fn none() -> Self {
        Self::of_deltas(DeltaIter::empty())
    }

    /// The effect of an event that results only in `deltas`.
    pub(super) fn of_deltas(deltas: DeltaIter<K>) -> Self {
        Self { is_unknown: false, replaced: None, known: None, deltas }
    }

    /// A copy of the deltas.
    pub(super) fn to_deltas(&self) -> Vec<Delta<K>> {
        self.deltas.clone().collect()
    }

    /// Combines the effect with its event. The store's object in `known` replaces the equal object of the event.
    pub(super) fn into_change(self, mut event: Event<Arc<K>>, shared: &Shared<K>) -> Change<K> {
        if let (Event::InitApply(object) | Event::Apply(object), Some(known)) = (&mut event, self.known) {
            *object = known;
        }
        let replaced = self.replaced.and_then(|replaced| shared.unpack(&replaced));
        Change { event, is_unknown: self.is_unknown, replaced, deltas: self.deltas }
    }
}

impl<K> Change<K> {
    /// The deltas of the store, in order. An event of a watch results in at most two deltas. The end of a snapshot results
    /// in the deltas that lead from the previous content of the store to the snapshot.
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
