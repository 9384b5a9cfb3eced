//! Tests of a controller after a relist: it reconciles every object that changed between two watches, in its current
//! state, and no other object.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::{format_map, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::controller::{self, Action};
use kube_runtime::watcher::{Config, InitialListStrategy};
use kube_runtime::{Controller, watcher};
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

/// Returns the objects that a controller reconciles after a relist. The pages of the relist are delayed, so that the
/// controller is polled between two pages.
async fn reconciled_after_a_relist(config: watcher::Config) -> Vec<String> {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    // The first watch sends no events, and the second fails with an expired version (410).
    sim.faults().add(Rule::new(Fault::HangAfterEvents(0)).verb("watch").nth(1));
    sim.faults().add(Rule::new(Fault::status(410)).verb("watch").nth(2));
    let log = Arc::new(Log::default());
    let controller = Controller::new(maps(&sim), config.timeout(Duration::from_secs(5)));
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
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

#[tokio::test(start_paused = true)]
async fn reconciles_only_modified_and_new_objects_in_their_current_state() {
    let lists = Config::default().initial_list_strategy(InitialListStrategy::ListWatch);
    assert_eq!(reconciled_after_a_relist(lists.page_size(1)).await, ["a=2", "c=1"]);
}
