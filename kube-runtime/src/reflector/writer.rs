//! `Writer`: the one that changes a store.

use super::compact::{Codec, Held, Scratch, Storage};
use super::objects::{Objects, Placed, place};
use super::packing::{Batch, Packing};
use super::page::{Loose, Move, Packed};
use super::store::{Shared, Store};
use crate::watcher::Event;
use foldhash::HashSet;
use kube_client::Resource;
use kube_client::core::{ObjectOrigin, UndecodableObject};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::watch;

/// How many objects move to other pages while readers wait.
const MOVES_AT_ONCE: usize = 256;

/// The one that changes a store. Dropping it leaves readers with the last state.
pub struct Writer<K> {
    shared: Arc<Shared<K>>,
    /// The new state, between `Init` and `InitDone`.
    next: Option<Objects<Held<K>>>,
    /// Objects of the state before whose deletion was reported while the new one was built, and that have not come again. A
    /// relist that begins anew must not report their deletion a second time.
    deleted: HashSet<(String, String)>,
    scratch: Scratch,
    loose: Loose,
    packing: Packing<K>,
    ready: watch::Sender<bool>,
}

/// A store without objects, and its writer.
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

/// As [`store()`], and says how objects are kept.
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
    let shared = Arc::new(Shared::new(storage.codec));
    let (scratch, loose, packing) = (Scratch::default(), Loose::default(), Packing::default());
    let (next, deleted, ready) = (None, HashSet::default(), watch::Sender::new(false));
    let writer = Writer { shared, next, deleted, scratch, loose, packing, ready };
    (writer.as_reader(), writer)
}

/// What has become of an event in the store.
#[non_exhaustive]
pub struct Change<K> {
    /// The event, its object shared with a store that keeps objects as they are.
    pub event: Event<Arc<K>>,
    /// After `InitDone`: the objects that were there before and are no longer, unless their deletion was an event.
    pub vanished: Vec<Arc<K>>,
    /// For a deletion: whether the last complete state has the object, and this is the first event of its deletion.
    pub(crate) deletes_known: bool,
    previous: Option<Held<K>>,
    codec: Option<Arc<Codec<K>>>,
}

impl<K> Change<K> {
    /// What the event took the place of: the object's state before.
    pub fn previous(&self) -> Option<Arc<K>> {
        match self.previous.as_ref()? {
            Held::Typed(object) => Some(object.clone()),
            Held::Packed(packed) => self.codec.as_ref()?.unpack(packed),
        }
    }
}

impl<K> fmt::Debug for Change<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("replaces", &self.previous.is_some())
            .field("vanished", &self.vanished.len())
            .finish_non_exhaustive()
    }
}

impl<K> Writer<K> {
    /// A reader of the store.
    pub fn as_reader(&self) -> Store<K> {
        Store { shared: self.shared.clone(), ready: self.ready.subscribe() }
    }
}

impl<K: Resource> Writer<K> {
    /// Takes an event into the store. The object is moved, not copied.
    ///
    /// Between [`Event::Init`] and [`Event::InitDone`] readers keep the state before; the new one is swapped in at the end.
    pub fn apply_watcher_event(&mut self, event: Event<K>) -> Change<K> {
        while let Some(batch) = self.packing.next_done() {
            self.take_packed(batch);
        }
        let mut deletes_known = false;
        let (event, previous) = match event {
            Event::Init => {
                self.next = Some(Objects::default());
                (Event::Init, None)
            }
            Event::InitApply(object) => {
                let (object, previous) = self.add(object);
                (Event::InitApply(object), previous)
            }
            Event::InitDone => return self.swap(),
            Event::Apply(object) => {
                let object = Arc::new(object);
                let held = self.hold(&object);
                let previous = self.shared.write(|objects| objects.insert(held));
                (Event::Apply(object), previous)
            }
            Event::Delete(object) => {
                let (previous, known) = self.remove(place(object.meta()));
                deletes_known = known;
                (Event::Delete(Arc::new(object)), previous)
            }
        };
        self.settle(previous.as_ref());
        Change { deletes_known, ..self.change(event, previous) }
    }

    fn change(&self, event: Event<Arc<K>>, previous: Option<Held<K>>) -> Change<K> {
        let codec = previous.as_ref().and_then(|_| self.shared.codec().cloned());
        Change { event, previous, vanished: Vec::new(), deletes_known: false, codec }
    }

    /// The form in which the store keeps an object.
    fn hold(&mut self, object: &Arc<K>) -> Held<K> {
        let Some(codec) = self.shared.codec() else { return Held::Typed(object.clone()) };
        let Some(packed) = codec.pack(object, &mut self.scratch) else { return Held::Typed(object.clone()) };
        self.loose.add(&packed);
        Held::Packed(packed)
    }

    /// The form in which the store keeps one of many objects for now: it may get another one soon.
    fn hold_for_now(&mut self, object: &Arc<K>) -> Held<K> {
        match self.shared.codec() {
            Some(codec) if codec.is_settled() && self.packing.take(codec, object) => {
                Held::Typed(object.clone())
            }
            _ => self.hold(object),
        }
    }

