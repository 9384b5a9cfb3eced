//! `Writer`: applies events to a store. It is the only code that modifies a store, and the only interpreter of the
//! events of a snapshot: all consumers of a store receive its [`Delta`]s.

mod invalid;
mod observed;
mod packed;
mod relisted;

use super::change::{Change, DeltaIter, Effect};
use super::compact::Storage;
use super::delta::{Cause, Delta};
use super::modify::Modify;
use super::object_map::Keyed;
use super::packing::Packing;
use super::page::MoveQueue;
use super::snapshot::{Deletions, Listed, Snapshot, Swap, owned_key};
use super::store::{Shared, Store};
use super::stored_object::{StoredObject, is_same_version};
use super::wire_object::WireObject;
use crate::watcher::{self, Event, Storable};
use kube_client::api::raw::Convert;
use kube_client::core::UndecodableObject;
use kube_client::{Api, Resource};
use observed::differences;
use packed::Outdated;
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
    /// Whether a snapshot results in deltas of additions and modifications, in addition to those of deletions.
    emits_additions: bool,
    /// Changes each object before it is stored.
    modify: Modify<K>,
    /// Packed objects to move to shared pages.
    move_queue: MoveQueue,
    /// Objects that other threads pack.
    packing: Packing<K>,
    /// Objects to compress again, with a better method.
    outdated: Outdated,
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
        deletions: Deletions::default(),
        emits_additions: true,
        modify: storage.modify,
        move_queue: MoveQueue::default(),
        packing: Packing::default(),
        outdated: Outdated::default(),
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
    pub(super) fn modifier(&self) -> Modify<K> {
        self.modify.clone()
    }

    /// The function that packs the texts of a collection for this store; `None` if the store needs decoded objects.
    pub(super) fn packs_texts_of(&self, api: &Api<K>) -> Option<Arc<Convert<WireObject>>>
    where
        K: 'static,
    {
        if self.modify.is_set() {
            return None;
        }
        self.shared.codec()?.packs_texts_of(api)
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

    /// Applies the event of an undecodable object: the store keeps the object's last state until the object is deleted.
    /// If the event is the deletion of an object that the store or the snapshot in progress contains, returns the
    /// deletion.
    pub fn apply_undecodable(&mut self, object: &UndecodableObject) -> Option<Change<K>> {
        let (last, effect) = self.effect_of_invalid(object)?;
        let last = self.shared.unpack(&last)?;
        Some(effect.of_event(Event::Delete(last), &self.shared))
    }
}

impl<K: Storable> Writer<K> {
    /// Applies the function of [`Storage::modify`] to the object of an item. The item becomes an error if the function
    /// panics.
    pub(crate) fn modify(&self, item: &mut watcher::Result<Event<K>>) {
        self.modify.apply_to_item(item);
    }

    /// The item of a watcher with its object [modified](Self::modify), for [`apply_stored`](Self::apply_stored).
    pub(crate) fn receive(
        &self,
        mut item: watcher::Result<Event<K>>,
    ) -> watcher::Result<Event<StoredObject<K>>> {
        self.modify(&mut item);
        item.map(|event| self.in_pointers(event).map(StoredObject::Typed))
    }

    /// Wraps the object of an event in an `Arc`. If the store contains a listed object unchanged, uses the store's
    /// `Arc`, so that a relist allocates only the changed objects.
    fn in_pointers(&self, event: Event<K>) -> Event<Arc<K>> {
        let Event::InitApply(object) = event else { return event.map(Arc::new) };
        let known = match self.shared.read().get(object.key()) {
            Some(StoredObject::Typed(known)) if is_same_version(&**known, &object) => Some(known.clone()),
            _ => None,
        };
        Event::InitApply(known.unwrap_or_else(|| Arc::new(object)))
    }

    /// See [`apply_watcher_event`](Self::apply_watcher_event). The event is already [modified](Self::modify).
    pub(crate) fn apply(&mut self, event: Event<K>) -> Change<K> {
        let event = self.in_pointers(event);
        let effect = self.effect_of(event.clone().map(StoredObject::Typed), None);
        effect.of_event(event, &self.shared)
    }

    /// Applies an event to the store. Returns the changes of the store. `version` is the resource version of the
    /// snapshot that the event completes.
    pub(crate) fn apply_stored(
        &mut self,
        event: Event<StoredObject<K>>,
        version: Option<&str>,
    ) -> DeltaIter<K> {
        self.effect_of(event, version).deltas
    }

