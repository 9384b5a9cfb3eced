//! Tests of the outcomes of reconciles: time limits, and the numbers of attempts.

use crate::common::{Log, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_runtime::controller::{Action, Config, Error, attempt, backoff_on_error};
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use std::{future, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default())
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_hangs_is_dropped_at_the_time_limit_and_retried() {
    struct Guard(Arc<Log>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.add_line("dropped");
        }
    }
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let reconcile = async |_: Arc<ConfigMap>, log: Arc<Log>| {
        let number = attempt();
        log.add_line(format!("attempt {number}"));
        let _guard = Guard(log);
        if number < 3 {
            future::pending::<()>().await;
        }
        Ok::<_, std::io::Error>(Action::await_change())
    };
    let config = Config::default().reconcile_timeout(Duration::from_secs(7));
    let controller = controller(&sim).with_config(config);
    let mut results = controller.run(reconcile, backoff_on_error, log.clone()).boxed();
    let start = Instant::now();
    for _ in 0..2 {
        let error = results.next().await.unwrap().unwrap_err();
        assert!(
            matches!(&error, Error::ReconcilerTimedOut(object, limit) if object.name == "a" && limit.as_secs() == 7),
            "{error}"
        );
    }
    assert!(results.next().await.unwrap().is_ok());
    assert_eq!(start.elapsed().as_secs(), 14);
    let lines = log.take_lines();
    assert_eq!(lines, ["attempt 1", "dropped", "attempt 2", "dropped", "attempt 3", "dropped"]);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_counts_failures_until_a_success_also_in_a_task() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let reconcile = async |_: Arc<ConfigMap>, log: Arc<Log>| {
        // After a wait, the reconcile is a task.
        sleep(Duration::from_millis(1)).await;
        let number = attempt();
        log.add_line(number.to_string());
        if number % 3 == 0 { Ok(Action::requeue(Duration::from_secs(5))) } else { Err(std::fmt::Error) }
    };
    let mut results = controller(&sim).run(reconcile, backoff_on_error, log.clone()).boxed();
    for _ in 0..6 {
        results.next().await.unwrap().ok();
    }
    assert_eq!(log.take_lines(), ["1", "2", "3", "1", "2", "3"]);
    assert_eq!(attempt(), 1);
}
