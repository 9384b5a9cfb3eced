//! `Writer`: applies events to a store. It is the only code that modifies a store, and the only interpreter of the
//! events of a snapshot: all consumers of a store receive its [`Delta`]s.

mod observed;
mod packed;
mod relisted;

use super::change::{Change, DeltaIter};
use super::compact::{Scratch, Storage};
use super::delta::{Cause, Delta};
use super::modify::Modify;
use super::packing::Packing;
use super::page::MoveQueue;
use super::snapshot::{Deletions, Snapshot, Swap, owned_key};
use super::storable::Storable;
use super::store::{Shared, Store};
use super::stored_object::StoredObject;
use crate::watcher::{self, Event};
use kube_client::Resource;
use kube_client::core::{ObjectOrigin, UndecodableObject};
use observed::differences;
use std::{collections::hash_map::Entry, fmt, sync::Arc};
use tokio::sync::watch;

/// The maximum number of objects to move to other pages under one write lock.
const MAX_MOVES_PER_LOCK: usize = 256;

/// The only handle that modifies a store. After the writer is dropped, readers keep the last state.
pub struct Writer<K> {
    shared: Arc<Shared<K>>,
    /// The new content, between `Init` and `InitDone`.
    snapshot: Option<Snapshot<K>>,
    /// Objects in the readers' map whose deletion was emitted as an event since the last complete snapshot. The list of
    /// a relist may restart, and the deletion must not be emitted as an event again.
    deletions: Deletions<K>,
    /// Whether a snapshot also results in deltas of additions and modifications, in addition to those of deletions.
    emits_additions: bool,
    /// Changes each object first.
    modify: Modify<K>,
    /// Buffers for objects that this thread packs.
    scratch: Scratch,
    /// Packed objects to move to shared pages.
    move_queue: MoveQueue,
    /// Objects that other threads pack.
    packing: Packing<K>,
    /// Whether the first snapshot is complete.
    ready: watch::Sender<bool>,
    /// Whether the first snapshot is complete and no further one is in progress.
    settled: watch::Sender<bool>,
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
    let writer = Writer {
        shared: Arc::new(Shared::new(storage.codec)),
        snapshot: None,
        deletions: Deletions::default(),
        emits_additions: true,
        modify: storage.modify,
        scratch: Scratch::default(),
        move_queue: MoveQueue::default(),
        packing: Packing::default(),
        ready: watch::Sender::new(false),
        settled: watch::Sender::new(false),
    };
    (writer.as_reader(), writer)
}

impl<K> Writer<K> {
    /// A reader of the store.
    pub fn as_reader(&self) -> Store<K> {
        Store {
            shared: self.shared.clone(),
            ready: self.ready.subscribe(),
            settled: self.settled.subscribe(),
        }
    }

    /// Makes a snapshot result only in deltas of deletions, for consumers that do not need the others. The writer then
    /// does not keep a list of the objects of a snapshot.
    pub(super) fn only_deletions(mut self) -> Self {
        self.emits_additions = false;
        self
    }
}

impl<K> Default for Writer<K> {
    /// The writer of an empty store of objects, without a reader.
    fn default() -> Self {
        store().1
    }
}

impl<K: Resource> Writer<K> {
    /// The writer of an empty store of objects, without a reader. A store needs no run-time data about the kind:
    /// `dyntype` only determines `K`.
    ///
    /// ```
    /// use kube_client::api::{ApiResource, DynamicObject, GroupVersionKind};
    /// use kube_runtime::reflector::Writer;
    ///
    /// let pods = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    /// let writer = Writer::<DynamicObject>::new(pods);
    /// assert!(writer.as_reader().is_empty());
    /// ```
    pub fn new(dyntype: K::DynamicType) -> Self {
        drop(dyntype);
        Self::default()
    }

    /// Applies an event to the store. An owned event moves its object into the store; a borrowed one is cloned.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_runtime::{reflector::Writer, watcher::Event};
    ///
    /// let mut writer = Writer::default();
    /// let event = Event::Apply(ConfigMap::default());
    /// writer.apply_watcher_event(&event);
    /// assert_eq!(*writer.as_reader().state()[0], ConfigMap::default());
    /// ```
    ///
    /// Between [`Event::Init`] and [`Event::InitDone`] readers keep the previous map; the writer swaps the map at
    /// `InitDone`.
    pub fn apply_watcher_event(&mut self, event: impl Into<Event<K>>) -> Change<K> {
        let mut event = event.into();
        self.modify.apply(&mut event);
        self.apply(event)
    }

    /// Applies the event of an undecodable object: the store keeps the object's last state until the object is
    /// deleted. Returns the deletion if an earlier event or the store had the object.
    pub fn apply_undecodable(&mut self, object: &UndecodableObject) -> Option<Change<K>> {
        self.apply_invalid(object)
    }
}

impl<K: Storable> Writer<K> {
    /// Changes the object of an item as [`Storage::modify`] says. The item becomes an error if the function panics.
    pub(crate) fn modify(&self, item: &mut watcher::Result<Event<K>>) {
        self.modify.apply_to_item(item);
    }

