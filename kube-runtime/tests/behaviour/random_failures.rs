//! Tests of a controller, a shared informer, an index and subscribers under most of the failures that kube-sim can cause.
//! The test's own callbacks panic at random, too. After the failures, the controller, the informer, the index and each
//! subscriber must have the last state of each object.
#![expect(clippy::disallowed_types, reason = "each run has a seed of its own")]

use crate::common::{delete_map, format_map, put_map};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube_client::client::ClientBuilder;
use kube_client::{Api, Client, Config, ResourceExt};
use kube_runtime::controller::{self, Action, Changes, FailureBackoff, Key, RateLimiter, own};
use kube_runtime::reflector::{Delta, ObjectRef, Storage, StoreEvent, Subscription};
use kube_runtime::{Controller, SharedInformer, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

const RESOURCES: [&str; 3] = ["configmaps", "secrets", "serviceaccounts"];

/// A random number generator, and the flag that enables the failures.
struct Chaos {
    random: Mutex<fastrand::Rng>,
    is_hostile: AtomicBool,
}

impl Chaos {
    fn random_below(&self, limit: usize) -> usize {
        self.random.lock().unwrap().usize(..limit)
    }

    /// Returns true with the probability 1/`times` while failures are enabled.
    fn should_fail(&self, times: usize) -> bool {
        self.is_hostile.load(Ordering::SeqCst) && self.random_below(times) == 0
    }

    fn panic_at_random(&self) {
        assert!(!self.should_fail(10), "a function of the test");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("failed")]
struct ReconcileError(#[source] Option<kube_client::Error>);

/// The context of the reconciler.
struct Context {
    chaos: Arc<Chaos>,
    running: Mutex<HashSet<String>>,
    /// The last reconciled state of each object.
    last: Mutex<BTreeMap<String, String>>,
    overlaps: Mutex<Vec<String>>,
}

/// Removes the name of an object from `Context::running` when the reconcile of the object returns, panics or is cancelled.
struct RunningGuard(Arc<Context>, String);

impl Drop for RunningGuard {
    fn drop(&mut self) {
        self.0.running.lock().unwrap().remove(&self.1);
    }
}

fn reconcile(
    map: Arc<ConfigMap>,
    context: Arc<Context>,
) -> impl Future<Output = Result<Action, ReconcileError>> {
    let chaos = context.chaos.clone();
    chaos.panic_at_random();
    async move {
        chaos.panic_at_random();
        let name = map.name_any();
        if !context.running.lock().unwrap().insert(name.clone()) {
            context.overlaps.lock().unwrap().push(name.clone());
        }
        let _running = RunningGuard(context.clone(), name.clone());
        if chaos.random_below(2) == 0 {
            sleep(Duration::from_millis(chaos.random_below(50) as u64)).await;
        }
        chaos.panic_at_random();
        if chaos.should_fail(20) {
            pending::<()>().await;
        }
        if chaos.should_fail(10) {
            let status = kube_client::core::Status::failure("outdated", "Conflict").with_code(409);
            return Err(ReconcileError(Some(kube_client::Error::Api(status.boxed()))));
        }
        if chaos.should_fail(10) {
            return Err(ReconcileError(None));
        }
        context.last.lock().unwrap().insert(name, format_map(&map));
        Ok(if chaos.should_fail(5) {
            Action::requeue(Duration::from_secs(3))
        } else {
            Action::await_change()
        })
    }
}

struct PanickingLimiter(Arc<Chaos>);

impl RateLimiter<Key> for PanickingLimiter {
    fn delay(&mut self, key: &Key, failures: u32, now: Instant) -> Duration {
        self.0.panic_at_random();
        FailureBackoff::new(Duration::from_millis(5), Duration::from_secs(10)).delay(key, failures, now)
    }
}

/// A subscription, and the state of each object by name. [`read_changes`](Self::read_changes) updates the states.
struct Subscriber(Subscription<ConfigMap>, BTreeMap<String, String>);

impl Subscriber {
    fn read_changes(&mut self) {
        while let Some(Some(item)) = self.0.next().now_or_never() {
            let Ok(StoreEvent::Delta(delta)) = item else { continue };
            let object = delta.last().unwrap();
            match delta.current() {
                Some(_) => drop(self.1.insert(object.name_any(), format_map(&object))),
                None => {
                    assert!(self.1.remove(&object.name_any()).is_some(), "an unknown object is deleted");
                }
            }
        }
    }
}

/// Makes a random change of a config map, of a secret that a config map owns, or of a service account that names a
/// config map.
fn make_random_change(sim: &Sim, chaos: &Chaos, number: usize) {
    let name = format!("m{}", chaos.random_below(12));
    let exists = sim.get("v1", "ConfigMap", "default", &name).ok();
    match (chaos.random_below(6), exists) {
        (0, Some(_)) => delete_map(sim, &name),
        (1, Some(map)) => {
            let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": map["metadata"]["uid"]}]);
            let secret = format!("s{}", chaos.random_below(5));
            let _ = sim.delete("v1", "Secret", "default", &secret);
            sim.create(&json!({"apiVersion": "v1", "kind": "Secret",
                "metadata": {"name": secret, "namespace": "default", "ownerReferences": owner}}))
                .unwrap();
        }
        (2, _) => {
            let account = format!("a{}", chaos.random_below(5));
            let _ = sim.delete("v1", "ServiceAccount", "default", &account);
            sim.create(&json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": account, "namespace": "default", "annotations": {"map": name}}}))
                .unwrap();
        }
        _ => put_map(sim, &name, &number.to_string()),
    }
}

/// Makes some requests fail. May also compact the storage, restart the server or end the watches. `may_hang` permits
/// failures that take minutes to detect.
fn add_random_failures(sim: &Sim, chaos: &Chaos, may_hang: bool) {
    let garbage: [&[u8]; 6] = [
        b"<html>",
        b"\xff\xfe\0",
        b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"m1\"",
        b"{}\n",
        b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{}}}\n",
        b"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"1\"}}}\n",
    ];
    let action = match chaos.random_below(if may_hang { 16 } else { 14 }) {
        0 => Fault::status(410),
        1 => Fault::status(500),
        2 => Fault::status_retry_after(429, 1),
        3 => Fault::Reset,
        4 => Fault::CutAfterBytes(chaos.random_below(600)),
        5 => Fault::CutAfterEvents(chaos.random_below(4)),
        6 => Fault::CloseAfterEvents(chaos.random_below(4)),
        7 | 8 => Fault::ReplaceEvent {
            index: chaos.random_below(4),
            bytes: garbage[chaos.random_below(garbage.len())].to_vec().into(),
        },
        9 => Fault::ReplaceObject {
            name: format!("m{}", chaos.random_below(12)),
            bytes: r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"m1","namespace":"default"},"data":5}"#.into(),
        },
        10 => Fault::Compact,
        11 => Fault::Restart,
        12 => Fault::status(403),
        13 => Fault::status(404),
        14 => Fault::HangAfterEvents(chaos.random_below(4)),
        _ => Fault::Hang,
    };
    let verb = ["list", "watch"][chaos.random_below(2)];
    let resource = RESOURCES[chaos.random_below(3)];
    sim.faults().add(Rule::new(action).verb(verb).resource(resource).times(1 + chaos.random_below(3) as u64));
    match chaos.random_below(12) {
        0 => sim.compact_all(),
        1 => sim.restart(),
        2..5 => sim.end_watches(),
        _ => {}
    }
}

