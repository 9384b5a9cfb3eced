//! `Delta`: a change of a store.

use super::codec::Codec;
use super::object_map::Keyed;
use super::stored_object::StoredObject;
use crate::watcher::Storable;
use kube_client::Resource;
use kube_client::api::{FilterDepth, ObjectMeta};
use kube_client::core::WatchEvent;
use std::{fmt, sync::Arc};

/// The cause of a change of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The first snapshot contains the object, or the store contained it when a subscription began.
    Initial,
    /// A relist: its snapshot contains a new object or a new state of an object, or the server reported the final state
    /// of a deleted object during the relist.
    Relist,
    /// An event of the watch.
    Watch,
    /// A snapshot does not contain the object, or contains another object with the same name. Usually the object was
    /// deleted while no watch was open. The final state of the object is unknown.
    Vanished,
}

/// The type of a [`Delta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeltaKind {
    /// The store did not contain the object.
    Added,
    /// The store contained the object in another state.
    Modified,
    /// The store no longer contains the object.
    Deleted,
}

/// The change of one object in a store: its old state, its new state and the cause.
///
/// The deltas of a store, applied in order to an empty map, result in the content of the store:
///
/// - Each deletion of an object that the store contained is one delta, whether an event reported the deletion or a
///   snapshot did not contain the object.
/// - An object that was created again under the same name, with another uid, results in a deletion and then
///   an addition.
/// - When a snapshot is complete, its differences from the previous content are emitted. An object whose resource
///   version did not change results in no delta.
///
/// A delta of a [compact](super::Storage::compact) store usually contains packed objects. A method that returns a packed
/// object decodes the object, unless the cache of the store contains the object. If an object does not decode,
/// [`old`](Self::old) and [`current`](Self::current) return `None`.
pub struct Delta<K> {
    old: Option<StoredObject<K>>,
    new: Option<StoredObject<K>>,
    /// The final state of a deleted object, if the server reported this state.
    last: Option<StoredObject<K>>,
    cause: Cause,
    /// For a deletion among the deltas of a snapshot: whether an event of the deletion was emitted before the snapshot
    /// was complete.
    pub(super) was_emitted: bool,
    /// Decodes packed objects.
    codec: Option<Arc<Codec<K>>>,
}

impl<K> Delta<K> {
    pub(super) fn new(
        old: Option<StoredObject<K>>,
        new: Option<StoredObject<K>>,
        cause: Cause,
        codec: Option<&Arc<Codec<K>>>,
    ) -> Self {
        Self { old, new, last: None, cause, was_emitted: false, codec: codec.cloned() }
    }

    /// The state of the object in the store before the change; `None` for an addition.
    pub fn old(&self) -> Option<Arc<K>> {
        self.old.as_ref()?.unpack(self.codec.as_deref())
    }

    /// The state of the object in the store after the change; `None` for a deletion.
    pub fn current(&self) -> Option<Arc<K>> {
        self.new.as_ref()?.unpack(self.codec.as_deref())
    }

    /// The last known state of the object: the new state or, for a deletion, the final state that the server reported.
    /// If that state is unknown or does not decode, returns the old state.
    pub fn last(&self) -> Option<Arc<K>> {
        self.current().or_else(|| self.final_state()).or_else(|| self.old())
    }

    /// Returns the final state of a deleted object, if the server reported this state.
    fn final_state(&self) -> Option<Arc<K>> {
        self.last.as_ref()?.unpack(self.codec.as_deref())
    }

    /// Returns the old state and the last known state; see [`old`](Self::old) and [`last`](Self::last). The second
    /// value is `None` if the old state is the last known state.
    pub(crate) fn into_states(self) -> (Option<Arc<K>>, Option<Arc<K>>) {
        let last = if self.new.is_some() { self.current() } else { self.final_state() };
        (self.old(), last)
    }

    /// The cause of the change.
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The type of the change.
    pub fn kind(&self) -> DeltaKind {
        match (&self.old, &self.new) {
            (_, None) => DeltaKind::Deleted,
            (None, Some(_)) => DeltaKind::Added,
            (Some(_), Some(_)) => DeltaKind::Modified,
        }
    }