    /// See [`apply_watcher_event`](Self::apply_watcher_event). The event is already [modified](Self::modify).
    pub(crate) fn apply(&mut self, event: Event<K>) -> Change<K> {
        self.apply_with(event, None)
    }

    /// As [`apply`](Self::apply), with the resource version of the snapshot that the event completes.
    pub(crate) fn apply_with(&mut self, event: Event<K>, version: Option<&str>) -> Change<K> {
        // These events do not change the readers' map.
        if matches!(event, Event::Init | Event::InitApply(_)) {
            return self.apply_unobserved(event, false);
        }
        let is_synced = matches!(event, Event::InitDone);
        self.observed(|writer, observers| {
            if is_synced {
                observers.version = version.map(ToOwned::to_owned);
            }
            let is_observed = !observers.is_empty();
            let change = writer.apply_unobserved(event, is_observed);
            let wakers =
                if is_observed { observers.publish(&change.to_deltas(), is_synced) } else { Vec::new() };
            (change, wakers)
        })
    }

    /// See [`apply_with`](Self::apply_with). `is_observed` is whether observers need all deltas of a snapshot.
    fn apply_unobserved(&mut self, event: Event<K>, is_observed: bool) -> Change<K> {
        self.store_finished();
        match event {
            Event::Init => {
                self.snapshot = Some(Snapshot::default());
                self.settled.send_replace(false);
                Change::new(Event::Init)
            }
            Event::InitApply(object) => self.add_listed(object),
            Event::InitDone => self.swap_maps(is_observed),
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => {
                let object = Arc::new(object);
                self.delete(object.key(), Some(object.clone()), Event::Delete(object.clone()))
            }
        }
    }

    /// See [`apply_undecodable`](Self::apply_undecodable).
    pub(crate) fn apply_invalid(&mut self, object: &UndecodableObject) -> Option<Change<K>> {
        self.observed(|writer, observers| {
            let change = writer.apply_invalid_unobserved(object);
            let deltas = change.as_ref().map(Change::to_deltas).unwrap_or_default();
            (change, observers.publish(&deltas, false))
        })
    }

