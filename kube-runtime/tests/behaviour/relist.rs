//! Tests of a controller after a relist. The controller reconciles the current state of every object that changed between
//! two watches. It reconciles unchanged objects only if its source is a stream of objects.

use crate::common::{format_map, maps, put_map};
use futures::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::controller::{self, Action};
use kube_runtime::watcher::{Config, InitialListStrategy};
use kube_runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The reconciled objects, formatted by [`format_map`].
type Log = Mutex<Vec<String>>;

/// A reconciler that logs the object.
async fn log_object(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, Infallible> {
    log.lock().unwrap().push(format_map(&map));
    Ok(Action::await_change())
}

/// Runs a controller whose watcher relists. Returns the objects that the controller reconciles during and after the
/// relist, sorted. The pages of the relist are delayed, so that the controller is polled between two pages.
async fn run_with_a_relist(controller: impl FnOnce(&Sim) -> Controller<ConfigMap>) -> Vec<String> {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    // The first watch sends no events, and the second fails with an expired version (410).
    sim.faults().add(Rule::new(Fault::HangAfterEvents(0)).verb("watch").nth(1));
    sim.faults().add(Rule::new(Fault::status(410)).verb("watch").nth(2));
    let log = Arc::new(Log::default());
    let mut results = controller(&sim).run(log_object, controller::backoff_on_error, log.clone()).boxed();
    for _ in 0..2 {
        results.next().await.unwrap().unwrap();
    }
    log.lock().unwrap().clear();
    put_map(&sim, "a", "2");
    put_map(&sim, "c", "1");
    sim.faults().add(Rule::new(Fault::Delay(Duration::from_secs(1))).verb("list"));
    let all = async { while results.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(120), all).await.unwrap_err();
    let mut seen = std::mem::take(&mut *log.lock().unwrap());
    seen.sort();
    seen
}

/// The configuration of a watcher that lists in pages of one object, and whose watches end after five seconds.
fn paged_config() -> watcher::Config {
    let lists = Config::default().initial_list_strategy(InitialListStrategy::ListWatch);
    lists.page_size(1).timeout(Duration::from_secs(5))
}

#[tokio::test(start_paused = true)]
async fn a_controller_reconciles_only_modified_and_new_objects_in_their_current_state() {
    let reconciled = run_with_a_relist(|sim| Controller::new(maps(sim), paged_config())).await;
    assert_eq!(reconciled, ["a=2", "c=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_controller_for_a_stream_reconciles_all_current_states() {
    let reconciled = run_with_a_relist(|sim| {
        let (reader, writer) = reflector::store();
        Controller::for_stream(watcher(maps(sim), paged_config()).reflect(writer).applied_objects(), reader)
    });
    assert_eq!(reconciled.await, ["a=2", "b=1", "c=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_controller_for_a_stream_that_another_task_polls_reconciles_all_current_states() {
    let reconciled = run_with_a_relist(|sim| {
        let (reader, writer) = reflector::store();
        let objects = watcher(maps(sim), paged_config()).reflect(writer).applied_objects();
        let (mut send, receive) = futures::channel::mpsc::channel(100);
        tokio::spawn(async move { send.send_all(&mut objects.map(Ok).boxed()).await });
        Controller::for_stream(receive, reader)
    });
    assert_eq!(reconciled.await, ["a=2", "b=1", "c=1"]);
}
