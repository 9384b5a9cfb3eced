//! A model test of watcher, filters, store, index, subscribers and informer. The server executes a short random sequence
//! of changes and failures. Afterwards, the store must contain the objects on the server that the filter selects. The
//! test does not compare an object whose last state cannot be decoded. The index of the store and each consumer of
//! changes must have the same objects as the store. For each object that a consumer has received and no
//! longer has, the consumer must have received exactly one deletion. Several deletions are allowed if the
//! server restores a state or the watcher filters by labels: the consumer can then receive a deleted object
//! again.
#![expect(clippy::disallowed_types, reason = "each sequence has a seed of its own")]

mod observers;

use futures::{FutureExt, StreamExt, stream};
use kube_client::client::Body;
use kube_client::core::{ApiResource, NotUsed, Object, Selector, WatchEvent};
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::reflector::{Store, StoreEvent};
use kube_runtime::watcher::{Config, Event, ExponentialBackoff, InitialListStrategy, Watcher};
use kube_runtime::{Informer, predicates, reflector, watcher};
use observers::Observers;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::{convert::Infallible, io, time::Duration};

/// A spec that cannot be decoded if `v` is above 255.
#[derive(Debug, Clone, Deserialize)]
struct Spec {
    v: u8,
    #[serde(default)]
    #[expect(dead_code, reason = "it makes events so large that several threads decode them")]
    padding: String,
}

/// An object of the test's server.
type Thing = Object<Spec, NotUsed>;

/// The state of an object on the server.
#[derive(Debug, Clone, PartialEq)]
struct ObjectState {
    label: char,
    generation: u32,
    value: u16,
}

/// The failure of the server while it sends the events of a watch.
#[derive(Debug, Clone, Copy)]
enum WatchFailure {
    /// The watch sends a line that is not an event, followed by valid events.
    InvalidLine,
    Expired,
    Connection,
}

