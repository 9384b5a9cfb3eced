//! `Writer`: applies events to a store. It is the only code that modifies a store. It compares each snapshot
//! with the previous content, and passes the differences to the observers of the store as [`Delta`]s. So the
//! observers do not interpret the events of a snapshot.

mod packed_objects;
mod part_relist;
mod publishing;
mod undecodable_objects;

use super::change::{Change, DeltaIter, Effect};
use super::compact::Storage;
use super::delta::{Cause, Delta};
use super::modifier::Modifier;
use super::object_map::Keyed;
use super::packing::PackingBatches;
use super::page::MoveQueue;
use super::snapshot::{ContentSwap, EmittedDeletions, ListedObject, Snapshot, owned_key};
use super::store::{Shared, Store};
use super::stored_object::{StoredObject, is_same_version};
use super::wire_object::WireObject;
use crate::watcher::{self, Event, Storable};
use kube_client::api::raw::Convert;
use kube_client::core::UndecodableObject;
use kube_client::{Api, Resource};
use packed_objects::OutdatedKeys;
use publishing::added_and_changed_objects;
use std::{collections::hash_map::Entry, fmt, sync::Arc};
use tokio::sync::watch;

/// The maximum number of objects that the writer moves to other pages before it releases the write lock.
const MAX_MOVES_PER_LOCK: usize = 256;

/// The only handle that modifies a store. After the writer is dropped, readers keep the last state.
pub struct Writer<K> {
    shared: Arc<Shared<K>>,
    /// The snapshot in progress: `Some` between the events `Init` and `InitDone`.
    snapshot: Option<Snapshot<K>>,
    /// Objects in the readers' map whose deletion was emitted as an event since the last complete snapshot. If the relist
    /// restarts, the writer must not emit the deletion as an event again.
    deletions: EmittedDeletions<K>,
    /// Whether the writer records the objects that a snapshot adds or modifies. If it does not record them,
    /// and the store has no observers, the deltas of the snapshot contain only deletions.
    records_additions: bool,
    /// Changes each object before it is stored.
    modify: Modifier<K>,
    /// Packed objects to move to shared pages.
    move_queue: MoveQueue,
    /// Objects that other threads pack.
    packing: PackingBatches<K>,
    /// Objects to compress again, with a better method.
    outdated: OutdatedKeys,
    /// Whether the first snapshot is complete.
    ready: watch::Sender<bool>,
    /// Whether the first snapshot is complete, and no later snapshot is in progress.
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

/// Like [`store()`], with a storage format.
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
        deletions: EmittedDeletions::default(),
        records_additions: true,
        modify: storage.modify,
        move_queue: MoveQueue::default(),
        packing: PackingBatches::default(),
        outdated: OutdatedKeys::default(),
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

    /// The function that changes each object before it is stored.
    pub(super) fn modifier(&self) -> Modifier<K> {
        self.modify.clone()
    }

    /// The function that packs the objects of `api` from the text of the responses. Returns `None` if the store contains
    /// typed objects, if a function modifies the objects, or if the store has texts of another `apiVersion` or `kind`.
    pub(super) fn text_packer_for(&self, api: &Api<K>) -> Option<Arc<Convert<WireObject>>>
    where
        K: 'static,
    {
        if self.modify.is_set() {
            return None;
        }
        self.shared.codec()?.text_packer_for(api)
    }

    /// Disables the recording of the objects that a snapshot adds or modifies. This saves memory. Call this
    /// method if you need only the deletions of a snapshot.
    pub(super) fn record_only_deletions(mut self) -> Self {
        self.records_additions = false;
        self
    }
}

impl<K> Default for Writer<K> {
    /// The writer of a new, empty store. For a reader, call [`as_reader`](Self::as_reader).
    fn default() -> Self {
        store().1
    }
}

impl<K: Resource> Writer<K> {
    /// The writer of a new, empty store. For a reader, call [`as_reader`](Self::as_reader). `dyntype` is not used: a
    /// store needs no run-time data about the kind.
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

    /// Applies an event to the store. An owned event moves its object into the store; a borrowed event is cloned.
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
    /// Between [`Event::Init`] and [`Event::InitDone`], readers see the previous content. At `InitDone`, the new content
    /// replaces the previous content at once.
    pub fn apply_watcher_event(&mut self, event: impl Into<Event<K>>) -> Change<K> {
        let mut event = event.into();
        self.modify.apply_to_event(&mut event);
        self.apply(event)
    }

    /// Applies the event of an undecodable object. The store keeps the last state of the object until the
    /// object is deleted.
    ///
    /// Returns the deletion if the event deletes an object that the store or the snapshot in progress
    /// contains. Returns `None` for every other event, and if an earlier event already deleted the object.
    pub fn apply_undecodable(&mut self, object: &UndecodableObject) -> Option<Change<K>> {
        let (last, effect) = self.apply_undecodable_and_publish(object)?;
        let last = self.shared.unpack(&last)?;
        Some(effect.into_change(Event::Delete(last), &self.shared))
    }
}

