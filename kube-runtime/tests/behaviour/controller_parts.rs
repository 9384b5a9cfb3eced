//! Tests of controllers that are built from sources, filters, handlers and rate limiters.

use crate::common::{Log, client, format_map, log_object, maps, put_map};
use futures::{Stream, StreamExt, channel::mpsc};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::core::{ApiResource, DynamicObject};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::controller::{self, Action, Changes, Error, Filter, Key, RateLimiter, Requests, Trigger};
use kube_runtime::controller::{changes_of, mapped, own, owners};
use kube_runtime::reflector::{Delta, DeltaKind, ObjectRef};
use kube_runtime::{Controller, WatchStreamExt, predicates, reflector, watcher};
use kube_sim::Sim;
use serde_json::json;
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Polls the controller for `seconds` of the paused clock. Returns the texts of the errors.
async fn poll_for<K: Resource, E: std::error::Error + 'static>(
    seconds: u64,
    results: &mut (impl Stream<Item = Result<(ObjectRef<K>, Action), Error<E>>> + Unpin),
) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut errors = Vec::new();
    while let Ok(Some(item)) = tokio::time::timeout_at(end, results.next()).await {
        errors.extend(item.err().map(|error| error.to_string()));
    }
    errors
}

/// Takes the logged lines from the log, and sorts them.
fn take_sorted_lines(log: &Log) -> Vec<String> {
    let mut lines = log.take_lines();
    lines.sort();
    lines
}

fn secrets(sim: &Sim) -> Api<Secret> {
    Api::default_namespaced(client(sim))
}

/// Creates or updates a secret with the annotation `v`, and optionally with a config map as its owner.
async fn put_secret(sim: &Sim, name: &str, value: &str, owner: Option<&str>) {
    let mut references = Vec::new();
    if let Some(owner) = owner {
        references.push(maps(sim).get(owner).await.unwrap().controller_owner_ref(&()).unwrap());
    }
    let meta = json!({"name": name, "namespace": "default", "annotations": {"v": value}, "ownerReferences": references});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta});
    if sim.get("v1", "Secret", "default", name).is_ok() {
        sim.update(&secret).unwrap();
    } else {
        sim.create(&secret).unwrap();
    }
}

/// A reflector's stream of the added and modified config maps, and the reflector's store.
fn reflected_maps(
    sim: &Sim,
) -> (impl Stream<Item = watcher::Result<Arc<ConfigMap>>> + Send + use<>, reflector::Store<ConfigMap>) {
    let (reader, writer) = reflector::store();
    let objects = watcher(maps(sim), watcher::Config::default()).reflect(writer).applied_objects();
    (objects, reader)
}

#[tokio::test(start_paused = true)]
async fn a_label_filter_drops_changes_that_do_not_affect_labels() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "ignored", "1");
    let ignored = |delta: &Delta<ConfigMap>| delta.last().is_some_and(|map| map.name_any() == "ignored");
    let (reader, changes) = Changes::watch(maps(&sim), watcher::Config::default());
    let source = changes.filter(changes_of(predicates::labels)).filter(ignored.not()).handle(own());
    let log = Arc::new(Log::default());
    let controller = Controller::from_source(reader, source);
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1"]);
    put_map(&sim, "a", "2");
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), [""; 0]);
    let labelled = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default",
        "labels": {"l": "x"}}, "data": {"v": "3"}});
    sim.update(&labelled).unwrap();
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=3"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_filter_is_reported_and_loses_no_change() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (reader, changes) = Changes::watch(maps(&sim), watcher::Config::default());
    let source = changes.filter(|_: &Delta<ConfigMap>| panic!("the filter met its poison")).handle(own());
    let log = Arc::new(Log::default());
    let controller = Controller::from_source(reader, source);
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    let errors = poll_for(1, &mut results).await;
    assert!(errors.len() == 1 && errors[0].ends_with("the filter met its poison"), "{errors:?}");
    assert_eq!(take_sorted_lines(&log), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn the_targets_of_an_object_are_forgotten_even_if_a_filter_drops_its_deletion() {
    let sim = Sim::new();
    for name in ["a", "b"] {
        put_map(&sim, name, "1");
    }
    put_secret(&sim, "s", "a", None).await;
    let additions = |delta: &Delta<Secret>| delta.kind() == DeltaKind::Added;
    let target =
        |secret: Secret| Some(ObjectRef::<ConfigMap>::new(&secret.annotations()["v"]).within("default"));
    let (_, changes) = Changes::watch(secrets(&sim), watcher::Config::default());
    let log = Arc::new(Log::default());
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .with_source(changes.filter(additions).handle(mapped(target)))
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    sim.delete("v1", "Secret", "default", "s").unwrap();
    put_secret(&sim, "s", "b", None).await;
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["b=1"], "the previous secret was deleted");
}

