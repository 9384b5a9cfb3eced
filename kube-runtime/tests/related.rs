//! Which objects a controller reconciles because others change.

mod common;

use common::client;
use futures::{Stream, StreamExt, channel::mpsc};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube_client::core::{ApiResource, DynamicObject};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::controller::{self, Action};
use kube_runtime::reflector::ObjectRef;
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use serde_json::json;
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// What was reconciled, and how many reconciles ran at once.
#[derive(Default)]
struct Log {
    names: Mutex<Vec<String>>,
    running: AtomicUsize,
    peak: AtomicUsize,
}

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.names.lock().unwrap())
    }
}

async fn note<K: Resource>(object: Arc<K>, log: Arc<Log>) -> Result<Action, Infallible> {
    log.names.lock().unwrap().push(object.name_any());
    Ok(Action::await_change())
}

async fn note_slowly<K: Resource>(object: Arc<K>, log: Arc<Log>) -> Result<Action, Infallible> {
    let running = log.running.fetch_add(1, Ordering::SeqCst) + 1;
    log.peak.fetch_max(running, Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    log.running.fetch_sub(1, Ordering::SeqCst);
    note(object, log).await
}

/// Polls for so many seconds of the paused clock.
async fn run_for(seconds: u64, results: &mut (impl Stream + Unpin)) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while tokio::time::timeout_at(end, results.next()).await.is_ok() {}
}

/// A role of the cluster.
async fn role(sim: &Sim, name: &str) -> ClusterRole {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
    sim.create(&role).unwrap();
    Api::all(client(sim)).get(name).await.unwrap()
}

/// A config map in a namespace, which belongs to an object of the cluster.
fn child_of(owner: &ClusterRole, sim: &Sim, name: &str) {
    let owner = owner.controller_owner_ref(&()).unwrap();
    let meta = json!({"name": name, "namespace": "default", "ownerReferences": [owner]});
    sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_the_cluster_is_reconciled_when_its_child_in_a_namespace_changes() {
    let sim = Sim::new();
    let owner = role(&sim, "owner").await;
    role(&sim, "other").await;
    let log = Arc::new(Log::default());
    let mut results = Controller::new(Api::<ClusterRole>::all(client(&sim)), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client(&sim)), watcher::Config::default())
        .run(note, controller::backoff_on_error, log.clone())
        .boxed();
    run_for(1, &mut results).await;
    log.take();
    child_of(&owner, &sim, "child");
    run_for(1, &mut results).await;
    assert_eq!(log.take(), ["owner"]);
    common::remove(&sim, "child");
    run_for(1, &mut results).await;
    assert_eq!(log.take(), ["owner"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_of_the_cluster_is_not_reconciled_twice_at_a_time_whatever_it_is_called() {
    let sim = Sim::new();
    let owner = role(&sim, "owner").await;
    let log = Arc::new(Log::default());
    let (send, named) = mpsc::unbounded();
    let mut results = Controller::new(Api::<ClusterRole>::all(client(&sim)), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client(&sim)), watcher::Config::default())
        .reconcile_on(named)
        .run(note_slowly, controller::backoff_on_error, log.clone())
        .boxed();
    run_for(1, &mut results).await;
    child_of(&owner, &sim, "child");
    for namespace in ["", "a", "b"] {
        send.unbounded_send(ObjectRef::new("owner").within(namespace)).unwrap();
    }
    run_for(9, &mut results).await;
    assert_eq!(log.take(), ["owner", "owner"], "what comes while it runs counts once");
    assert_eq!(log.peak.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_not_reconciled_twice_at_a_time_when_it_is_named_in_another_version() {
    let sim = Sim::new();
    common::put(&sim, "a", "1");
    let log = Arc::new(Log::default());
    let kind = ApiResource::erase::<ConfigMap>(&());
    let maps = Api::<DynamicObject>::all_with(client(&sim), &kind);
    let (send, named) = mpsc::unbounded();
    let mut results = Controller::new_with(maps, watcher::Config::default(), kind.clone())
        .reconcile_on(named)
        .run(note_slowly, controller::backoff_on_error, log.clone())
        .boxed();
    run_for(1, &mut results).await;
    let mut other = kind;
    other.version = "v2".into();
    send.unbounded_send(ObjectRef::new_with("a", other).within("default")).unwrap();
    run_for(9, &mut results).await;
    assert_eq!(log.take(), ["a", "a"]);
    assert_eq!(log.peak.load(Ordering::SeqCst), 1);
}