impl<K: Storable> Writer<K> {
    /// Applies the function of [`Storage::modify`] to the object of an item. The item becomes an error if the function
    /// panics.
    pub(crate) fn modify(&self, item: &mut watcher::Result<Event<K>>) {
        self.modify.apply_to_item(item);
    }

    /// Prepares the item of a watcher for [`apply_stored`](Self::apply_stored): [modifies](Self::modify) the object of the
    /// item, and wraps the object in an `Arc`.
    pub(crate) fn prepare_item(
        &self,
        mut item: watcher::Result<Event<K>>,
    ) -> watcher::Result<Event<StoredObject<K>>> {
        self.modify(&mut item);
        item.map(|event| self.wrap_in_arc(event).map(StoredObject::Typed))
    }

    /// Wraps the object of an event in an `Arc`. For a listed object, uses the `Arc` of the store if the store contains
    /// the same version of the object, so that a relist keeps no second copy of an unchanged object.
    fn wrap_in_arc(&self, event: Event<K>) -> Event<Arc<K>> {
        let Event::InitApply(object) = event else { return event.map(Arc::new) };
        let known = match self.shared.read().get(object.key()) {
            Some(StoredObject::Typed(known)) if is_same_version(&**known, &object) => Some(known.clone()),
            _ => None,
        };
        Event::InitApply(known.unwrap_or_else(|| Arc::new(object)))
    }

    /// Like [`apply_watcher_event`](Self::apply_watcher_event), for an event whose object is already
    /// [modified](Self::modify).
    pub(crate) fn apply(&mut self, event: Event<K>) -> Change<K> {
        let event = self.wrap_in_arc(event);
        let effect = self.apply_and_publish(event.clone().map(StoredObject::Typed), None);
        effect.into_change(event, &self.shared)
    }

    /// Applies an event to the store. Returns the changes of the store. `version` is the resource version of the
    /// snapshot that the event completes.
    pub(crate) fn apply_stored(
        &mut self,
        event: Event<StoredObject<K>>,
        version: Option<&str>,
    ) -> DeltaIter<K> {
        self.apply_and_publish(event, version).deltas
    }

    /// Applies an event, and passes the deltas to the observers.
    fn apply_and_publish(&mut self, event: Event<StoredObject<K>>, version: Option<&str>) -> Effect<K> {
        // These events do not change the readers' map.
        if matches!(event, Event::Init | Event::InitApply(_)) {
            return self.apply_without_publishing(event, false);
        }
        let is_synced = matches!(event, Event::InitDone);
        self.with_observers(|writer, observers| {
            if is_synced {
                observers.version = version.map(ToOwned::to_owned);
            }
            let is_observed = !observers.remove_dropped();
            let effect = writer.apply_without_publishing(event, is_observed);
            let wakers = if is_observed {
                observers.publish_deltas(&effect.to_deltas(), is_synced)
            } else {
                Vec::new()
            };
            // Do this last: a reader that waits for the store expects complete indexes.
            if is_synced {
                writer.ready.send_replace(true);
                writer.settled.send_replace(true);
            }
            (effect, wakers)
        })
    }

    /// Applies an event, and does not pass the deltas to the observers; see
    /// [`apply_and_publish`](Self::apply_and_publish). `is_observed` tells whether the store has observers,
    /// which need all deltas of a snapshot. Only `InitDone` uses `is_observed`.
    fn apply_without_publishing(&mut self, event: Event<StoredObject<K>>, is_observed: bool) -> Effect<K> {
        self.store_finished_batches();
        match event {
            Event::Init => {
                self.snapshot = Some(Snapshot::default());
                self.settled.send_replace(false);
                Effect::none()
            }
            Event::InitApply(object) => self.add_listed_object(&object),
            Event::InitDone => self.swap_maps(is_observed),
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => self.delete(object.key(), Some(object.clone())),
        }
    }

    /// Adds or replaces an object in the readers' map.
    fn put(&mut self, object: StoredObject<K>) -> Effect<K> {
        let stored = self.prepare_for_storage(&object);
        let (old, known) = self.shared.write(|objects| objects.put(stored));
        self.compact_pages(old.as_ref());
        let (deltas, replaced) = self.deltas_of_put(old, object, Cause::Watch);
        Effect { replaced, known, ..Effect::of_deltas(deltas) }
    }

    /// The deltas of the replacement of `old` by `new`. The second value is `old` if `new` is another object with the same
    /// name.
    fn deltas_of_put(
        &self,
        old: Option<StoredObject<K>>,
        new: StoredObject<K>,
        cause: Cause,
    ) -> (DeltaIter<K>, Option<StoredObject<K>>) {
        let codec = self.shared.codec();
        let delta = |old, new| Delta::new(old, new, cause, codec);
        let codec = codec.map(|codec| &**codec);
        if old.as_ref().is_some_and(|old| old.is_same_version_as(&new, codec)) {
            return (DeltaIter::empty(), None);
        }
        match old {
            Some(old) if old.is_different_from(&new, codec) => {
                let deletion =
                    Delta::new(Some(old.clone()), None, deletion_cause(cause), self.shared.codec());
                (DeltaIter::from_iter([deletion, delta(None, Some(new))]), Some(old))
            }
            old => (DeltaIter::once(delta(old, Some(new))), None),
        }
    }

