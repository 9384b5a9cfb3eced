//! Tests of the order of reconciles.

use crate::common::{Log, format_map, maps, poll_for, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::controller::{self, Action, Config};
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use std::{convert::Infallible, sync::Arc, time::Duration};

/// A reconciler that takes two seconds and logs the object.
async fn log_object_after_wait(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, Infallible> {
    log.simulate_work(Duration::from_secs(2)).await;
    log.add_line(format_map(&map));
    Ok(Action::await_change())
}

#[tokio::test(start_paused = true)]
async fn changes_are_reconciled_before_the_rest_of_the_initial_list() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    let log = Arc::new(Log::default());
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .with_config(Config::default().concurrency(1))
        .run(log_object_after_wait, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    put_map(&sim, "d", "1");
    put_map(&sim, "c", "2");
    poll_for(20, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "d=1", "c=2", "b=1"]);
}
