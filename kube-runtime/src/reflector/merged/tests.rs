//! A model test of merged stores: random changes, lists, relists that restart, and watches that lag behind each other.

use super::*;
use crate::random::{Rng, check_model};
use crate::reflector::{DeltaKind, Storage, Store, store_with};
use futures::{FutureExt, channel::mpsc};
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The namespaces of the objects. If the parts do not overlap, each part selects one of these namespaces.
const NAMESPACES: [&str; 3] = ["n0", "n1", "n2"];
/// The names of the objects in each namespace.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// Namespace and name.
type Key = (&'static str, &'static str);

/// An object on the server, and the parts that select it.
#[derive(Debug, Clone, Copy)]
struct ServerObject {
    uid: usize,
    version: usize,
    parts: [bool; 3],
}

/// A server, the events that each part has not received, and the consumer of the deltas.
struct Model {
    objects: BTreeMap<Key, ServerObject>,
    version: usize,
    queues: [VecDeque<Event<ConfigMap>>; 3],
    senders: Vec<mpsc::UnboundedSender<Result<Event<ConfigMap>>>>,
    changes: MergedDeltas<ConfigMap>,
    reader: Store<ConfigMap>,
    consumer: BTreeMap<(String, String), (String, String)>,
    deleted: BTreeSet<String>,
    /// Whether each part may select objects of all namespaces.
    overlap: bool,
}

fn object((namespace, name): Key, ServerObject { uid, version, .. }: ServerObject) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some(namespace.into());
    object.metadata.name = Some(name.into());
    object.metadata.uid = Some(uid.to_string());
    object.metadata.resource_version = Some(version.to_string());
    object
}

/// The key of an object, and its uid and version.
fn entry(object: &ConfigMap) -> ((String, String), (String, String)) {
    let meta = &object.metadata;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    ((text(&meta.namespace), text(&meta.name)), (text(&meta.uid), text(&meta.resource_version)))
}

impl Model {
    fn new(random: &mut Rng) -> Self {
        let overlap = random.bool();
        let storage = if random.bool() { Storage::typed() } else { Storage::compact() };
        let (reader, writer) = store_with(storage);
        let (senders, watches) = (0..3)
            .map(|part| {
                let (sender, receiver) = mpsc::unbounded();
                let namespace = (!overlap).then(|| NAMESPACES[part].to_owned());
                (sender, (namespace, typed_events(&writer, receiver)))
            })
            .unzip();
        Self {
            objects: BTreeMap::new(),
            version: 0,
            queues: Default::default(),
            senders,
            changes: MergedDeltas::new(writer, watches),
            reader,
            consumer: BTreeMap::new(),
            deleted: BTreeSet::new(),
            overlap,
        }
    }

    /// Changes an object. Queues an event for each part that selects the object or selected it before the change.
    fn change_object(&mut self, random: &mut Rng) {
        self.version += 1;
        let namespace = random.usize(0..3);
        let key = (NAMESPACES[namespace], NAMES[random.usize(0..NAMES.len())]);
        let before = self.objects.get(&key).copied();
        let uid = before.map_or(self.version, |known| known.uid);
        let selected = |part| if self.overlap { random.bool() } else { part == namespace };
        let parts = [0, 1, 2].map(selected);
        let is_deleted = before.is_some() && random.u8(0..3) == 0;
        let parts = if is_deleted { [false; 3] } else { parts };
        let now = ServerObject { uid, version: self.version, parts };
        if is_deleted {
            self.objects.remove(&key);
        } else {
            self.objects.insert(key, now);
        }
        for (part, is_selected) in parts.into_iter().enumerate() {
            let was_selected = before.is_some_and(|known| known.parts[part]);
            if is_selected {
                self.queues[part].push_back(Event::Apply(object(key, now)));
            } else if was_selected {
                self.queues[part].push_back(Event::Delete(object(key, now)));
            }
        }
    }

    /// Breaks the watch of a part. Replaces the queued events of the part with the events of a new list. The
    /// list may break off once and then begin again.
    fn relist_part(&mut self, part: usize, random: &mut Rng) {
        self.queues[part].clear();
        let selected = || self.objects.iter().filter(|(_, known)| known.parts[part]);
        let listed: Vec<_> = selected().map(|(key, known)| Event::InitApply(object(*key, *known))).collect();
        let queue = &mut self.queues[part];
        for _ in 0..random.usize(0..2) {
            queue.push_back(Event::Init);
            queue.extend(listed.iter().take(random.usize(0..=listed.len())).cloned());
        }
        queue.push_back(Event::Init);
        queue.extend(listed);
        queue.push_back(Event::InitDone);
    }