    /// Adds an object to the snapshot in progress. If the object is unchanged, the snapshot and the readers' map share the
    /// object.
    fn add_listed_object(&mut self, object: &StoredObject<K>) -> Effect<K> {
        let known = self.shared.read().get(object.key()).cloned();
        let codec = self.shared.codec().map(|codec| &**codec);
        let unchanged = known.clone().filter(|known| known.is_same_version_as(object, codec));
        let is_known = unchanged.is_some();
        let mut effect = Effect::none();
        if let Some(StoredObject::Typed(known)) = &unchanged {
            effect.known = Some(known.clone());
        }
        let stored = unchanged.unwrap_or_else(|| self.prepare_listed_object(object));
        let codec = self.shared.codec().map(|codec| &**codec);
        let replaced = known.filter(|known| !is_known && known.is_different_from(object, codec));
        effect.replaced = replaced.filter(|_| record_deletion(&mut self.deletions, object.key(), None));
        // If no `Init` came before, this `InitApply` begins the snapshot.
        if self.snapshot.is_none() {
            self.settled.send_replace(false);
        }
        let next = self.snapshot.get_or_insert_default();
        let recorded =
            (self.records_additions && !is_known).then(|| ListedObject::of(&stored, &next.objects));
        let before = next.objects.insert(stored);
        match &before {
            // The list contains this state of the object twice: keep the first copy, because `listed` may contain that copy.
            Some(before) if before.is_same_version_as(object, codec) => {
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
        effect
    }

    /// Removes an object. `last` is the final state of the object, if the server reported a final state.
    fn delete(&mut self, key: (&str, &str), last: Option<StoredObject<K>>) -> Effect<K> {
        let mut effect = Effect::none();
        let removed = if let Some(next) = &mut self.snapshot {
            // The readers' map stays unchanged until the swap.
            let listed = next.objects.remove(key);
            let known = self.shared.read().get(key).cloned();
            if known.is_some() || listed.is_some() {
                next.superseded = true;
                next.deleted.insert(owned_key(key));
            }
            let codec = self.shared.codec().map(|codec| &**codec);
            // `last` can belong to another object than `known`: an object with the same name and another uid.
            // This happens if the new object could not be decoded, because the store then still contains the
            // old object. In this case, `last` is not the final state of `known`.
            let is_same = known
                .is_some_and(|known| last.as_ref().is_none_or(|last| !known.is_different_from(last, codec)));
            let is_first = is_same && record_deletion(&mut self.deletions, key, last);
            effect.is_unknown = listed.is_none() && !is_first;
            listed
        } else {
            let removed = self.shared.write(|objects| objects.remove(key));
            effect.is_unknown = removed.is_none();
            let codec = self.shared.codec();
            let delta = |old| Delta::new(Some(old), None, Cause::Watch, codec).with_final_state(last);
            effect.deltas = removed.clone().map(delta).map_or_else(DeltaIter::empty, DeltaIter::once);
            removed
        };
        self.compact_pages(removed.as_ref());
        effect
    }

    /// Completes a snapshot: replaces the readers' map by the map of the snapshot. If `is_observed`, the effect contains all
    /// differences, because observers need them. Otherwise, the effect may contain only the deletions.
    fn swap_maps(&mut self, is_observed: bool) -> Effect<K> {
        if let Some(codec) = self.shared.codec() {
            self.packing.flush(codec);
        }
        let mut effect = Effect::none();
        if let Some(Snapshot { objects, listed, superseded, deleted, replaced }) = self.snapshot.take() {
            let old = self.shared.write(|current| std::mem::replace(current, objects));
            let cause = if *self.ready.borrow() { Cause::Relist } else { Cause::Initial };
            let deletions = std::mem::take(&mut self.deletions);
            // Compare after releasing the write lock, so that readers can continue.
            let new = self.shared.read();
            let codec = self.shared.codec();
            let is_unrecorded = is_observed && !self.records_additions;
            let (listed, superseded) = if is_unrecorded {
                (added_and_changed_objects(&old, &new), false)
            } else {
                (listed, superseded)
            };
            let swap = ContentSwap {
                old,
                new: &new,
                listed,
                superseded,
                deleted,
                replaced,
                deletions,
                cause,
                codec,
            };
            effect.deltas = swap.deltas();
            drop(new);
            self.compact_all_pages();
        }
        effect
    }
}

/// Records a deletion that is emitted before the snapshot is complete. `last` is the final state of the object, if the
/// server reported a final state. Returns whether this is the first record of the object.
fn record_deletion<K>(
    deletions: &mut EmittedDeletions<K>,
    key: (&str, &str),
    last: Option<StoredObject<K>>,
) -> bool {
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

/// If another object with the same name replaces an object, a deletion of the old object is emitted. Returns the cause of
/// that deletion; `cause` is the cause of the replacement. Both causes are the same, except in a relist, which does not
/// report the final state of the old object.
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
