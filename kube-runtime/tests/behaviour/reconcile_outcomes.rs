//! Tests of the outcomes of reconciles: time limits, terminal errors, conflicts, and the numbers of attempts.

use crate::common::{Log, format_map, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, api::PostParams};
use kube_runtime::controller::{Action, Config, Error, TerminalError, attempt, backoff_on_error};
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use std::{future, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default())
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_hangs_is_dropped_at_the_time_limit_and_retried() {
    struct DropLogger(Arc<Log>);
    impl Drop for DropLogger {
        fn drop(&mut self) {
            self.0.add_line("dropped");
        }
    }
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let reconcile = async |_: Arc<ConfigMap>, log: Arc<Log>| {
        let number = attempt();
        log.add_line(format!("attempt {number}"));
        let _guard = DropLogger(log);
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
async fn a_terminal_error_is_reported_and_not_retried_before_the_object_changes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot place the object")]
    struct PlacementError(#[source] TerminalError);

    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let reconcile = async |map: Arc<ConfigMap>, log: Arc<Log>| {
        log.add_line(format_map(&map));
        Err::<Action, _>(PlacementError(TerminalError::new("no such zone")))
    };
    let mut results = controller(&sim).run(reconcile, backoff_on_error, log.clone()).boxed();
    let error = results.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::ReconcilerFailed(PlacementError(_), _)), "{error}");
    timeout(Duration::from_secs(3600), results.next()).await.expect_err("it is not retried");
    put_map(&sim, "a", "2");
    assert!(results.next().await.unwrap().is_err());
    assert_eq!(log.take_lines(), ["a=1", "a=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_retried_at_once_with_the_new_state_and_is_not_an_error() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let api: Api<ConfigMap> = maps(&sim);
    let other = sim.clone();
    let reconcile = move |map: Arc<ConfigMap>, log: Arc<Log>| {
        let (api, other) = (api.clone(), other.clone());
        async move {
            log.add_line(format!("{} attempt {}", format_map(&map), attempt()));
            if map.data.as_ref().unwrap()["v"] == "1" {
                // Another client writes between the read and the write.
                put_map(&other, "a", "2");
            }
            let mut map = (*map).clone();
            map.data.get_or_insert_default().insert("done".into(), "yes".into());
            api.replace("a", &PostParams::default(), &map).await?;
            Ok::<_, kube_client::Error>(Action::await_change())
        }
    };
    let mut results = controller(&sim).run(reconcile, backoff_on_error, log.clone()).boxed();
    let start = Instant::now();
    // Take the result of the conflict, and the results of the reconciles after the conflict.
    while let Ok(Some(result)) = timeout(Duration::from_secs(60), results.next()).await {
        let (object, _) = result.expect("a conflict is not an error");
        assert_eq!(object.name, "a");
    }
    let lines = log.take_lines();
    assert_eq!(lines[0], "a=1 attempt 1");
    let is_retry = |line: &String| line.starts_with("a=2 attempt ") && !line.ends_with(" 1");
    assert!(lines.iter().any(is_retry), "{lines:?}");
    assert!(start.elapsed() < Duration::from_secs(61));
    let stored = sim.get("v1", "ConfigMap", "default", "a").unwrap();
    assert_eq!((&stored["data"]["v"], &stored["data"]["done"]), (&"2".into(), &"yes".into()));
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_always_conflicts_is_retried_with_backoff() {
    fn error_policy(object: Arc<ConfigMap>, error: &kube_client::Error, log: Arc<Log>) -> Action {
        log.add_line(format!("policy {}", attempt()));
        backoff_on_error(object, error, log)
    }
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let conflict = || {
        let status = kube_client::core::Status::failure("outdated", "Conflict").with_code(409);
        kube_client::Error::Api(status.boxed())
    };
    let reconcile = move |_: Arc<ConfigMap>, log: Arc<Log>| {
        log.add_line(format!("{}", attempt()));
        future::ready(Err::<Action, _>(conflict()))
    };
    let config = Config::default().failure_backoff(Duration::from_secs(1), Duration::from_secs(60));
    let mut results = controller(&sim).with_config(config).run(reconcile, error_policy, log.clone()).boxed();
    let start = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..5 {
        assert!(results.next().await.unwrap().is_ok());
        waits.push(start.elapsed().as_secs());
    }
    // The first retry follows at once. The next retries wait for 1 s, 2 s and 4 s.
    assert_eq!(waits, [0, 0, 1, 3, 7]);
    let expected: Vec<_> = (1..=5).flat_map(|n| [n.to_string(), format!("policy {n}")]).collect();
    assert_eq!(log.take_lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn attempts_in_a_separate_task_are_counted_until_a_success() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let reconcile = async |_: Arc<ConfigMap>, log: Arc<Log>| {
        // A reconcile that waits becomes a task of its own.
        sleep(Duration::from_millis(1)).await;
        let number = attempt();
        log.add_line(number.to_string());
        if number.is_multiple_of(3) {
            Ok(Action::requeue(Duration::from_secs(5)))
        } else {
            Err(std::fmt::Error)
        }
    };
    let mut results = controller(&sim).run(reconcile, backoff_on_error, log.clone()).boxed();
    for _ in 0..6 {
        results.next().await.unwrap().ok();
    }
    assert_eq!(log.take_lines(), ["1", "2", "3", "1", "2", "3"]);
    assert_eq!(attempt(), 1);
}
