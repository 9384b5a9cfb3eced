//! Tests of a controller's queue with the keys of deleted objects, and with keys that no object has.

use crate::common;
use crate::common::{Log, delete_map, maps, poll_for, put_map};
use futures::{StreamExt, channel::mpsc};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::ResourceExt;
use kube_runtime::controller::{self, Action, Changes, Gate, Key, RateLimiter, Trigger, own};
use kube_runtime::reflector::Delta;
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use std::{io, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A limiter that returns a delay of ten seconds, and sends each count of failures to its channel.
struct TenSecondLimiter(mpsc::UnboundedSender<u32>);

impl RateLimiter<Key> for TenSecondLimiter {
    fn delay(&mut self, _: &Key, failures: u32, _: Instant) -> Duration {
        self.0.unbounded_send(failures).unwrap();
        Duration::from_secs(10)
    }
}

async fn log_and_fail(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, io::Error> {
    log.add_line(map.name_any());
    Err(io::Error::other("no"))
}

/// Returns the counts of failures that the limiter receives for an object. Each reconcile of the object fails. After
/// three failures, the object is deleted and created again. If `filtered`, a filter drops all deltas except additions.
async fn failure_counts_across_a_deletion(filtered: bool) -> Vec<u32> {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (send, failures) = mpsc::unbounded();
    let log = Arc::new(Log::default());
    let (reader, changes) = Changes::watch(maps(&sim), watcher::Config::default());
    let passes = move |delta: &Delta<ConfigMap>| !filtered || delta.old().is_none();
    let mut results = Controller::from_source(reader, changes.filter(passes).handle(own()))
        .rate_limiter(TenSecondLimiter(send))
        .run(log_and_fail, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(25, &mut results).await;
    delete_map(&sim, "a");
    poll_for(1, &mut results).await;
    put_map(&sim, "a", "1");
    poll_for(1, &mut results).await;
    drop(results);
    failures.collect().await
}

#[tokio::test(start_paused = true)]
async fn the_failures_of_a_deleted_object_do_not_count_for_its_successor() {
    for filtered in [false, true] {
        assert_eq!(failure_counts_across_a_deletion(filtered).await, [1, 2, 3, 1], "filtered: {filtered}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_requeue_of_a_deleted_object_does_not_reconcile_its_successor() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let requeue = async |map: Arc<ConfigMap>, log: Arc<Log>| -> Result<Action, io::Error> {
        log.add_line(common::format_map(&map));
        let first = map.data.as_ref().is_some_and(|data| data["v"] == "1");
        Ok(if first { Action::requeue(Duration::from_secs(60)) } else { Action::await_change() })
    };
    let log = Arc::new(Log::default());
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .run(
            move |map, log| Box::pin(requeue(map, log)) as futures::future::BoxFuture<'static, _>,
            controller::backoff_on_error,
            log.clone(),
        )
        .boxed();
    poll_for(1, &mut results).await;
    delete_map(&sim, "a");
    poll_for(1, &mut results).await;
    put_map(&sim, "a", "2");
    poll_for(100, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "a=2"]);
}

/// While a gate is closed, passes 20,000 keys to a controller. No object has one of these keys. The name in each key
/// has 10 kB. Returns the names of the objects that the controller reconciles after the gate opens.
async fn names_reconciled_after_unknown_keys() -> Vec<String> {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (handle, gate) = Gate::new("leadership");
    let log = Arc::new(Log::default());
    let keys = futures::stream::once(tokio::time::sleep(Duration::from_secs(1))).flat_map(|()| {
        let missing = |number: u32| Key::new(Some("default"), &format!("{number:010000}"));
        futures::stream::iter(0..20_000).map(move |number| Trigger::new(missing(number)))
    });
    let mut results = Controller::new(maps(&sim), watcher::Config::default())
        .with_gate(gate)
        .with_source(keys)
        .run(log_and_fail, |_, _: &io::Error, _| Action::await_change(), log.clone())
        .boxed();
    poll_for(5, &mut results).await;
    handle.open();
    poll_for(1, &mut results).await;
    log.take_lines()
}

#[test]
fn the_queue_behind_a_closed_gate_stays_bounded_and_loses_no_object() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let mut reconciled = Vec::new();
    let allocated = allocation_counter::measure(|| {
        reconciled = runtime.block_on(names_reconciled_after_unknown_keys());
    });
    assert_eq!(reconciled, ["a"]);
    assert!(allocated.bytes_max < 100_000_000, "{} bytes at once, of 200,000,000", allocated.bytes_max);
}