/// A change of the objects on the server, or a failure of a watch.
#[derive(Debug, Clone)]
enum Operation {
    Put(&'static str, ObjectState),
    Delete(&'static str),
    Fail(WatchFailure),
    /// The server returns to its state of three operations ago, and compacts all versions until now.
    Restore,
}

/// A short random sequence of operations; the last operation creates the object `z`.
fn random_sequence(random: &mut fastrand::Rng) -> Vec<Operation> {
    let mut generations = BTreeMap::new();
    let length = random.u16(1..=9);
    let mut ops: Vec<_> = (0..length)
        .map(|n| {
            let name = if random.u8(0..3) == 0 { "b" } else { "a" };
            match random.u8(0..11) {
                0 => Operation::Delete(name),
                1 => Operation::Fail(WatchFailure::InvalidLine),
                2 => Operation::Fail(WatchFailure::Expired),
                3 => Operation::Fail(WatchFailure::Connection),
                4 => Operation::Restore,
                _ => {
                    let generation = generations.entry(name).or_insert(1);
                    *generation += u32::from(random.u8(0..3) == 0);
                    let label = if random.u8(0..3) == 0 { 'y' } else { 'x' };
                    let value = if random.u8(0..3) == 0 { 300 } else { n };
                    Operation::Put(name, ObjectState { label, generation: *generation, value })
                }
            }
        })
        .collect();
    ops.push(Operation::Put("z", ObjectState { label: 'x', generation: 1, value: 1 }));
    ops
}

/// An object on the server.
#[derive(Debug, Clone)]
struct StoredObject {
    uid: usize,
    version: usize,
    state: ObjectState,
}

/// A server with one collection. Each watch executes the next operations of `ops`. The watch stops after
/// a failure or a restore, or when no operation is left. The only failure that does not stop the watch is the
/// first [`WatchFailure::InvalidLine`].
struct Server {
    ops: Vec<Operation>,
    /// The number of executed operations.
    executed: usize,
    padding: String,
}

impl Server {
    /// The objects after the first `until` operations. The version of an object is the number of the last operation on
    /// it. Its uid is the number of the operation that created it.
    fn objects_after(&self, until: usize) -> BTreeMap<&'static str, StoredObject> {
        let mut state: BTreeMap<_, StoredObject> = BTreeMap::new();
        for (at, op) in self.ops[..until].iter().enumerate() {
            match op {
                Operation::Put(name, object) => {
                    let uid = state.get(name).map_or(at + 1, |known| known.uid);
                    state.insert(*name, StoredObject { uid, version: at + 1, state: object.clone() });
                }
                Operation::Delete(name) => drop(state.remove(name)),
                Operation::Fail(_) => {}
                Operation::Restore => state = self.objects_after(at.saturating_sub(3)),
            }
        }
        state
    }

    fn object_json(&self, name: &str, StoredObject { uid, version, state }: &StoredObject) -> Value {
        json!({"metadata": {"name": name, "namespace": "n", "uid": uid.to_string(), "generation": state.generation,
            "resourceVersion": (version + 1).to_string(), "labels": {"l": state.label.to_string()}},
            "spec": {"v": state.value, "padding": self.padding}})
    }

    fn list_body(&self) -> String {
        let state = self.objects_after(self.executed);
        let items: Vec<_> = state.iter().map(|(name, object)| self.object_json(name, object)).collect();
        json!({"kind": "ThingList", "metadata": {"resourceVersion": (self.executed + 1).to_string()}, "items": items})
            .to_string()
    }

    /// Executes the operations of a watch that begins after the first `from` operations. Returns the body of the watch,
    /// and whether the connection breaks after the body. `initial` states whether the watch requests initial events.
    fn watch_body(&mut self, from: usize, initial: bool) -> (String, bool) {
        let mut lines = Vec::new();
        let line = |kind: &str, object: Value| json!({"type": kind, "object": object}).to_string();
        if initial {
            for (name, object) in self.objects_after(from) {
                lines.push(line("ADDED", self.object_json(name, &object)));
            }
            let end = json!({"resourceVersion": (from + 1).to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"}});
            lines.push(line("BOOKMARK", json!({"kind": "Thing", "apiVersion": "v1", "metadata": end})));
        }
        let (mut broken, mut cut) = (false, false);
        for at in from..self.ops.len() {
            let fresh = at >= self.executed;
            self.executed = self.executed.max(at + 1);
            match &self.ops[at] {
                Operation::Put(name, _) => {
                    let kind = if self.objects_after(at).contains_key(name) { "MODIFIED" } else { "ADDED" };
                    lines.push(line(kind, self.object_json(name, &self.objects_after(at + 1)[name])));
                }
                Operation::Delete(name) => {
                    if let Some(last) = self.objects_after(at).remove(name) {
                        lines.push(line(
                            "DELETED",
                            self.object_json(name, &StoredObject { version: at + 1, ..last }),
                        ));
                    }
                }
                Operation::Fail(_) if !fresh => {}
                Operation::Fail(_) if broken => break,
                Operation::Fail(WatchFailure::InvalidLine) => {
                    lines.push("<html>".into());
                    broken = true;
                }
                Operation::Fail(WatchFailure::Expired) | Operation::Restore => {
                    let status =
                        json!({"kind": "Status", "code": 410, "reason": "Expired", "status": "Failure"});
                    lines.push(line("ERROR", status));
                    break;
                }
                Operation::Fail(WatchFailure::Connection) => {
                    cut = true;
                    break;
                }
            }
        }
        lines.push(String::new());
        (lines.join("\n"), cut)
    }
}

/// A client of the server.
fn client(server: Arc<Mutex<Server>>) -> Client {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let value_of =
            |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)).map(ToOwned::to_owned);
        let mut server = server.lock().unwrap();
        let body = if query.contains("watch=true") || query.contains("watch=1") {
            let initial = query.contains("sendInitialEvents=true");
            let from = value_of("resourceVersion=").and_then(|version| version.parse::<usize>().ok());
            let from = if initial { server.executed } else { from.unwrap() - 1 };
            let (text, cut) = server.watch_body(from, initial);
            let rest = if cut {
                stream::iter([Err(io::Error::other("cut"))]).right_stream()
            } else {
                stream::pending().left_stream()
            };
            Body::wrap_stream(stream::iter([Ok(text)]).chain(rest))
        } else {
            Body::from(server.list_body().into_bytes())
        };
        std::future::ready(Ok::<_, Infallible>(http::Response::new(body)))
    });
    Client::new(service, "default")
}

/// The filters of the watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Labelled,
    Changes,
    Both,
}

impl Filter {
    /// Adds the filter to a watcher.
    fn add_to(self, watcher: Watcher<Thing>) -> Watcher<Thing> {
        let selector = || Selector::from_iter([("l", "x")]);
        match self {
            Self::Labelled => watcher.only_labelled(selector()),
            Self::Changes => watcher.only_changes_of(predicates::generation::<_>),
            Self::Both => watcher.only_changes_of(predicates::generation::<_>).only_labelled(selector()),
        }
    }
}