    /// Converts the delta to the event that a watch sends for such a change. Returns `None` only if no state of the
    /// object decodes, which is possible only in a compact store; see [`Check::Syntax`](super::Check::Syntax).
    pub fn into_watch_event(self) -> Option<WatchEvent<Arc<K>>> {
        let kind = self.kind();
        let object = self.last()?;
        Some(match kind {
            DeltaKind::Added => WatchEvent::Added(object),
            DeltaKind::Modified => WatchEvent::Modified(object),
            DeltaKind::Deleted => WatchEvent::Deleted(object),
        })
    }
}

impl<K> Clone for Delta<K> {
    fn clone(&self) -> Self {
        Self {
            old: self.old.clone(),
            new: self.new.clone(),
            last: self.last.clone(),
            cause: self.cause,
            was_emitted: self.was_emitted,
            codec: self.codec.clone(),
        }
    }
}

impl<K: Storable> Delta<K> {
    /// Combines this delta with a later delta for the same key. The result is the change from the old state of this
    /// delta to the new state of the later delta. Returns `None` if neither of these two states exists. The result may
    /// replace an object by another object; see [`split_replacement`](Self::split_replacement).
    pub(super) fn combine_with(self, later: Self) -> Option<Self> {
        let differs = |last: &StoredObject<K>| match &self.old {
            Some(old) => old.is_different_from(last, self.codec.as_deref()),
            None => true,
        };
        let last = [later.last, self.last.clone()].into_iter().flatten().find(|last| !differs(last));
        if self.old.is_none() && later.new.is_none() {
            return None;
        }
        Some(Self { new: later.new, last, cause: later.cause, was_emitted: false, ..self })
    }

    /// Splits the replacement of an object by another object with the same name into a deletion and an addition.
    /// Returns any other delta unchanged.
    pub(super) fn split_replacement(self) -> (Self, Option<Self>) {
        let codec = self.codec.as_deref();
        let is_replacement =
            matches!((&self.old, &self.new), (Some(old), Some(new)) if old.is_different_from(new, codec));
        if !is_replacement {
            return (self, None);
        }
        let addition = Self { old: None, last: None, ..self.clone() };
        (Self { new: None, ..self }, Some(addition))
    }

    /// The new state; for a deletion, the old state.
    pub(super) fn new_or_old_state(&self) -> Option<&StoredObject<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Sets the final state that the server reported for a deletion, unless that state belongs to another object with
    /// the same name.
    pub(super) fn with_final_state(mut self, last: Option<StoredObject<K>>) -> Self {
        let codec = self.codec.as_deref();
        let differs =
            |last: &StoredObject<K>| self.old.as_ref().is_some_and(|old| old.is_different_from(last, codec));
        self.last = last.filter(|last| !differs(last));
        self
    }

    /// Namespace and name of the object. The namespace of a cluster-scoped object is empty. Does not decode.
    pub fn key(&self) -> (&str, &str) {
        self.new_or_old_state().map_or(("", ""), Keyed::key)
    }
}

impl<K: Resource> Delta<K> {
    /// The metadata of the last known state of the object, without `managedFields`; see [`last`](Self::last). Decodes
    /// nothing else of an object in a compact store.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::ResourceExt;
    /// use kube_runtime::reflector::{self, Storage};
    /// use kube_runtime::watcher::Event;
    ///
    /// let (_reader, mut writer) = reflector::store_with::<ConfigMap>(Storage::compact());
    /// let mut map = ConfigMap::default();
    /// map.metadata.name = Some("settings".into());
    /// map.labels_mut().insert("app".into(), "web".into());
    /// let delta = writer.apply_watcher_event(Event::Apply(map)).into_deltas().next().unwrap();
    /// assert_eq!(delta.key(), ("", "settings"));
    /// assert_eq!(delta.metadata().unwrap().labels.unwrap()["app"], "web");
    /// ```
    pub fn metadata(&self) -> Option<ObjectMeta> {
        let last = self.new.as_ref().or(self.last.as_ref()).or(self.old.as_ref());
        let mut metadata = last?.metadata(self.codec.as_deref(), FilterDepth::Metadata)?;
        metadata.managed_fields = None;
        Some(metadata)
    }

    /// The metadata of the state after the change; `None` for a deletion.
    pub(super) fn current_metadata(&self) -> Option<ObjectMeta> {
        self.new.as_ref()?.metadata(self.codec.as_deref(), FilterDepth::Metadata)
    }
}

impl<K> fmt::Debug for Delta<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delta")
            .field("kind", &self.kind())
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}