    /// See [`apply_invalid`](Self::apply_invalid).
    fn apply_invalid_unobserved(&mut self, object: &UndecodableObject) -> Option<Change<K>> {
        let key = (object.namespace.as_deref().unwrap_or_default(), object.name.as_deref()?);
        if object.origin == ObjectOrigin::Deleted {
            let listed = self.snapshot.as_ref().and_then(|next| next.objects.get(key).cloned());
            let known = listed.or_else(|| self.shared.read().get(key).cloned());
            let last = self.shared.unpack(&known?)?;
            let change = self.delete(key, None, Event::Delete(last));
            return (!change.is_unknown).then_some(change);
        }
        // The new map may already have a later version.
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

    /// Adds or replaces an object in the readers' map.
    fn put(&mut self, object: K) -> Change<K> {
        let object = Arc::new(object);
        let stored = self.stored_form(&object);
        let old = self.shared.write(|objects| objects.insert(stored));
        self.compact_pages(old.as_ref());
        let (deltas, replaced) = self.deltas_of_put(old, &object, Cause::Watch);
        Change { replaced, deltas, ..Change::new(Event::Apply(object)) }
    }

    /// The deltas after an object took the place of `old`, and `old` if it was another object with the same name.
    fn deltas_of_put(
        &self,
        old: Option<StoredObject<K>>,
        object: &Arc<K>,
        cause: Cause,
    ) -> (DeltaIter<K>, Option<Arc<K>>) {
        let codec = self.shared.codec();
        let delta = |old, new| Delta::new(old, new, cause, codec);
        let codec = codec.map(|codec| &**codec);
        if old.as_ref().is_some_and(|old| old.is_same_version_as(object, codec)) {
            return (None.into_iter().chain(Vec::new()), None);
        }
        let new = StoredObject::Typed(object.clone());
        match old {
            Some(old) if old.is_different_from(&new, codec) => {
                let replaced = self.shared.unpack(&old);
                let deletion = Delta::new(Some(old), None, deletion_cause(cause), self.shared.codec());
                (Some(deletion).into_iter().chain(vec![delta(None, Some(new))]), replaced)
            }
            old => (Some(delta(old, Some(new))).into_iter().chain(Vec::new()), None),
        }
    }

    /// Adds an object to the new map, and shares it with the readers' map if it is unchanged.
    fn add_listed(&mut self, object: K) -> Change<K> {
        let known = self.shared.read().get(object.key()).cloned();
        let codec = self.shared.codec().map(|codec| &**codec);
        let (object, stored, is_known) = match &known {
            Some(known) if known.is_same_version_as(&object, codec) => match known {
                StoredObject::Typed(known) => (known.clone(), StoredObject::Typed(known.clone()), true),
                StoredObject::Packed(known) => (Arc::new(object), StoredObject::Packed(known.clone()), true),
            },
            _ => {
                let object = Arc::new(object);
                let stored = self.stored_form_of_listed(&object);
                (object, stored, false)
            }
        };
        let codec = self.shared.codec().map(|codec| &**codec);
        let replaced = known.filter(|known| {
            !is_known && known.is_different_from(&StoredObject::Typed(object.clone()), codec)
        });
        let replaced = replaced.filter(|_| record_deletion(&mut self.deletions, object.key(), None));
        let replaced = replaced.and_then(|known| self.shared.unpack(&known));
        // An `InitApply` without an `Init` also begins a snapshot.
        if self.snapshot.is_none() {
            self.settled.send_replace(false);
        }
        let next = self.snapshot.get_or_insert_default();
        let recorded = (self.emits_additions && !is_known).then(|| stored.clone());
        let before = next.objects.insert(stored);
        match &before {
            // The list contains the object twice: keep the first one, which is in `listed`.
            Some(before) if before.is_same_version_as(&object, codec) => {
                next.objects.insert(before.clone());
            }
            before => {
                if before.is_some() && recorded.is_some() {
                    next.replaced.insert(owned_key(object.key()));
                }
                next.listed.extend(recorded);
            }
        }
        next.superseded |= before.is_some();
        self.compact_pages(before.as_ref());
        Change { replaced, ..Change::new(Event::InitApply(object)) }
    }

    /// Removes an object. `last` is its final state, if the server reported it.
    fn delete(&mut self, key: (&str, &str), last: Option<Arc<K>>, event: Event<Arc<K>>) -> Change<K> {
        let mut change = Change::new(event);
        let removed = if let Some(next) = &mut self.snapshot {
            // The readers' map stays unchanged until the swap.
            let listed = next.objects.remove(key);
            let known = self.shared.read().get(key).cloned();
            if known.is_some() || listed.is_some() {
                next.superseded = true;
                next.deleted.insert(owned_key(key));
            }
            let codec = self.shared.codec().map(|codec| &**codec);
            // The deletion of another object with the same name, which could not be decoded before, says nothing about
            // the final state of the known object.
            let differs = |known: &StoredObject<K>, last: &Arc<K>| {
                known.is_different_from(&StoredObject::Typed(last.clone()), codec)
            };
            let is_same = known.is_some_and(|known| last.as_ref().is_none_or(|last| !differs(&known, last)));
            let is_first = is_same && record_deletion(&mut self.deletions, key, last);
            change.is_unknown = listed.is_none() && !is_first;
            listed
        } else {
            let removed = self.shared.write(|objects| objects.remove(key));
            change.is_unknown = removed.is_none();
            let codec = self.shared.codec();
            let delta = |old| Delta::new(Some(old), None, Cause::Watch, codec).with_last(last);
            change.deltas = removed.clone().map(delta).into_iter().chain(Vec::new());
            removed
        };
        self.compact_pages(removed.as_ref());
        change
    }

    /// Completes a snapshot: replaces the readers' map by the new map. Observers need all differences, even if the
    /// caller, which receives the [`Change`], needs only the deletions.
    fn swap_maps(&mut self, is_observed: bool) -> Change<K> {
        if let Some(codec) = self.shared.codec() {
            self.packing.flush(codec);
        }
        let mut change = Change::new(Event::InitDone);
        if let Some(Snapshot { objects, listed, superseded, deleted, replaced }) = self.snapshot.take() {
            let old = self.shared.write(|current| std::mem::replace(current, objects));
            let cause = if *self.ready.borrow() { Cause::Relist } else { Cause::Initial };
            let deletions = std::mem::take(&mut self.deletions);
            // Compare after releasing the write lock, so that readers can continue.
            let new = self.shared.read();
            let codec = self.shared.codec();
            let is_unrecorded = is_observed && !self.emits_additions;
            let (listed, superseded) =
                if is_unrecorded { (differences(&old, &new), false) } else { (listed, superseded) };
            let swap =
                Swap { old, new: &new, listed, superseded, deleted, replaced, deletions, cause, codec };
            change.deltas = None.into_iter().chain(swap.deltas());
            drop(new);
            self.compact_all_pages();
        }
        self.ready.send_replace(true);
        self.settled.send_replace(true);
        change
    }
}

/// Records a deletion that is emitted before the snapshot is complete. `last` is the final state of the object, if the
/// server reported it. Returns true for the first record of the object.
fn record_deletion<K>(deletions: &mut Deletions<K>, key: (&str, &str), last: Option<Arc<K>>) -> bool {
    match deletions.entry(owned_key(key)) {
        Entry::Occupied(mut known) => {
            if last.is_some() {
                known.insert(last);
            }
            false
        }
        Entry::Vacant(entry) => {
            entry.insert(last);
            true
        }
    }
}

/// The cause of the deletion of an object that another one with the same name replaced for this cause: a relist does
/// not report the final state.
fn deletion_cause(cause: Cause) -> Cause {
    if cause == Cause::Relist { Cause::Vanished } else { cause }
}

impl<K> fmt::Debug for Writer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("relisting", &self.snapshot.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