/// A client of the simulated server. The client has the default time limits of [`Config`].
fn client(sim: &Sim) -> Client {
    let config = Config::new("http://localhost".parse().unwrap());
    ClientBuilder::over(sim.service(), &config).unwrap().build()
}

/// The names and values of the config maps on the server, such as `a=1`.
fn server_states(sim: &Sim) -> BTreeSet<String> {
    let maps = sim.list("v1", "ConfigMap", "default").unwrap();
    let state = |map: &serde_json::Value| {
        let value = map["data"]["v"].as_str().unwrap_or_default();
        format!("{}={value}", map["metadata"]["name"].as_str().unwrap())
    };
    maps.iter().map(state).collect()
}

/// Runs the controller with failures for `rounds` rounds. Each round takes at most about three times `tick`. Then runs the
/// controller without failures for at most `recovery`. At the end, asserts that the store, the index, the subscribers
/// and the reconciles have the state of the server.
async fn run_with_failures(seed: u64, rounds: usize, tick: Duration, recovery: Duration) {
    let may_hang = recovery > Duration::from_secs(600);
    let sim = Sim::new();
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    let chaos = Arc::new(Chaos { random, is_hostile: AtomicBool::new(true) });
    let context = Arc::new(Context {
        chaos: chaos.clone(),
        running: Mutex::default(),
        last: Mutex::default(),
        overlaps: Mutex::default(),
    });

    let storage = if seed.is_multiple_of(2) { Storage::compact() } else { Storage::typed() };
    let modifier_chaos = chaos.clone();
    let storage = storage.modify(move |_: &mut ConfigMap| modifier_chaos.panic_at_random());
    let backoff =
        watcher::ExponentialBackoff::new(Duration::from_millis(10), Duration::from_millis(500), 2.0, true);
    let config = watcher::Config::default().backoff(backoff);
    let informer =
        SharedInformer::with_storage(Api::default_namespaced(client(&sim)), config.clone(), storage);
    let (store, changes) = Changes::shared(&informer);
    let index_chaos = chaos.clone();
    let index = store.index_by(move |map: &ConfigMap| {
        index_chaos.panic_at_random();
        vec![format_map(map)]
    });

    let (filter_chaos, mapper_chaos, policy_chaos) = (chaos.clone(), chaos.clone(), chaos.clone());
    let filter = move |_: &Delta<ConfigMap>| {
        filter_chaos.panic_at_random();
        true
    };
    let mapper = move |account: ServiceAccount| {
        mapper_chaos.panic_at_random();
        account.annotations().get("map").map(|name| ObjectRef::new(name).within("default"))
    };
    let policy = move |_: Arc<ConfigMap>, _: &ReconcileError, _: Arc<Context>| {
        policy_chaos.panic_at_random();
        Action::requeue_with_backoff()
    };
    let options =
        controller::Config::default().reconcile_timeout(tick * 20).concurrency(4).sync_timeout(Duration::MAX);
    let mut results = Controller::from_source(store.clone(), changes.filter(filter).handle(own()))
        .owns(Api::<Secret>::default_namespaced(client(&sim)), config.clone())
        .watches(Api::<ServiceAccount>::default_namespaced(client(&sim)), config, mapper)
        .rate_limiter(PanickingLimiter(chaos.clone()))
        .with_config(options)
        .run(reconcile, policy, context.clone())
        .boxed();

    let mut subscribers = Vec::new();
    for number in 0..rounds {
        make_random_change(&sim, &chaos, number);
        if chaos.random_below(3) == 0 {
            add_random_failures(&sim, &chaos, may_hang);
        }
        match chaos.random_below(8) {
            0 if subscribers.len() < 5 => subscribers.push(Subscriber(informer.subscribe(), BTreeMap::new())),
            1 if !subscribers.is_empty() => {
                drop(subscribers.swap_remove(chaos.random_below(subscribers.len())));
            }
            2 => subscribers.iter_mut().for_each(Subscriber::read_changes),
            _ => {}
        }
        // Each poll is cancelled at its time limit.
        let end = Instant::now() + tick * u32::try_from(chaos.random_below(3)).unwrap();
        while Instant::now() < end {
            let wait = Duration::from_micros(chaos.random_below(1 + tick.as_micros() as usize) as u64);
            if let Ok(None) = timeout(wait, results.next()).await {
                panic!("the controller has ended");
            }
        }
    }

    chaos.is_hostile.store(false, Ordering::SeqCst);
    sim.faults().clear();
    // An open watch keeps its faults after `clear`. Such a fault may replace an event. No client can detect
    // that it has missed this event. Therefore all watches must end.
    sim.end_watches();
    subscribers.push(Subscriber(informer.subscribe(), BTreeMap::new()));
    for number in 0..12 {
        put_map(&sim, &format!("m{number}"), "last");
    }
    let expected = server_states(&sim);
    let last = || context.last.lock().unwrap().values().cloned().collect::<BTreeSet<_>>();
    let stored = || store.state().iter().map(|map| format_map(map)).collect::<BTreeSet<_>>();
    let is_done = || stored() == expected && last() == expected;
    let end = Instant::now() + recovery;
    while !is_done() && Instant::now() < end {
        let _ = timeout(tick, results.next()).await;
    }
    assert_eq!(stored(), expected, "seed {seed}: the store");
    assert_eq!(last(), expected, "seed {seed}: the reconciled objects");
    let found = expected.iter().filter(|map| index.get(map).len() == 1).cloned().collect::<BTreeSet<_>>();
    assert_eq!(found, expected, "seed {seed}: the index");
    for subscriber in &mut subscribers {
        subscriber.read_changes();
        assert_eq!(
            subscriber.1.values().cloned().collect::<BTreeSet<_>>(),
            expected,
            "seed {seed}: a subscriber"
        );
    }
    assert_eq!(*context.overlaps.lock().unwrap(), Vec::<String>::new(), "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_recovers_from_a_mix_of_failures() {
    for seed in 0..8 {
        run_with_failures(seed, 300, Duration::from_secs(1), Duration::from_secs(3600)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_on_several_threads_recovers_from_a_mix_of_failures() {
    for seed in 0..2 {
        run_with_failures(seed, 300, Duration::from_millis(5), Duration::from_secs(60)).await;
    }
}

/// While objects change, adds and drops subscriptions at random. Sometimes no subscription is left. At the end, asserts
/// that the last subscription has the objects of the server, and that the store has the same number of objects.
async fn add_and_drop_subscriptions(seed: u64, tick: Duration) {
    let sim = Sim::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let informer = SharedInformer::new(Api::default_namespaced(client(&sim)));
    let mut subscriptions = Vec::new();
    for number in 0..300 {
        put_map(&sim, &format!("m{}", random.usize(..12)), &number.to_string());
        match random.u8(..4) {
            0 | 1 => subscriptions.push(informer.subscribe()),
            2 => subscriptions.truncate(random.usize(..=subscriptions.len())),
            _ => sleep(tick * random.u32(..3)).await,
        }
    }
    let mut last = Subscriber(informer.subscribe(), BTreeMap::new());
    put_map(&sim, "m0", "last");
    let (end, expected) = (Instant::now() + Duration::from_secs(60), server_states(&sim));
    while last.1.values().cloned().collect::<BTreeSet<_>>() != expected {
        assert!(Instant::now() < end, "seed {seed}: {:?} instead of {expected:?}", last.1);
        sleep(tick).await;
        last.read_changes();
    }
    assert_eq!(informer.store().len(), expected.len());
}

#[tokio::test(start_paused = true)]
async fn an_informer_continues_after_a_moment_without_subscribers() {
    for seed in 0..50 {
        add_and_drop_subscriptions(seed, Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_several_threads_an_informer_continues_after_a_moment_without_subscribers() {
    for seed in 0..5 {
        add_and_drop_subscriptions(seed, Duration::from_millis(1)).await;
    }
}
