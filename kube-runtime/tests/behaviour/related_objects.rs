//! Tests of the objects that a controller reconciles after changes to related objects.

use crate::common;
use crate::common::{Log, client, poll_for};
use futures::{Stream, StreamExt, channel::mpsc};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube_client::core::{ApiResource, DynamicObject};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::controller::{self, Action};
use kube_runtime::reflector::ObjectRef;
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::json;
use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// A reconciler that logs the name of the object.
async fn log_name<K: Resource>(object: Arc<K>, log: Arc<Log>) -> Result<Action, Infallible> {
    log.add_line(object.name_any());
    Ok(Action::await_change())
}

/// A reconciler that waits for two seconds and then logs the name of the object.
async fn log_name_after_wait<K: Resource>(object: Arc<K>, log: Arc<Log>) -> Result<Action, Infallible> {
    log.simulate_work(Duration::from_secs(2)).await;
    log_name(object, log).await
}

async fn create_role(sim: &Sim, name: &str) -> ClusterRole {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}});
    sim.create(&role).unwrap();
    Api::all(client(sim)).get(name).await.unwrap()
}

/// Creates a namespaced config map with a cluster-scoped owner.
fn create_child(owner: &ClusterRole, sim: &Sim, name: &str) {
    let owner = owner.controller_owner_ref(&()).unwrap();
    let meta = json!({"name": name, "namespace": "default", "ownerReferences": [owner]});
    sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cluster_scoped_owner_of_a_namespaced_object_is_reconciled() {
    let sim = Sim::new();
    let owner = create_role(&sim, "owner").await;
    create_role(&sim, "other").await;
    let log = Arc::new(Log::default());
    let mut results = Controller::new(Api::<ClusterRole>::all(client(&sim)), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client(&sim)), watcher::Config::default())
        .run(log_name, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    create_child(&owner, &sim, "child");
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["owner"]);
    common::delete_map(&sim, "child");
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["owner"]);
}

