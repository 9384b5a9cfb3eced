//! A model test of the writer. A model of a server produces the random events of watches and lists. A list may restart.
//! The test compares the deltas, and the events of a reflector, with the content of the store.

use super::*;
use crate::random::{Rng, check_model};
use crate::reflector::{DeltaKind, StoreEvent, deltas, reflector};
use crate::watcher::{Error, Result};
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::core::ObjectOrigin;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The names of the objects.
const NAMES: [&str; 3] = ["a", "b", "c"];

/// The uid and the resource version of an object.
type State = (usize, usize);

/// A model of a server with a few objects. Records the events that a watcher of this server emits.
#[derive(Default)]
struct Server {
    objects: BTreeMap<&'static str, State>,
    version: usize,
    events: Vec<Result<Event<ConfigMap>>>,
    /// One line for each event. The message of a failed test contains these lines.
    log: Vec<String>,
}

fn object(name: &str, (uid, version): State) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object.metadata.namespace = Some("ns".into());
    object.metadata.uid = Some(uid.to_string());
    object.metadata.resource_version = Some(version.to_string());
    object
}

impl Server {
    /// Records an event. In one of ten cases, the object of the event is undecodable.
    fn record_event_or_undecodable(&mut self, event: Event<ConfigMap>, random: &mut Rng) {
        let origin = match &event {
            Event::Apply(_) => ObjectOrigin::Modified,
            Event::InitApply(_) => ObjectOrigin::List,
            Event::Delete(_) => ObjectOrigin::Deleted,
            Event::Init | Event::InitDone => return self.record_event(Ok(event)),
        };
        if random.u8(0..10) > 0 {
            return self.record_event(Ok(event));
        }
        let (Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event else { return };
        let source = serde_json::from_str::<u8>("x").unwrap_err();
        let mut undecodable = UndecodableObject::new("ConfigMap", origin, source);
        undecodable.name = object.metadata.name;
        undecodable.namespace = object.metadata.namespace;
        undecodable.uid = object.metadata.uid;
        self.record_event(Err(Error::Object(undecodable.into())));
    }

    fn record_event(&mut self, event: Result<Event<ConfigMap>>) {
        let describe = |object: &ConfigMap| {
            let meta = &object.metadata;
            [&meta.name, &meta.uid, &meta.resource_version].map(|part| part.clone().unwrap()).join("/")
        };
        self.log.push(match &event {
            Ok(event) => format!("{:?}", event.clone().map(|object| describe(&object))),
            Err(Error::Object(object)) => format!("{:?} {:?}/{:?}", object.origin, object.name, object.uid),
            Err(error) => error.to_string(),
        });
        self.events.push(event);
    }

    /// Creates, modifies or deletes an object at random. If `emitted`, records the event. If `listing`, a
    /// list is in progress: the event of a created or modified object is then an `InitApply`.
    fn change_object(&mut self, emitted: bool, listing: bool, random: &mut Rng) {
        self.version += 1;
        let name = NAMES[random.usize(0..NAMES.len())];
        let applied = |object| if listing { Event::InitApply(object) } else { Event::Apply(object) };
        let event = match self.objects.get(name).copied() {
            Some(state) if random.bool() => {
                self.objects.remove(name);
                Event::Delete(object(name, (state.0, self.version)))
            }
            known => {
                let state = (known.map_or(self.version, |(uid, _)| uid), self.version);
                self.objects.insert(name, state);
                applied(object(name, state))
            }
        };
        if emitted {
            self.record_event_or_undecodable(event, random);
        }
    }

    /// Records the events of a list. Objects change while the list is open, and the list may restart.
    fn record_list(&mut self, random: &mut Rng) {
        for attempt in (0..random.usize(1..4)).rev() {
            self.record_event(Ok(Event::Init));
            let listed: Vec<_> = self.objects.clone().into_iter().collect();
            let sent = if attempt == 0 { listed.len() } else { random.usize(0..=listed.len()) };
            for (name, state) in &listed[..sent] {
                self.record_event_or_undecodable(Event::InitApply(object(name, *state)), random);
            }
            // The watcher receives these changes only if it has received all objects of the list.
            let complete = sent == listed.len();
            (0..random.usize(0..3)).for_each(|_| self.change_object(complete, true, random));
        }
        self.record_event(Ok(Event::InitDone));
    }

    /// A server after a random sequence of lists and watches.
    fn with_random_events(random: &mut Rng) -> Self {
        let mut server = Self::default();
        for _ in 0..random.usize(1..5) {
            // Changes that no watch reports.
            (0..random.usize(0..4)).for_each(|_| server.change_object(false, false, random));
            server.record_list(random);
            (0..random.usize(0..6)).for_each(|_| server.change_object(true, false, random));
        }
        server
    }
}

/// Runs a future that never waits.
fn run_without_waiting<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the events are available")
}

