//! Tests of the time limit on the first snapshots of a controller (`sync_timeout`), and of controllers whose sources end.

use crate::common::{Log, client, format_map, maps, put_map};
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::Api;
use kube_runtime::controller::{self, Action, Config, Error, Gate};
use kube_runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A reconciler that logs the object, and requeues it after an hour.
async fn log_object(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, Infallible> {
    log.add_line(format_map(&map));
    Ok(Action::requeue(Duration::from_secs(3600)))
}

/// Polls the controller for `seconds` of the paused clock. Returns the resources of the `Error::SyncTimeout` errors.
async fn poll_for_late_resources<T>(
    seconds: u64,
    results: &mut (impl Stream<Item = Result<T, Error<Infallible>>> + Unpin),
) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut resources = Vec::new();
    while let Ok(Some(item)) = tokio::time::timeout_at(end, results.next()).await {
        if let Err(Error::SyncTimeout { resource, .. }) = item {
            resources.push(resource);
        }
    }
    resources
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_kind_is_reported_once_and_delays_reconciles_until_it_is_permitted() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    sim.faults().add(Rule::new(Fault::status(403)).resource("secrets"));
    let log = Arc::new(Log::default());
    let secrets = Api::<Secret>::default_namespaced(client(&sim));
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .owns(secrets, watcher::Config::default())
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    assert_eq!(poll_for_late_resources(119, &mut results).await, [""; 0]);
    assert_eq!(poll_for_late_resources(600, &mut results).await, ["/api/v1/namespaces/default/secrets"]);
    assert_eq!(log.take_lines(), [""; 0]);
    sim.faults().clear();
    poll_for_late_resources(60, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn the_sync_timeout_is_configurable_and_does_not_apply_to_gates() {
    let sim = Sim::new();
    sim.faults().add(Rule::new(Fault::status(404)).resource("configmaps"));
    let run = |api: Api<ConfigMap>| {
        let (handle, gate) = Gate::new("leadership");
        let results = Controller::new(api, watcher::Config::default())
            .with_gate(gate)
            .with_config(Config::default().sync_timeout(Duration::from_secs(5)))
            .run(log_object, controller::backoff_on_error, Arc::new(Log::default()))
            .boxed();
        (handle, results)
    };
    let (_handle, mut results) = run(maps(&sim));
    assert_eq!(poll_for_late_resources(60, &mut results).await, ["ConfigMap"]);
    let (_handle, mut results) = run(maps(&Sim::new()));
    assert_eq!(poll_for_late_resources(60, &mut results).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_controller_whose_sources_have_ended_reconciles_the_queued_objects_and_ends() {
    for debounce in [0, 5] {
        let sim = Sim::new();
        put_map(&sim, "a", "1");
        let (reader, writer) = reflector::store();
        let ready = reader.clone();
        // The stream of objects ends when the store is ready.
        let objects = watcher(maps(&sim), watcher::Config::default()).reflect(writer);
        let objects = objects.take_while(move |_| std::future::ready(!ready.is_ready())).applied_objects();
        let log = Arc::new(Log::default());
        let results = Controller::for_stream(objects, reader)
            .reconcile_all_on(stream::empty())
            .with_config(Config::default().debounce(Duration::from_secs(debounce)))
            .run(log_object, controller::backoff_on_error, log.clone());
        let items: Vec<_> = results.collect().await;
        assert!(matches!(&items[..], [Ok(_), Err(Error::SourcesEnded)]), "{items:?}");
        assert_eq!(log.take_lines(), ["a=1"], "debounce of {debounce} s");
    }
}