#[tokio::test(start_paused = true)]
async fn the_handlers_of_owners_and_mapped_objects_trigger_reconciles() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    let (_, owned) = Changes::watch(secrets(&sim), watcher::Config::default());
    let (_, watched) = Changes::watch(secrets(&sim), watcher::Config::default());
    let log = Arc::new(Log::default());
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .with_source(owned.handle(owners::<ConfigMap, Secret>(())))
        .with_source(watched.handle(mapped(|secret: Secret| {
            Some(ObjectRef::<ConfigMap>::new(&secret.annotations()["v"]).within("default"))
        })))
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    put_secret(&sim, "s", "b", Some("a")).await;
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1", "b=1"]);
    put_secret(&sim, "s", "b", Some("c")).await;
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1", "b=1", "c=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_closure_can_be_a_handler_and_its_panic_affects_only_one_change() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (_, changes) = Changes::watch(secrets(&sim), watcher::Config::default());
    let deleted = |delta: Delta<Secret>, requests: &mut Requests| {
        let name = delta.last().unwrap().name_any();
        assert!(name != "poison", "the handler met its poison");
        if delta.kind() == DeltaKind::Deleted {
            requests.add(Trigger::new(Key::new(Some("default"), &name)));
        }
    };
    let log = Arc::new(Log::default());
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .with_source(changes.handle(deleted))
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    put_secret(&sim, "poison", "", None).await;
    put_secret(&sim, "a", "", None).await;
    let errors = poll_for(1, &mut results).await;
    let error = "cannot map an object of /api/v1/namespaces/default/secrets to the objects to reconcile: the mapper panicked: the handler met its poison";
    assert_eq!((errors, take_sorted_lines(&log)), (vec![error.to_owned()], vec![]));
    sim.delete("v1", "Secret", "default", "a").unwrap();
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn streams_of_objects_can_be_sources() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let (objects, reader) = reflected_maps(&sim);
    let touched = || watcher(secrets(&sim), watcher::Config::default()).touched_objects();
    let log = Arc::new(Log::default());
    let mut results = Controller::for_stream(objects, reader)
        .owns_stream(touched())
        .watches_stream(touched(), |secret: Secret| {
            Some(ObjectRef::new(&secret.annotations()["v"]).within("default"))
        })
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1", "b=1"]);
    put_map(&sim, "b", "2");
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["b=2"]);
    put_secret(&sim, "s", "b", Some("a")).await;
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1", "b=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_controller_accepts_streams_of_arcs() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let (objects, reader) = reflected_maps(&sim);
    let touched = || {
        let objects = watcher(secrets(&sim), watcher::Config::default()).touched_objects();
        objects.filter_map(async |object| object.ok().map(Arc::new))
    };
    let log = Arc::new(Log::default());
    let mut results = Controller::for_shared_stream(objects.filter_map(async |object| object.ok()), reader)
        .owns_shared_stream(touched())
        .watches_shared_stream(touched(), |secret: Arc<Secret>| {
            Some(ObjectRef::new(&secret.annotations()["v"]).within("default"))
        })
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1", "b=1"]);
    put_secret(&sim, "s", "b", Some("a")).await;
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1", "b=1"]);
}

#[tokio::test(start_paused = true)]
async fn the_methods_with_a_dynamic_type_accept_kinds_that_are_known_only_at_run_time() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let [map, secret] = [ApiResource::erase::<ConfigMap>(&()), ApiResource::erase::<Secret>(&())];
    let api = |kind: &ApiResource| Api::<DynamicObject>::default_namespaced_with(client(&sim), kind);
    let target = |map: &ApiResource, secret: &DynamicObject| {
        Some(ObjectRef::new_with(&secret.annotations()["v"], map.clone()).within("default"))
    };
    let (kinds, config) = ([map.clone(), map.clone(), map.clone()], watcher::Config::default);
    let [first, second, third] = kinds;
    let touched = || watcher(api(&secret), config()).touched_objects();
    let (reader, writer) = reflector::store();
    let objects = watcher(api(&map), config()).reflect(writer).applied_objects();
    let log = Arc::new(Log::default());
    let by_name = async |object: Arc<DynamicObject>, log: Arc<Log>| -> Result<Action, Infallible> {
        log.add_line(object.name_any());
        Ok(Action::await_change())
    };
    let mut results = Controller::for_stream_with(objects, reader, map)
        .owns_with(api(&secret), secret.clone(), config())
        .owns_stream_with(touched(), secret.clone())
        .watches_with(api(&secret), secret.clone(), config(), move |secret| target(&first, &secret))
        .watches_stream_with(touched(), move |secret| target(&second, &secret), secret.clone())
        .watches_shared_stream_with(
            touched().filter_map(async |object| object.ok().map(Arc::new)),
            move |secret| target(&third, &secret),
            secret.clone(),
        )
        .run(
            move |object, log| Box::pin(by_name(object, log)) as futures::future::BoxFuture<'static, _>,
            controller::backoff_on_error,
            log.clone(),
        )
        .boxed();
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a", "b"]);
    put_secret(&sim, "s", "b", Some("a")).await;
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_triggers_can_be_a_source() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (send, triggers) = mpsc::unbounded();
    let log = Arc::new(Log::default());
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .with_source(triggers)
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    for name in ["a", "missing"] {
        send.unbounded_send(Trigger::new(Key::new(Some("default"), name))).unwrap();
    }
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_with_an_empty_namespace_is_reconciled() {
    let (reader, mut writer) = reflector::store();
    let meta = json!({"name": "a", "namespace": ""});
    let map: ConfigMap = serde_json::from_value(json!({"metadata": meta, "data": {"v": "1"}})).unwrap();
    writer.apply_watcher_event(watcher::Event::InitApply(map));
    writer.apply_watcher_event(watcher::Event::InitDone);
    let (send, triggers) = mpsc::unbounded();
    send.unbounded_send(Trigger::new(Key::new(None, "a"))).unwrap();
    let log = Arc::new(Log::default());
    let controller = Controller::from_source(reader, triggers);
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log).len(), 1);
}