    /// Applies an event, and passes the deltas to the observers.
    fn effect_of(&mut self, event: Event<StoredObject<K>>, version: Option<&str>) -> Effect<K> {
        // These events do not change the readers' map.
        if matches!(event, Event::Init | Event::InitApply(_)) {
            return self.apply_unobserved(event, false);
        }
        let is_synced = matches!(event, Event::InitDone);
        self.observed(|writer, observers| {
            if is_synced {
                observers.version = version.map(ToOwned::to_owned);
            }
            let is_observed = !observers.remove_dropped();
            let effect = writer.apply_unobserved(event, is_observed);
            let wakers =
                if is_observed { observers.publish(&effect.to_deltas(), is_synced) } else { Vec::new() };
            // A reader that waits for the store expects that its indexes are complete, too.
            if is_synced {
                writer.ready.send_replace(true);
                writer.settled.send_replace(true);
            }
            (effect, wakers)
        })
    }

    /// See [`effect_of`](Self::effect_of). `is_observed` is whether observers need all deltas of a snapshot.
    fn apply_unobserved(&mut self, event: Event<StoredObject<K>>, is_observed: bool) -> Effect<K> {
        self.store_finished();
        match event {
            Event::Init => {
                self.snapshot = Some(Snapshot::default());
                self.settled.send_replace(false);
                Effect::none()
            }
            Event::InitApply(object) => self.add_listed(&object),
            Event::InitDone => self.swap_maps(is_observed),
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => self.delete(object.key(), Some(object.clone())),
        }
    }

    /// Adds or replaces an object in the readers' map.
    fn put(&mut self, object: StoredObject<K>) -> Effect<K> {
        let stored = self.stored_form(&object);
        let (old, known) = self.shared.write(|objects| objects.put(stored));
        self.compact_pages(old.as_ref());
        let (deltas, replaced) = self.deltas_of_put(old, object, Cause::Watch);
        Effect { replaced, known, ..Effect::of(deltas) }
    }

    /// The deltas after an object took the place of `old`, and `old` if it was another object with the same name.
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
            old => (DeltaIter::one(delta(old, Some(new))), None),
        }
    }

    /// Adds an object to the new map, and shares it with the readers' map if it is unchanged.
    fn add_listed(&mut self, object: &StoredObject<K>) -> Effect<K> {
        let known = self.shared.read().get(object.key()).cloned();
        let codec = self.shared.codec().map(|codec| &**codec);
        let unchanged = known.clone().filter(|known| known.is_same_version_as(object, codec));
        let is_known = unchanged.is_some();
        let mut effect = Effect::none();
        if let Some(StoredObject::Typed(known)) = &unchanged {
            effect.known = Some(known.clone());
        }
        let stored = unchanged.unwrap_or_else(|| self.stored_form_of_listed(object));
        let codec = self.shared.codec().map(|codec| &**codec);
        let replaced = known.filter(|known| !is_known && known.is_different_from(object, codec));
        effect.replaced = replaced.filter(|_| record_deletion(&mut self.deletions, object.key(), None));
        // An `InitApply` without an `Init` also begins a snapshot.
        if self.snapshot.is_none() {
            self.settled.send_replace(false);
        }
        let next = self.snapshot.get_or_insert_default();
        let recorded = (self.emits_additions && !is_known).then(|| Listed::of(&stored, &next.objects));
        let before = next.objects.insert(stored);
        match &before {
            // The list contains the object twice: keep the first one, which is in `listed`.
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

    /// Removes an object. `last` is its final state, if the server reported it.
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
            // `last` can be the state of a successor with the same name and another uid, which is not known because it
            // did not decode. Such a state is not the final state of `known`.
            let is_same = known
                .is_some_and(|known| last.as_ref().is_none_or(|last| !known.is_different_from(last, codec)));
            let is_first = is_same && record_deletion(&mut self.deletions, key, last);
            effect.is_unknown = listed.is_none() && !is_first;
            listed
        } else {
            let removed = self.shared.write(|objects| objects.remove(key));
            effect.is_unknown = removed.is_none();
            let codec = self.shared.codec();
            let delta = |old| Delta::new(Some(old), None, Cause::Watch, codec).with_last(last);
            effect.deltas = removed.clone().map(delta).map_or_else(DeltaIter::empty, DeltaIter::one);
            removed
        };
        self.compact_pages(removed.as_ref());
        effect
    }

    /// Completes a snapshot: replaces the readers' map by the new map. Observers need all differences, even if the
    /// caller, which receives the [`Effect`], needs only the deletions.
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
            let is_unrecorded = is_observed && !self.emits_additions;
            let (listed, superseded) =
                if is_unrecorded { (differences(&old, &new), false) } else { (listed, superseded) };
            let swap =
                Swap { old, new: &new, listed, superseded, deleted, replaced, deletions, cause, codec };
            effect.deltas = swap.deltas();
            drop(new);
            self.compact_all_pages();
        }
        effect
    }
}

/// Records a deletion that is emitted before the snapshot is complete. `last` is the final state of the object, if the
/// server reported it. Returns true for the first record of the object.
fn record_deletion<K>(
    deletions: &mut Deletions<K>,
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

/// The cause of the deletion of an object that another object with the same name replaced. `cause` is the cause of the
/// replacement; a relist does not report the final state of the deleted object.
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