    /// Waits until all that is on its way to becoming text has become it.
    pub(super) fn poll_packed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(batch) = ready!(self.packing.poll_next(cx)) {
            self.take_packed(batch);
        }
        Poll::Ready(())
    }

    /// Puts texts in the place of objects that are there still.
    fn take_packed(&mut self, batch: Batch<K>) {
        let Self { shared, next, loose, .. } = self;
        for (object, packed) in batch.packed() {
            let put = |objects: &mut Objects<Held<K>>| {
                let held = objects.get_mut(packed.place()).filter(|held| held.is_object(object));
                held.map(|held| *held = Held::Packed(packed.clone())).is_some()
            };
            // In both where a relist has found the object again.
            let (new, old) = (next.as_mut().is_some_and(put), shared.write(put));
            if new || old {
                loose.add(packed);
            }
        }
        self.packing.reuse(batch);
        self.settle(None);
    }

    /// Once there are enough of them, moves objects that came alone to a page that they share, and those that are left on a
    /// page from which most are `gone`.
    fn settle(&mut self, gone: Option<&Held<K>>) {
        if let Some(Held::Packed(gone)) = gone {
            self.loose.add_rest(gone);
        }
        if !self.loose.is_enough() {
            return;
        }
        let Self { shared, next, loose, .. } = self;
        let holds = |objects: &Objects<Held<K>>, packed: &Packed| {
            objects.get(packed.place()).is_some_and(|held| held.is(packed))
        };
        let moves = {
            let objects = shared.read();
            loose.settle(|packed| {
                holds(&objects, packed) || next.as_ref().is_some_and(|next| holds(next, packed))
            })
        };
        let apply = |moves: &[Move], objects: &mut Objects<Held<K>>| {
            for Move { from, to } in moves {
                if let Some(held) = objects.get_mut(from.place()).filter(|held| held.is(from)) {
                    *held = Held::Packed(to.clone());
                }
            }
        };
        if let Some(next) = next {
            apply(&moves, next);
        }
        // After a relist there may be many, and readers need not wait for all.
        for moves in moves.chunks(MOVES_AT_ONCE) {
            shared.write(|objects| apply(moves, objects));
        }
    }

    /// As [`settle`](Self::settle), after a state has gone that may have been the last to hold much of what is on its pages. Typed
    /// objects have none, and are not looked through.
    fn settle_all(&mut self) {
        if self.shared.codec().is_none() {
            return;
        }
        for held in self.shared.read().iter() {
            if let Held::Packed(packed) = held {
                self.loose.add_rest(packed);
            }
        }
        self.settle(None);
    }

    /// Takes note of an object that does not decode: what is known of it stays, and goes only when it is deleted, which
    /// comes out as a deletion of the last state that was known.
    pub fn apply_undecodable(&mut self, object: &UndecodableObject) -> Option<Change<K>> {
        let place = (object.namespace.as_deref().unwrap_or_default(), object.name.as_deref()?);
        if object.origin == ObjectOrigin::Deleted {
            let (previous, deletes_known) = self.remove(place);
            let previous = previous?;
            self.settle(Some(&previous));
            let last = self.shared.unpack(previous.clone())?;
            return Some(Change { deletes_known, ..self.change(Event::Delete(last), Some(previous)) });
        }
        // The new state may know a later version than readers do.
        if let Some(next) = &mut self.next
            && next.get(place).is_none()
            && !self.deleted.contains(&owned(place))
            && let Some(known) = self.shared.read().get(place)
        {
            next.insert(known.clone());
        }
        None
    }

    /// Adds to the state under construction. An object that has not changed stays the one that readers have already.
    ///
    /// What was there before is what this state has held of it so far, else what readers have.
    fn add(&mut self, object: K) -> (Arc<K>, Option<Held<K>>) {
        // One that was deleted and has come again is new.
        let again = !self.deleted.is_empty() && self.deleted.remove(&owned(place(object.meta())));
        let known = if again { None } else { self.shared.read().get(place(object.meta())).cloned() };
        let previous = known;
        let codec = self.shared.codec().map(|codec| &**codec);
        let (object, held) = match &previous {
            Some(known) if known.is_that_version_of(&object, codec) => match known {
                Held::Typed(known) => (known.clone(), Held::Typed(known.clone())),
                Held::Packed(known) => (Arc::new(object), Held::Packed(known.clone())),
            },
            _ => {
                let object = Arc::new(object);
                let held = self.hold_for_now(&object);
                (object, held)
            }
        };
        // An `InitApply` without an `Init` begins a state, too.
        let again = self.next.get_or_insert_default().insert(held);
        (object, again.or(previous))
    }

    /// The last state of the object, and whether the last complete state has it and its deletion has not been reported.
    fn remove(&mut self, place: (&str, &str)) -> (Option<Held<K>>, bool) {
        let Some(next) = &mut self.next else {
            let previous = self.shared.write(|objects| objects.remove(place));
            let known = previous.is_some();
            return (previous, known);
        };
        // The old state stays whole until the new one is.
        let known = self.shared.read().get(place).cloned();
        let known = known.filter(|_| self.deleted.insert(owned(place)));
        let deletes_known = known.is_some();
        (next.remove(place).or(known), deletes_known)
    }

    fn swap(&mut self) -> Change<K> {
        let mut vanished = Vec::new();
        if let Some(codec) = self.shared.codec() {
            self.packing.flush(codec);
        }
        if let Some(next) = self.next.take() {
            let old = self.shared.write(|objects| std::mem::replace(objects, next));
            // Outside the writer's lock: readers may go on while the two states are compared.
            let missing = old.missing_from(&self.shared.read());
            let deleted = std::mem::take(&mut self.deleted);
            let missing = missing
                .into_iter()
                .filter(|held| deleted.is_empty() || !deleted.contains(&owned(held.place())));
            vanished = missing.filter_map(|held| self.shared.unpack(held)).collect();
            self.settle_all();
        }
        self.ready.send_replace(true);
        Change { vanished, ..self.change(Event::InitDone, None) }
    }
}

fn owned((namespace, name): (&str, &str)) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}

impl<K> fmt::Debug for Writer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("relisting", &self.next.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