/// The stream that applies the watcher's events to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreFeed {
    /// The stream of [`reflector`](reflector()).
    Reflector,
    /// The stream of [`Watcher::deltas`].
    Deltas,
    /// An informer, which has no filter.
    Informer,
}

/// A consumer of changes. It applies the changes to a map of the objects.
#[derive(Debug, Default)]
struct Consumer {
    /// The uids of the objects, by name.
    objects: BTreeMap<String, String>,
    /// The uids of the deleted objects.
    deleted: HashSet<String>,
    /// Whether an object with the same uid may be added again after its deletion. There are two such cases: the server
    /// restores a state, or the watcher filters by labels. A filter by labels emits a deletion for an object that no
    /// longer matches, and the object may match again.
    objects_may_reappear: bool,
}

impl Consumer {
    /// Applies an event to the map `objects`. If the event contradicts the consumer's state, returns an error that
    /// describes the event.
    fn apply_event(&mut self, event: &WatchEvent<Arc<Thing>>) -> Result<(), String> {
        let Some(object) = event.object() else { return Ok(()) };
        let (name, uid) = (object.name_any(), object.metadata.uid.clone().unwrap());
        let known = self.objects.get(&name);
        match event {
            WatchEvent::Added(_) if known.is_none() => drop(self.objects.insert(name, uid)),
            WatchEvent::Modified(_) if known == Some(&uid) => {}
            WatchEvent::Deleted(_)
                if known == Some(&uid) && (self.deleted.insert(uid.clone()) || self.objects_may_reappear) =>
            {
                self.objects.remove(&name);
            }
            event => {
                return Err(format!("{event:?} of {name} with uid {uid}, and the consumer has {self:?}"));
            }
        }
        Ok(())
    }
}

/// Feeds a store until the object `z` arrives, and returns the store. For all feeds except
/// [`StoreFeed::Reflector`], a [`Consumer`] and the [`Observers`] also receive the changes. The function
/// returns an error if their objects differ from the objects in the store.
async fn feed_store(
    feed: StoreFeed,
    filter: Filter,
    (api, config): (Api<Thing>, Config),
    is_restored: bool,
) -> Result<Store<Thing>, String> {
    let (reader, writer) = reflector::store();
    let ends = |reader: &Store<Thing>| reader.find(|object| object.name_any() == "z").is_some();
    if feed == StoreFeed::Reflector {
        let mut items = reflector(writer, filter.add_to(watcher(api, config))).boxed();
        while !ends(&reader) {
            let item: watcher::Result<Event<_>> = items.next().await.unwrap();
            drop(item);
        }
        return Ok(reader);
    }
    let objects_may_reappear = is_restored || feed == StoreFeed::Deltas && filter != Filter::Changes;
    let mut consumer = Consumer { objects_may_reappear, ..Consumer::default() };
    let (reader, mut changes) = if feed == StoreFeed::Deltas {
        let deltas = filter.add_to(watcher(api, config)).deltas(writer).filter_map(async |item| match item {
            Ok(StoreEvent::Delta(delta)) => delta.into_watch_event(),
            _ => None,
        });
        (reader, deltas.boxed())
    } else {
        let informer = Informer::with_config(api, config);
        (informer.store(), informer.filter_map(async |item| item.ok()).boxed())
    };
    let mut observers = Observers::new(&reader, objects_may_reappear);
    while !consumer.objects.contains_key("z") {
        consumer.apply_event(&changes.next().await.unwrap())?;
        observers.read_promptly(&reader)?;
    }
    // The deletions of a snapshot follow its additions.
    while let Some(Some(event)) = changes.next().now_or_never() {
        consumer.apply_event(&event)?;
    }
    let stored = reader.state();
    let stored: BTreeMap<_, _> =
        stored.iter().map(|object| (object.name_any(), object.metadata.uid.clone().unwrap())).collect();
    if stored != consumer.objects {
        return Err(format!("the store holds {stored:?}, and the consumer {:?}", consumer.objects));
    }
    observers.compare_with(&stored)?;
    Ok(reader)
}