/// The uids and versions in the store, by name.
fn content(store: &Store<ConfigMap>) -> BTreeMap<String, (String, String)> {
    store.state().iter().map(|object| name_and_state(object)).collect()
}

/// The name, the uid and the version of an object.
fn name_and_state(object: &ConfigMap) -> (String, (String, String)) {
    let meta = &object.metadata;
    let [name, uid, version] =
        [&meta.name, &meta.uid, &meta.resource_version].map(|part| part.clone().unwrap());
    (name, (uid, version))
}

/// A consumer of deltas, which keeps the resulting objects: uid and version by name.
#[derive(Default)]
struct Consumer {
    objects: BTreeMap<String, (String, String)>,
    /// The uids of the deleted objects.
    deleted: HashSet<String>,
}

impl Consumer {
    /// Applies a delta. The error describes a delta that contradicts the earlier deltas.
    fn apply(&mut self, delta: &Delta<ConfigMap>) -> std::result::Result<(), String> {
        let state = |object: Option<Arc<ConfigMap>>| object.map(|object| name_and_state(&object).1);
        let (name, (uid, _)) = name_and_state(&*delta.last().ok_or("a delta without an object")?);
        let known = self.objects.get(&name).cloned();
        if state(delta.old()) != known {
            return Err(format!("the old state of {name} is {:?}, and not {known:?}", state(delta.old())));
        }
        match (delta.kind(), state(delta.current())) {
            (DeltaKind::Deleted, None) => {
                self.objects.remove(&name);
                if !self.deleted.insert(uid.clone()) {
                    return Err(format!("the deletion of {name} with uid {uid} is emitted twice"));
                }
            }
            (_, Some(new)) => {
                if known.as_ref().is_some_and(|known| known.0 != new.0) {
                    return Err(format!("{name} has a new uid without a deletion"));
                }
                if known.as_ref() == Some(&new) {
                    return Err(format!("{name} did not change"));
                }
                self.objects.insert(name, new);
            }
            (kind, None) => return Err(format!("{kind:?} without a new state")),
        }
        Ok(())
    }
}

/// Applies the server's events to a store, and compares the resulting deltas with the content of the store. Returns the
/// uids of the deleted objects.
fn check_deltas(
    server: &mut Server,
    storage: Storage<ConfigMap>,
) -> std::result::Result<HashSet<String>, String> {
    let (reader, writer) = store_with(storage);
    let events = stream::iter(std::mem::take(&mut server.events));
    let mut changes = std::pin::pin!(deltas(writer, events));
    let (mut consumer, mut is_synced) = (Consumer::default(), false);
    run_without_waiting(async {
        while let Some(change) = changes.next().await {
            match change {
                Ok(StoreEvent::Delta(delta)) => {
                    consumer.apply(&delta)?;
                    if (delta.cause() == Cause::Initial) == is_synced {
                        return Err(format!("{:?}, and synced: {is_synced}", delta.cause()));
                    }
                }
                Ok(StoreEvent::Synced(_)) => {
                    is_synced = true;
                    if consumer.objects != content(&reader) {
                        return Err("at the end of a snapshot, the consumer and the store differ".into());
                    }
                }
                Err(_) => {}
            }
        }
        Ok(())
    })?;
    if consumer.objects == content(&reader) {
        Ok(consumer.deleted)
    } else {
        Err(format!("the consumer has {:?}, and the store {:?}", consumer.objects, content(&reader)))
    }
}