/// A limiter that always returns a delay of ten seconds. It sends each key to a channel, with the number of
/// failures of the key.
struct TenSecondLimiter(mpsc::UnboundedSender<(String, u32)>);

impl RateLimiter<Key> for TenSecondLimiter {
    fn delay(&mut self, key: &Key, failures: u32, _: Instant) -> Duration {
        self.0.unbounded_send((key.to_string(), failures)).unwrap();
        Duration::from_secs(10)
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limiter_sets_the_delays_after_failures() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (send, failures) = mpsc::unbounded();
    let log = Arc::new(Log::default());
    let failing = async |map: Arc<ConfigMap>, log: Arc<Log>| -> Result<Action, io::Error> {
        log.add_line(format_map(&map));
        Err(io::Error::other("no"))
    };
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .rate_limiter(TenSecondLimiter(send))
        .run(
            move |map, log| Box::pin(failing(map, log)) as futures::future::BoxFuture<'static, _>,
            controller::backoff_on_error,
            log.clone(),
        )
        .boxed();
    assert_eq!(poll_for(25, &mut results).await.len(), 3, "after 0, 10 and 20 seconds");
    drop(results);
    let failures: Vec<_> = failures.collect().await;
    assert_eq!(failures, [1, 2, 3].map(|count| ("default/a".to_owned(), count)));
}

/// A limiter that panics for the config map `a`, and otherwise returns a delay of ten seconds.
struct PanickingLimiter;

impl RateLimiter<Key> for PanickingLimiter {
    fn delay(&mut self, key: &Key, _: u32, _: Instant) -> Duration {
        assert_ne!(key.name(), "a", "the limiter met its poison");
        Duration::from_secs(10)
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_in_a_rate_limiter_the_object_is_retried_and_other_objects_are_reconciled() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let log = Arc::new(Log::default());
    let failing = async |map: Arc<ConfigMap>, log: Arc<Log>| -> Result<Action, io::Error> {
        log.add_line(format_map(&map));
        Err(io::Error::other("no"))
    };
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .rate_limiter(PanickingLimiter)
        .run(
            move |map, log| Box::pin(failing(map, log)) as futures::future::BoxFuture<'static, _>,
            controller::backoff_on_error,
            log.clone(),
        )
        .boxed();
    poll_for(15, &mut results).await;
    let reconciled = |name| take_sorted_lines(&log).into_iter().filter(|line| line.starts_with(name)).count();
    assert!(reconciled("a") > 2, "the object is retried after the default backoff");
    put_map(&sim, "b", "2");
    poll_for(1, &mut results).await;
    assert_eq!(take_sorted_lines(&log), ["b=2"]);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_filter_that_panics_names_the_object() {
    let sim = Sim::new();
    let (_, changes) = Changes::watch(secrets(&sim), watcher::Config::default());
    let filter = |delta: &Delta<Secret>| {
        assert!(delta.last().unwrap().name_any() != "poison", "the filter met its poison");
        true
    };
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .with_source(changes.filter(filter).handle(own()))
        .run(log_object, controller::backoff_on_error, Arc::new(Log::default()))
        .boxed();
    poll_for(1, &mut results).await;
    put_secret(&sim, "poison", "", None).await;
    let errors = poll_for(1, &mut results).await;
    let error = "cannot map default/poison of /api/v1/namespaces/default/secrets to the objects to reconcile: the mapper panicked: the filter met its poison";
    assert_eq!(errors, [error]);
}
