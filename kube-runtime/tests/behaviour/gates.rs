//! Tests of the gates of a controller.

use crate::common::{Log, client, log_object, maps, poll_for, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::Api;
use kube_runtime::controller::{self, Action, Error, Gate};
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use std::{convert::Infallible, sync::Arc, time::Duration};

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default())
}

fn secrets(sim: &Sim) -> Api<Secret> {
    Api::default_namespaced(client(sim))
}

/// A function that adds an owned or watched kind to a controller.
type AddKind = fn(Controller<ConfigMap>, Api<Secret>) -> Controller<ConfigMap>;

#[tokio::test(start_paused = true)]
async fn no_reconcile_starts_before_the_lists_of_owned_and_watched_kinds_are_complete() {
    let kinds: [AddKind; 2] = [
        |controller, secrets| controller.owns(secrets, watcher::Config::default()),
        |controller, secrets| controller.watches(secrets, watcher::Config::default(), |_| None),
    ];
    for add in kinds {
        let sim = Sim::new();
        put_map(&sim, "a", "1");
        sim.faults().add(Rule::new(Fault::Delay(Duration::from_secs(5))).resource("secrets"));
        let log = Arc::new(Log::default());
        let controller = add(controller(&sim), secrets(&sim));
        let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
        poll_for(4, &mut results).await;
        assert_eq!(log.take_lines(), [""; 0]);
        poll_for(4, &mut results).await;
        assert_eq!(log.take_lines(), ["a=1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closes_keeps_the_queued_objects_until_it_opens() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (handle, gate) = Gate::new("leadership");
    let log = Arc::new(Log::default());
    let controller = controller(&sim).with_gate(gate);
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), [""; 0]);
    handle.open();
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1"]);
    handle.close();
    for value in ["2", "3"] {
        put_map(&sim, "a", value);
        poll_for(1, &mut results).await;
    }
    assert_eq!(log.take_lines(), [""; 0]);
    handle.open();
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a=3"]);
}

#[tokio::test(start_paused = true)]
async fn in_flight_reconciles_finish_while_a_gate_is_closed() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (handle, gate) = Gate::new("leadership");
    handle.open();
    let log = Arc::new(Log::default());
    let slowly = async |map: Arc<ConfigMap>, log: Arc<Log>| -> Result<Action, Infallible> {
        log.simulate_work(Duration::from_secs(5)).await;
        log_object(map, log).await
    };
    let mut results = controller(&sim)
        .with_gate(gate)
        .run(
            move |map, log| Box::pin(slowly(map, log)) as futures::future::BoxFuture<'static, _>,
            controller::backoff_on_error,
            log.clone(),
        )
        .boxed();
    poll_for(1, &mut results).await;
    handle.close();
    put_map(&sim, "a", "2");
    poll_for(20, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_gate_handle_is_an_error_and_ends_the_controller() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (handle, gate) = Gate::new("leadership");
    handle.open();
    let log = Arc::new(Log::default());
    let controller = controller(&sim).with_gate(gate);
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1"]);
    drop(handle);
    let items: Vec<_> = results.collect().await;
    assert!(matches!(&items[..], [Err(Error::GateDropped { gate })] if gate == "leadership"), "{items:?}");
    assert_eq!(log.take_lines(), [""; 0]);
}