/// Compares the events of a reflector with the content of the store. `deleted` contains the uids that
/// [`check_deltas`] returned: the reflector must emit a deletion for each of these uids.
fn check_reflector(
    events: Vec<Result<Event<ConfigMap>>>,
    deleted: &HashSet<String>,
) -> std::result::Result<(), String> {
    let (reader, writer) = store();
    let mut items = std::pin::pin!(reflector(writer, stream::iter(events)));
    let (mut objects, mut next, mut emitted) = (BTreeMap::new(), BTreeMap::new(), HashSet::new());
    run_without_waiting(async {
        while let Some(item) = items.next().await {
            match item {
                Ok(Event::Init) => next.clear(),
                Ok(Event::InitApply(object)) => {
                    let (name, state) = name_and_state(&object);
                    next.insert(name, state);
                }
                // An undecodable object is not in `next`, and stays in `objects` until its deletion.
                Ok(Event::InitDone) => objects.append(&mut next),
                Ok(Event::Apply(object)) => {
                    let (name, state) = name_and_state(&object);
                    let before = objects.insert(name.clone(), state.clone());
                    if before.is_some_and(|before: (String, String)| before.0 != state.0) {
                        return Err(format!("{name} has a new uid without a deletion"));
                    }
                }
                Ok(Event::Delete(object)) => {
                    let (name, (uid, _)) = name_and_state(&object);
                    next.remove(&name);
                    objects.remove(&name);
                    if !emitted.insert(uid.clone()) {
                        return Err(format!("a reflector emits the deletion of {name} with uid {uid} twice"));
                    }
                }
                Err(_) => {}
            }
        }
        Ok(())
    })?;
    if !emitted.is_superset(deleted) {
        return Err(format!("a reflector emits the deletions {emitted:?}, and the deltas are {deleted:?}"));
    }
    if objects == content(&reader) {
        Ok(())
    } else {
        Err(format!("the consumer of a reflector has {objects:?}, and the store {:?}", content(&reader)))
    }
}

#[test]
fn model_each_consumer_receives_the_content_of_the_store_and_each_deletion_once() {
    check_model(|random| {
        let seed = random.u64(..);
        let server = || Server::with_random_events(&mut random_generator(seed));
        let log = server().log.join("\n");
        let fail = |problem: String| format!("{problem}, after\n{log}");
        let deleted = check_deltas(&mut server(), Storage::typed()).map_err(fail)?;
        let compact = check_deltas(&mut server(), Storage::compact()).map_err(fail)?;
        if deleted != compact {
            return Err(fail(format!("typed deletions {deleted:?}, and compact ones {compact:?}")));
        }
        check_reflector(server().events, &deleted).map_err(fail)
    });
}

/// A random generator with this seed.
fn random_generator(seed: u64) -> Rng {
    Rng::with_seed(seed)
}

/// Describes a delta as a text. The text contains the names, uids and resource versions of the old, the
/// current and the last object.
fn describe_delta(delta: &Delta<ConfigMap>) -> String {
    let state = |object: Option<Arc<ConfigMap>>| object.map(|object| name_and_state(&object));
    let states = [delta.old(), delta.current(), delta.last()].map(state);
    format!("{:?} {:?} {states:?} {:?} {}", delta.kind(), delta.cause(), delta.key(), delta.was_emitted)
}

/// Applies the events to a typed store, and the same events with packed texts to a compact store. Compares the deltas and
/// the contents of both stores.
fn check_packed_texts(events: Vec<Result<Event<ConfigMap>>>) -> std::result::Result<(), String> {
    let (typed_reader, mut typed) = store();
    let (reader, mut packed) = store_with(Storage::compact());
    let codec = packed.shared.codec().cloned().ok_or("a compact store has a codec")?;
    for event in events {
        let (expected, found) = match event {
            Ok(event) => {
                let texts = event.clone().map(|object| codec.pack_json(&serde_json::json!(object)));
                (
                    Some(typed.apply_stored(event.map(|object| StoredObject::Typed(Arc::new(object))), None)),
                    Some(packed.apply_stored(texts, None)),
                )
            }
            Err(Error::Object(object)) => {
                (typed.apply_undecodable_for_deltas(&object), packed.apply_undecodable_for_deltas(&object))
            }
            Err(_) => continue,
        };
        let lines = |deltas: Option<DeltaIter<ConfigMap>>| {
            deltas.into_iter().flatten().map(|delta| describe_delta(&delta)).collect::<Vec<_>>()
        };
        let (expected, found) = (lines(expected), lines(found));
        if expected != found {
            return Err(format!("the deltas of texts are\n{found:#?}\nand those of objects\n{expected:#?}"));
        }
        if content(&typed_reader) != content(&reader) {
            return Err("the content of texts differs from that of objects".into());
        }
    }
    Ok(())
}

#[test]
fn model_deltas_are_the_same_for_packed_texts_and_typed_objects() {
    check_model(|random| {
        let server = Server::with_random_events(random);
        let log = server.log.join("\n");
        check_packed_texts(server.events).map_err(|problem| format!("{problem}, after\n{log}"))
    });
}
