//! Tests of the deletion handler of a controller, and of resyncs.

use crate::common::{Log, delete_map, format_map, log_object, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::BoxError;
use kube_runtime::controller::{self, Action, Error, Gate, Key, TerminalError};
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default())
}

/// Returns a deletion handler that logs the key.
fn key_logger(
    log: &Arc<Log>,
) -> impl FnMut(Key) -> std::future::Ready<Result<(), Infallible>> + Send + 'static {
    let log = log.clone();
    move |key| {
        log.add_line(format!("-{key}"));
        std::future::ready(Ok(()))
    }
}

/// Polls a controller for `seconds`. Returns the texts of the errors.
async fn poll_for<E: std::error::Error + 'static>(
    seconds: u64,
    results: &mut (
             impl futures::Stream<Item = Result<(kube_runtime::reflector::ObjectRef<ConfigMap>, Action), Error<E>>>
             + Unpin
         ),
) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut errors = Vec::new();
    while let Ok(Some(result)) = timeout_at(end, results.next()).await {
        errors.extend(result.err().map(|error| error.to_string()));
    }
    errors
}

#[tokio::test(start_paused = true)]
async fn the_handler_receives_the_key_of_each_deleted_object_once() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    let controller = controller(&sim).on_deletion(key_logger(&log));
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "b=1", "c=1"]);
    delete_map(&sim, "a");
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["-default/a"]);
    // A deletion that only a relist finds.
    sim.faults().add(Rule::new(Fault::status(410)).verb("watch").times(1));
    sim.end_watches();
    delete_map(&sim, "b");
    sim.compact_all();
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["-default/b"]);
    // An object is deleted and immediately created again: the reconciler receives the new object.
    delete_map(&sim, "c");
    put_map(&sim, "c", "2");
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["c=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_handler_is_called_again_until_it_succeeds_or_the_object_exists_again() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    for name in ["again", "fails", "hangs", "panics", "terminal"] {
        put_map(&sim, name, "1");
    }
    let calls = log.clone();
    let handler = move |key: Key| {
        let log = calls.clone();
        assert!(key.name() != "panics" || controller::attempt() > 1, "a test");
        async move {
            let attempt = controller::attempt();
            log.add_line(format!("-{} {attempt}", key.name()));
            match (key.name(), attempt) {
                ("again", _) | ("fails", 1..3) => Err(BoxError::from("not yet")),
                ("terminal", _) => Err(TerminalError::new("never").into()),
                ("hangs", 1) => pending().await,
                _ => Ok(()),
            }
        }
    };
    let config = controller::Config::default()
        .failure_backoff(Duration::from_secs(10), Duration::from_secs(10))
        .reconcile_timeout(Duration::from_secs(5));
    let mut results = controller(&sim)
        .on_deletion(handler)
        .with_config(config)
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    for name in ["again", "fails", "hangs", "panics", "terminal"] {
        delete_map(&sim, name);
    }
    let mut errors = poll_for(15, &mut results).await;
    errors.extend(poll_for(20, &mut results).await);
    put_map(&sim, "again", "2");
    errors.extend(poll_for(3600, &mut results).await);
    let mut lines = log.take_lines();
    lines.sort();
    let expected = [
        "-again 1",
        "-again 2",
        "-again 3",
        "-again 4",
        "-fails 1",
        "-fails 2",
        "-fails 3",
        "-hangs 1",
        "-hangs 2",
        "-panics 2",
        "-terminal 1",
        "again=2",
    ];
    assert_eq!(lines, expected);
    let count = |text: &str| errors.iter().filter(|error| error.contains(text)).count();
    assert_eq!(count("cannot handle the deletion"), 7, "{errors:?}");
    assert_eq!((count("did not end within"), count("panicked")), (1, 1), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn the_handler_and_a_reconcile_of_one_object_never_run_concurrently() {
    async fn reconcile(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, Infallible> {
        log.simulate_work(Duration::from_secs(5)).await;
        log.add_line(format_map(&map));
        Ok(Action::requeue(Duration::from_secs(1)))
    }
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let shared = log.clone();
    let handler = move |key: Key| {
        let log = shared.clone();
        async move {
            log.simulate_work(Duration::from_secs(5)).await;
            log.add_line(format!("-{key}"));
            Ok::<_, Infallible>(())
        }
    };
    let controller = controller(&sim).on_deletion(handler);
    let mut results = controller.run(reconcile, controller::backoff_on_error, log.clone()).boxed();
    poll_for(2, &mut results).await;
    delete_map(&sim, "a");
    poll_for(5, &mut results).await;
    // The deletion handler of the first deletion is still running.
    put_map(&sim, "a", "2");
    poll_for(6, &mut results).await;
    delete_map(&sim, "a");
    poll_for(3600, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "-default/a", "a=2", "-default/a"]);
    assert_eq!(log.peak.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_not_called_for_objects_that_are_deleted_while_a_gate_is_closed() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    let (leadership, gate) = Gate::new("leadership");
    let controller = controller(&sim).on_deletion(key_logger(&log)).with_gate(gate);
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    for number in 0..2000 {
        let name = format!("m{number}");
        put_map(&sim, &name, "1");
        poll_for(0, &mut results).await;
        delete_map(&sim, &name);
    }
    poll_for(10, &mut results).await;
    leadership.open();
    put_map(&sim, "a", "1");
    poll_for(10, &mut results).await;
    delete_map(&sim, "a");
    poll_for(10, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "-default/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_resync_reconciles_all_objects_without_a_request_to_the_server() {
    let (sim, reconciles) = (Sim::new(), Arc::new(AtomicU32::new(0)));
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let reconcile = async |_: Arc<ConfigMap>, reconciles: Arc<AtomicU32>| {
        reconciles.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>(Action::await_change())
    };
    let config = watcher::Config::default().timeout(Duration::from_secs(100_000)).probe_after(Duration::MAX);
    let controller = Controller::new(maps(&sim), config).resync_every(Duration::from_secs(600));
    let mut results = controller.run(reconcile, controller::backoff_on_error, reconciles.clone()).boxed();
    poll_for(500, &mut results).await;
    let requests = sim.journal().total();
    assert_eq!(reconciles.load(Ordering::SeqCst), 2);
    poll_for(200, &mut results).await;
    assert_eq!(reconciles.load(Ordering::SeqCst), 4);
    poll_for(36_000, &mut results).await;
    assert!((50 * 2..=62 * 2).contains(&reconciles.load(Ordering::SeqCst)), "{reconciles:?}");
    assert_eq!(sim.journal().total(), requests);
}