/// Feeds a store until the object `z` arrives, which the last operation of the server creates. Then compares
/// the store with the server.
async fn compare_store_with_server(
    kind: StoreFeed,
    filter: Filter,
    strategy: InitialListStrategy,
    server: Server,
) -> Result<(), String> {
    let is_restored = server.ops.iter().any(|op| matches!(op, Operation::Restore));
    let server = Arc::new(Mutex::new(server));
    let resource = ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&());
    let api = Api::<Thing>::all_with(client(server.clone()), &resource);
    let backoff = ExponentialBackoff::new(Duration::ZERO, Duration::ZERO, 1.0, false);
    let config = Config::default().initial_list_strategy(strategy).backoff(backoff);
    let fed =
        tokio::time::timeout(Duration::from_secs(60), feed_store(kind, filter, (api, config), is_restored))
            .await;
    let Ok(reader) = fed else { return Err("the end of the sequence is never seen".into()) };
    let reader = reader?;
    let server = server.lock().unwrap();
    let state = server.objects_after(server.ops.len());
    for name in ["a", "b"] {
        let held = reader.find(|object| object.name_any() == name);
        let held = held.map(|object| (object.metadata.generation.unwrap(), u16::from(object.spec.v)));
        let wanted = state.get(name).map(|object| &object.state);
        let all = filter == Filter::Changes || kind == StoreFeed::Informer;
        let wanted = wanted.filter(|object| all || object.label == 'x');
        let equal = match (held, wanted) {
            (None, None) => true,
            // After an undecodable change, the store keeps the previous state of the object, if any.
            (_, Some(wanted)) if wanted.value > 255 => true,
            (Some((generation, value)), Some(wanted)) => {
                generation == i64::from(wanted.generation)
                    && ((filter != Filter::Labelled && kind != StoreFeed::Informer) || value == wanted.value)
            }
            _ => false,
        };
        if !equal {
            return Err(format!("of {name} the store holds {held:?}, and the server has {wanted:?}"));
        }
    }
    Ok(())
}

/// The number of random sequences: 2,000, or the number that `cargo xtask test --models` sets.
fn sequence_count() -> u64 {
    std::env::var("KUBE_MODEL_SEQUENCES").map_or(2_000, |text| text.parse().expect("a number of sequences"))
}

/// Runs the sequence of this seed.
async fn run_seed(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let ops = random_sequence(&mut random);
    let filter = [Filter::Labelled, Filter::Changes, Filter::Both][random.usize(0..3)];
    let strategy = [InitialListStrategy::ListWatch, InitialListStrategy::StreamingList][random.usize(0..2)];
    let padding = if random.u8(..) == 0 { " ".repeat(9_000) } else { String::new() };
    let server = Server { ops: ops.clone(), executed: random.usize(0..=ops.len().min(3)), padding };
    let feed = [StoreFeed::Reflector, StoreFeed::Deltas, StoreFeed::Informer][random.usize(0..3)];
    if let Err(problem) = compare_store_with_server(feed, filter, strategy, server).await {
        panic!("seed {seed}, {feed:?}, {filter:?}, {strategy:?}, {ops:#?}: {problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn model_a_store_and_its_consumer_converge_to_the_server_state_on_one_thread() {
    for seed in 0..sequence_count() {
        run_seed(seed).await;
    }
}

/// A multi-threaded runtime cannot pause the clock, so each wait takes real time. Therefore, this test runs
/// sequences concurrently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn model_a_store_and_its_consumer_converge_to_the_server_state_on_several_threads() {
    let mut runs =
        stream::iter(0..sequence_count()).map(|seed| tokio::spawn(run_seed(seed))).buffer_unordered(64);
    while let Some(run) = runs.next().await {
        run.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_kept_even_if_an_earlier_undecodable_change_has_the_same_generation() {
    let put = |generation, value| Operation::Put("a", ObjectState { label: 'x', generation, value });
    let end = Operation::Put("z", ObjectState { label: 'x', generation: 1, value: 1 });
    let ops = vec![put(1, 1), put(2, 300), put(2, 2), end];
    for strategy in [InitialListStrategy::ListWatch, InitialListStrategy::StreamingList] {
        let server = Server { ops: ops.clone(), executed: 1, padding: String::new() };
        assert_eq!(
            compare_store_with_server(StoreFeed::Reflector, Filter::Changes, strategy, server).await,
            Ok(())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_deselected_after_an_invalid_line_is_removed_from_the_store() {
    let put = |label| Operation::Put("a", ObjectState { label, generation: 1, value: 1 });
    let end = Operation::Put("z", ObjectState { label: 'x', generation: 1, value: 1 });
    let ops = vec![put('x'), Operation::Fail(WatchFailure::InvalidLine), put('y'), end];
    for strategy in [InitialListStrategy::ListWatch, InitialListStrategy::StreamingList] {
        let server = Server { ops: ops.clone(), executed: 1, padding: String::new() };
        assert_eq!(
            compare_store_with_server(StoreFeed::Reflector, Filter::Labelled, strategy, server).await,
            Ok(())
        );
    }
}