#[tokio::test(start_paused = true)]
async fn keys_with_a_namespace_do_not_cause_concurrent_reconciles_of_a_cluster_scoped_object() {
    let sim = Sim::new();
    let owner = create_role(&sim, "owner").await;
    let log = Arc::new(Log::default());
    let (send, named) = mpsc::unbounded();
    let mut results = Controller::new(Api::<ClusterRole>::all(client(&sim)), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client(&sim)), watcher::Config::default())
        .reconcile_on(named)
        .run(log_name_after_wait, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    create_child(&owner, &sim, "child");
    for namespace in ["", "a", "b"] {
        send.unbounded_send(ObjectRef::new("owner").within(namespace)).unwrap();
    }
    poll_for(9, &mut results).await;
    assert_eq!(log.take_lines(), ["owner", "owner"], "what comes while it runs counts once");
    assert_eq!(log.peak.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_with_another_api_version_does_not_cause_a_concurrent_reconcile() {
    let sim = Sim::new();
    common::put_map(&sim, "a", "1");
    let log = Arc::new(Log::default());
    let kind = ApiResource::erase::<ConfigMap>(&());
    let maps = Api::<DynamicObject>::default_namespaced_with(client(&sim), &kind);
    let (send, named) = mpsc::unbounded();
    let mut results = Controller::new_with(maps, watcher::Config::default(), kind.clone())
        .reconcile_on(named)
        .run(log_name_after_wait, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    let mut other = kind;
    other.version = "v2".into();
    send.unbounded_send(ObjectRef::new_with("a", other).within("default")).unwrap();
    poll_for(9, &mut results).await;
    assert_eq!(log.take_lines(), ["a", "a"]);
    assert_eq!(log.peak.load(Ordering::SeqCst), 1);
}

/// Creates or updates a secret. Its annotation `maps` contains `names`, the names of config maps separated by spaces.
fn put_secret(sim: &Sim, name: &str, names: &str) {
    let meta = json!({"name": name, "namespace": "default", "annotations": {"maps": names}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta});
    if sim.get("v1", "Secret", "default", name).is_ok() {
        sim.update(&secret).unwrap();
    } else {
        sim.create(&secret).unwrap();
    }
}

/// Runs a controller of the config maps. If a secret changes, the controller reconciles the config maps whose names are in
/// the annotation `maps` of the secret.
fn run_controller_of_maps_named_by_secrets(
    sim: &Sim,
    wc: watcher::Config,
    log: &Arc<Log>,
) -> impl Stream<Item = Result<(ObjectRef<ConfigMap>, Action), controller::Error<Infallible>>> + Unpin {
    let mapper = |secret: Secret| -> Vec<ObjectRef<ConfigMap>> {
        let names = secret.annotations()["maps"].split(' ');
        names.map(|name| ObjectRef::new(name).within("default")).collect()
    };
    Controller::new(common::maps(sim), watcher::Config::default())
        .watches(Api::<Secret>::all(client(sim)), wc, mapper)
        .run(log_name, controller::backoff_on_error, log.clone())
        .boxed()
}

#[tokio::test(start_paused = true)]
async fn previous_targets_of_a_changed_secret_are_reconciled() {
    let sim = Sim::new();
    common::put_map(&sim, "a", "1");
    common::put_map(&sim, "b", "1");
    let log = Arc::new(Log::default());
    put_secret(&sim, "s", "a");
    let mut results = run_controller_of_maps_named_by_secrets(&sim, watcher::Config::default(), &log);
    poll_for(1, &mut results).await;
    log.take_lines();
    put_secret(&sim, "s", "b");
    poll_for(1, &mut results).await;
    let mut both = log.take_lines();
    both.sort();
    assert_eq!(both, ["a", "b"]);
    put_secret(&sim, "s", "b nobody");
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn the_targets_of_an_object_deleted_before_a_relist_are_reconciled() {
    let sim = Sim::new();
    common::put_map(&sim, "a", "1");
    common::put_map(&sim, "b", "1");
    put_secret(&sim, "s", "a");
    put_secret(&sim, "t", "b");
    // The first watch sends no events, and the second fails with an expired version (410).
    let watch = |fault| Rule::new(fault).resource("secrets").verb("watch");
    sim.faults().add(watch(Fault::HangAfterEvents(0)).nth(1));
    sim.faults().add(watch(Fault::status(410)).nth(2));
    let log = Arc::new(Log::default());
    let lists = watcher::Config::default().initial_list_strategy(watcher::InitialListStrategy::ListWatch);
    let mut results =
        run_controller_of_maps_named_by_secrets(&sim, lists.timeout(Duration::from_secs(5)), &log);
    poll_for(1, &mut results).await;
    log.take_lines();
    sim.delete("v1", "Secret", "default", "s").unwrap();
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["a"], "a relist does not reconcile the targets of unchanged objects");
}

#[tokio::test(start_paused = true)]
async fn the_targets_of_a_secret_are_reconciled_if_its_deletion_event_does_not_decode() {
    let sim = Sim::new();
    common::put_map(&sim, "a", "1");
    put_secret(&sim, "s", "a");
    let log = Arc::new(Log::default());
    let lists = watcher::Config::default().initial_list_strategy(watcher::InitialListStrategy::ListWatch);
    let mut results =
        run_controller_of_maps_named_by_secrets(&sim, lists.timeout(Duration::from_secs(5)), &log);
    poll_for(1, &mut results).await;
    let bytes = r#"{"metadata":{"name":"s","namespace":"default"},"data":[]}"#;
    sim.faults().add(Rule::new(Fault::ReplaceObject { name: "s".into(), bytes: bytes.into() }));
    // The fault affects only watches that are opened from now on.
    poll_for(10, &mut results).await;
    log.take_lines();
    sim.delete("v1", "Secret", "default", "s").unwrap();
    let mut items = Vec::new();
    while let Ok(Some(item)) = tokio::time::timeout(Duration::from_secs(1), results.next()).await {
        items.push(item.map(|(object, _)| object.name).map_err(|error| common::error_chain(&error)));
    }
    assert_eq!(log.take_lines(), ["a"]);
    assert!(items.contains(&Ok("a".into())), "{items:?}");
    assert!(
        matches!(&items[..], [.., Err(error)] | [Err(error), ..] if error.contains("default/s")),
        "{items:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_mapper_affects_only_the_mapped_object() {
    let sim = Sim::new();
    common::put_map(&sim, "a", "1");
    common::put_map(&sim, "b", "1");
    put_secret(&sim, "s", "a");
    let mapper = |secret: Secret| {
        let names = &secret.annotations()["maps"];
        assert!(names != "poison", "the mapper met its poison");
        Some(ObjectRef::new(names).within("default"))
    };
    let log = Arc::new(Log::default());
    let mut results = Controller::new(common::maps(&sim), watcher::Config::default())
        .watches(Api::<Secret>::all(client(&sim)), watcher::Config::default(), mapper)
        .run(log_name, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();

    put_secret(&sim, "s", "poison");
    put_secret(&sim, "t", "b");
    let mut errors = Vec::new();
    while let Ok(Some(item)) = tokio::time::timeout(Duration::from_secs(1), results.next()).await {
        errors.extend(item.err().map(|error| error.to_string()));
    }
    let error = "cannot map default/s of /api/v1/secrets to the objects to reconcile: the mapper panicked: the mapper met its poison";
    assert_eq!(errors, [error]);
    let mut both = log.take_lines();
    both.sort();
    assert_eq!(both, ["a", "b"], "the state before is mapped, and the watch goes on after the panic");

    sim.delete("v1", "Secret", "default", "s").unwrap();
    poll_for(1, &mut results).await;
    assert_eq!(
        log.take_lines(),
        ["a"],
        "the last names that the mapper returned are reconciled after a deletion"
    );
}

#[tokio::test(start_paused = true)]
async fn the_mapper_is_called_with_the_last_state_of_a_deleted_object() {
    let sim = Sim::new();
    common::put_map(&sim, "a", "1");
    put_secret(&sim, "s", "");
    // The first watch sends no events, and the second fails with an expired version (410).
    let watch = |fault| Rule::new(fault).resource("secrets").verb("watch");
    sim.faults().add(watch(Fault::HangAfterEvents(0)).nth(1));
    sim.faults().add(watch(Fault::status(410)).nth(2));
    let lists = watcher::Config::default().initial_list_strategy(watcher::InitialListStrategy::ListWatch);
    let index = Arc::new(std::sync::Mutex::new(Vec::<&str>::new()));
    let referencing = index.clone();
    let mapper = move |_: Secret| {
        let names = referencing.lock().unwrap().clone();
        names.into_iter().map(|name| ObjectRef::new(name).within("default")).collect::<Vec<_>>()
    };
    let log = Arc::new(Log::default());
    let mut results = Controller::new(common::maps(&sim), watcher::Config::default())
        .watches(Api::<Secret>::all(client(&sim)), lists.timeout(Duration::from_secs(5)), mapper)
        .run(log_name, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    // The secret has no targets until the index contains a name.
    index.lock().unwrap().push("a");
    sim.delete("v1", "Secret", "default", "s").unwrap();
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["a"]);
    put_secret(&sim, "t", "");
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a"]);
    sim.delete("v1", "Secret", "default", "t").unwrap();
    poll_for(1, &mut results).await;
    assert_eq!(
        log.take_lines(),
        ["a"],
        "an object is reconciled once, although the mapper returns it for two states"
    );
}