    /// Delivers the next event of a part. Applies the resulting deltas to the consumer.
    fn deliver_event(&mut self, part: usize) -> std::result::Result<(), String> {
        let Some(event) = self.queues[part].pop_front() else { return Ok(()) };
        self.senders[part].unbounded_send(Ok(event)).map_err(|error| error.to_string())?;
        while let Some(Some(item)) = self.changes.next().now_or_never() {
            match item.map_err(|error| error.to_string())? {
                StoreEvent::Delta(delta) => self.apply_delta(&delta)?,
                StoreEvent::Synced(_) if self.content() != self.consumer => {
                    return Err("the consumer and the store differ at the end of a list".into());
                }
                StoreEvent::Synced(_) => {}
            }
        }
        Ok(())
    }

    fn apply_delta(&mut self, delta: &crate::reflector::Delta<ConfigMap>) -> std::result::Result<(), String> {
        let (key, (uid, _)) = entry(&*delta.last().ok_or("a delta without an object")?);
        let old = delta.old().map(|old| entry(&old).1);
        if self.consumer.get(&key) != old.as_ref() {
            return Err(format!(
                "the old state of {key:?} is {old:?}, and not {:?}",
                self.consumer.get(&key)
            ));
        }
        match (delta.kind(), delta.current()) {
            (DeltaKind::Deleted, _) => {
                self.consumer.remove(&key);
                // After one part deletes an object, another part may add it again, if the watch of the other part lags
                // behind.
                if !self.deleted.insert(uid.clone()) && !self.overlap {
                    return Err(format!("the deletion of {key:?} with uid {uid} is emitted twice"));
                }
            }
            (_, current) => {
                let new = entry(&*current.ok_or("no new state")?).1;
                if old.is_some_and(|old| old.0 != new.0) {
                    return Err(format!("{key:?} has a new uid without a deletion"));
                }
                self.consumer.insert(key, new);
            }
        }
        Ok(())
    }

    fn content(&self) -> BTreeMap<(String, String), (String, String)> {
        self.reader.state().iter().map(|object| entry(object)).collect()
    }

    fn run(&mut self, random: &mut Rng) -> std::result::Result<(), String> {
        (0..random.usize(0..6)).for_each(|_| self.change_object(random));
        (0..3).for_each(|part| self.relist_part(part, random));
        for _ in 0..random.usize(0..60) {
            match random.u8(0..10) {
                0..=2 => self.change_object(random),
                3 => self.relist_part(random.usize(0..3), random),
                _ => self.deliver_event(random.usize(0..3))?,
            }
        }
        for part in 0..3 {
            if self.reader.is_ready() != self.changes.parts.is_synced() {
                return Err("the store is ready before all parts are".into());
            }
            while !self.queues[part].is_empty() {
                self.deliver_event(part)?;
            }
        }
        let selected = self.objects.iter().filter(|(_, known)| known.parts.contains(&true));
        let expected: BTreeMap<_, _> = selected.map(|(key, known)| entry(&object(*key, *known))).collect();
        if self.content() != expected || self.consumer != expected || !self.reader.is_settled() {
            return Err(format!(
                "the store has {:?}, the consumer {:?}, and the server {expected:?}",
                self.content(),
                self.consumer
            ));
        }
        Ok(())
    }
}

#[test]
fn model_a_merged_store_contains_the_objects_of_all_its_parts() {
    check_model(|random| Model::new(random).run(random));
}

#[test]
fn a_merged_store_without_parts_is_empty_and_ready() {
    let (reader, writer) = store_with::<ConfigMap>(Storage::typed());
    let mut changes = MergedDeltas::new(writer, Vec::new());
    assert!(reader.is_ready() && reader.is_empty());
    assert!(matches!(changes.next().now_or_never(), Some(Some(Ok(StoreEvent::Synced(None))))));
    assert!(matches!(changes.next().now_or_never(), Some(None)));
}

#[test]
fn the_end_of_a_relist_removes_an_object_that_was_deleted_or_not_listed_again() {
    let c = || object(("n0", "c"), ServerObject { uid: 1, version: 3, parts: [true; 3] });
    for withdrawal in [Event::Init, Event::Delete(c())] {
        let (reader, writer) = store_with(Storage::typed());
        let (senders, watches): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| {
                let (sender, receiver) = mpsc::unbounded();
                (sender, (None, typed_events(&writer, receiver)))
            })
            .unzip();
        let mut changes = MergedDeltas::new(writer, watches);
        let mut send = |part: usize, event: Event<ConfigMap>| {
            senders[part].unbounded_send(Ok(event)).unwrap();
            while let Some(Some(_)) = changes.next().now_or_never() {}
            reader.len()
        };
        for part in [0, 1] {
            send(part, Event::Init);
            send(part, Event::InitDone);
        }
        assert_eq!(send(0, Event::Apply(c())), 1);
        send(1, Event::Init);
        send(1, Event::InitApply(c()));
        // The relist of the other part ends without the object.
        send(0, Event::Init);
        assert_eq!(send(0, Event::InitDone), 1, "the list in progress contains it");
        send(1, withdrawal.clone());
        assert_eq!(send(1, Event::InitDone), 0, "{withdrawal:?}");
    }
}
