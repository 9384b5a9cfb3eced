//! Tests of the metrics of controllers, watchers and leader elections, and of the log lines about problems.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]
#![allow(clippy::float_cmp, reason = "the values are whole numbers")]

#[cfg(feature = "manager")]
#[path = "metrics/bad_input.rs"]
mod bad_input;
#[path = "behaviour/common.rs"]
mod common;
#[path = "metrics/log.rs"]
mod log;
#[path = "behaviour/script.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod script;
#[path = "metrics/watches.rs"]
mod watches;

use common::{client, delete_map, maps, poll_for, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, ResourceExt};
use kube_runtime::controller::{self, Action, Gate};
use kube_runtime::leader::LeaderElector;
use kube_runtime::{Controller, WatchStreamExt, watcher};
use kube_sim::fault::{Action as Fault, Rule};
use kube_sim::{Sim, WatchList};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde_json::json;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    future::{pending, ready},
    sync::Arc,
    time::Duration,
};

/// The metrics of the current thread.
struct RecordedMetrics {
    snapshotter: Snapshotter,
    totals: RefCell<BTreeMap<String, f64>>,
    _guard: metrics::LocalRecorderGuard<'static>,
}

fn record_metrics() -> RecordedMetrics {
    let recorder = Box::leak(Box::new(DebuggingRecorder::new()));
    let snapshotter = recorder.snapshotter();
    RecordedMetrics {
        snapshotter,
        totals: RefCell::default(),
        _guard: metrics::set_default_local_recorder(recorder),
    }
}

impl RecordedMetrics {
    /// The values of all metrics, by name and labels. A histogram has two entries: the number of its values, and their
    /// sum, whose name begins with `sum of`.
    fn values(&self) -> BTreeMap<String, f64> {
        let name = |key: &metrics::Key| {
            let labels: Vec<_> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            format!("{} {}", key.name(), labels.join(" "))
        };
        let number = |number: usize| f64::from(u32::try_from(number).unwrap());
        // A snapshot resets all values. Therefore the values that the crate reports as differences are added up here.
        let mut totals = self.totals.borrow_mut();
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            if let DebugValue::Histogram(values) = &value {
                let sum = values.iter().map(|value| value.into_inner()).sum::<f64>();
                *totals.entry(format!("sum of {}", name(key.key()))).or_default() += sum;
            }
            let total = totals.entry(name(key.key())).or_default();
            match value {
                DebugValue::Counter(value) => *total += number(usize::try_from(value).unwrap()),
                DebugValue::Gauge(value) if is_sum_over_watchers(key.key().name()) => *total += *value,
                DebugValue::Gauge(value) => *total = *value,
                DebugValue::Histogram(values) => *total += number(values.len()),
            }
        }
        totals.clone()
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.values().get(name).copied()
    }
}

/// Whether the crate reports only changes of this gauge, because the value of the gauge is a sum over watchers.
fn is_sum_over_watchers(gauge: &str) -> bool {
    gauge.starts_with("kube_runtime_collection_") || gauge == "kube_runtime_missing_collections"
}

#[derive(Debug)]
struct FailedError;

impl fmt::Display for FailedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for FailedError {}

/// A reconciler's error with any source.
#[derive(Debug, thiserror::Error)]
#[error("cannot reconcile")]
struct AnySourceError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// The path of the watched collection. In the metrics of a watcher, the label `name` has this value.
const MAPS_PATH: &str = "/api/v1/namespaces/default/configmaps";

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default()).named("maps")
}

#[tokio::test(start_paused = true)]
async fn the_metrics_count_conflicts_terminal_errors_and_timeouts_separately() {
    async fn reconcile(map: Arc<ConfigMap>, _: Arc<()>) -> Result<Action, AnySourceError> {
        match map.name_any().as_str() {
            "conflict" if controller::attempt() == 1 => {
                let status = kube_client::core::Status::failure("outdated", "Conflict").with_code(409);
                Err(AnySourceError(kube_client::Error::Api(status.boxed()).into()))
            }
            "hangs" if controller::attempt() == 1 => pending().await,
            "terminal" => Err(AnySourceError(controller::TerminalError::new("invalid").into())),
            _ => Ok(Action::await_change()),
        }
    }
    let (recorded, sim) = (record_metrics(), Sim::new());
    for name in ["conflict", "hangs", "terminal"] {
        put_map(&sim, name, "1");
    }
    let config = controller::Config::default().reconcile_timeout(Duration::from_secs(5));
    let controller = controller(&sim).with_config(config);
    let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    poll_for(60, &mut results).await;
    let total = |metric: &str| recorded.value(&format!("controller_runtime_{metric}"));
    let results = ["success", "conflict", "error"];
    let results = results.map(|result| total(&format!("reconcile_total controller=maps result={result}")));
    assert_eq!(results, [Some(2.0), Some(1.0), Some(2.0)]);
    assert_eq!(total("reconcile_errors_total controller=maps"), Some(2.0));
    assert_eq!(total("terminal_reconcile_errors_total controller=maps"), Some(1.0));
    assert_eq!(total("reconcile_timeouts_total controller=maps"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_controller_has_the_metrics_of_controller_runtime_and_client_go() {
    let (recorded, sim) = (record_metrics(), Sim::new());
    for name in ["fails", "panics", "again", "ok"] {
        put_map(&sim, name, "1");
    }
    let first = std::sync::atomic::AtomicU32::new(0);
    let reconcile = |map: Arc<ConfigMap>, _: Arc<()>| {
        let is_first = first.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 4;
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match map.name_any().as_str() {
                "fails" if is_first => Err(FailedError),
                "panics" if is_first => panic!("a test"),
                "again" if is_first => Ok(Action::requeue(Duration::from_secs(60))),
                "slow" => pending().await,
                _ => Ok(Action::await_change()),
            }
        }
    };
    let config = controller::Config::default().concurrency(7);
    let mut results = controller(&sim)
        .with_config(config)
        .run(reconcile, controller::backoff_on_error, Arc::new(()))
        .boxed();
    poll_for(120, &mut results).await;
    put_map(&sim, "slow", "1");
    poll_for(12, &mut results).await;
    let values = recorded.values();
    let queue = |metric: &str| values[&format!("workqueue_{metric} name=maps controller=maps")];
    assert_eq!([queue("adds_total"), queue("retries_total"), queue("depth")], [8.0, 2.0, 0.0]);
    assert_eq!([queue("queue_duration_seconds"), queue("work_duration_seconds")], [8.0, 7.0]);
    assert!((5.0..=12.0).contains(&queue("unfinished_work_seconds")));
    assert_eq!(queue("unfinished_work_seconds"), queue("longest_running_processor_seconds"));
    let total = |metric: &str| values[&format!("controller_runtime_{metric}")];
    let results = ["success", "requeue_after", "requeue", "error"];
    let results = results.map(|result| total(&format!("reconcile_total controller=maps result={result}")));
    assert_eq!(results, [4.0, 1.0, 0.0, 2.0]);
    assert_eq!(total("reconcile_errors_total controller=maps"), 2.0);
    assert_eq!(total("reconcile_panics_total controller=maps"), 1.0);
    assert_eq!(total("reconcile_time_seconds controller=maps"), 7.0);
    assert_eq!(total("active_workers controller=maps"), 1.0);
    assert_eq!(total("max_concurrent_reconciles controller=maps"), 7.0);
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_whose_object_was_deleted_adds_no_key_to_the_queue() {
    for action in [Ok(Action::requeue(Duration::from_secs(60))), Err(FailedError)] {
        let (recorded, sim) = (record_metrics(), Sim::new());
        put_map(&sim, "a", "1");
        let reconcile = |_, _| {
            let result = action.as_ref().copied().map_err(|_| FailedError);
            async move {
                tokio::time::sleep(Duration::from_secs(10)).await;
                result
            }
        };
        let mut results = controller(&sim).run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
        poll_for(5, &mut results).await;
        delete_map(&sim, "a");
        poll_for(600, &mut results).await;
        let queue = |metric: &str| recorded.value(&format!("workqueue_{metric} name=maps controller=maps"));
        assert_eq!([queue("work_duration_seconds"), queue("adds_total")], [Some(1.0), Some(1.0)]);
        assert_eq!(queue("retries_total"), Some(0.0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_reconcile_and_a_stuck_key_are_each_counted_once() {
    let (recorded, sim) = (record_metrics(), Sim::new());
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let config = controller::Config::default().concurrency(1).stall_limit(Duration::from_secs(300));
    let reconcile = |_, _| pending::<Result<Action, FailedError>>();
    let mut results = controller(&sim)
        .with_config(config)
        .run(reconcile, controller::backoff_on_error, Arc::new(()))
        .boxed();
    let [running, waiting] = [
        "kube_runtime_stuck_reconciles_total controller=maps",
        "kube_runtime_stuck_keys_total controller=maps",
    ];
    poll_for(290, &mut results).await;
    assert_eq!((recorded.value(running), recorded.value(waiting)), (None, None));
    poll_for(40, &mut results).await;
    assert_eq!((recorded.value(running), recorded.value(waiting)), (Some(1.0), Some(1.0)));
    poll_for(3600, &mut results).await;
    assert_eq!((recorded.value(running), recorded.value(waiting)), (Some(1.0), Some(1.0)));
}

#[tokio::test(start_paused = true)]
async fn a_key_behind_a_closed_gate_does_not_count_as_stuck() {
    let (recorded, sim) = (record_metrics(), Sim::new());
    put_map(&sim, "a", "1");
    let (_handle, gate) = Gate::new("leadership");
    let reconcile = |_, _| ready(Ok::<_, FailedError>(Action::await_change()));
    let mut results =
        controller(&sim).with_gate(gate).run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    poll_for(3600, &mut results).await;
    assert_eq!(recorded.value("kube_runtime_stuck_keys_total controller=maps"), None);
}

#[tokio::test(start_paused = true)]
async fn a_hot_loop_is_counted_once_and_slow_requeues_are_not_counted() {
    for (wait, expected) in [(20, Some(1.0)), (1000, None)] {
        let (recorded, sim) = (record_metrics(), Sim::new());
        put_map(&sim, "a", "1");
        let reconcile = |_, _| ready(Ok::<_, FailedError>(Action::requeue(Duration::from_millis(wait))));
        let mut results = controller(&sim).run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
        poll_for(300, &mut results).await;
        assert_eq!(recorded.value("kube_runtime_hot_loops_total controller=maps"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_watcher_counts_its_lists_and_watches_and_relists() {
    let (recorded, sim) = (record_metrics(), Sim::new());
    put_map(&sim, "a", "1");
    sim.faults().add(Rule::new(Fault::status(410)).verb("watch").nth(2));
    let mut items = watcher(maps(&sim), watcher::Config::default().timeout(Duration::from_secs(60))).boxed();
    poll_for(30, &mut items).await;
    put_map(&sim, "b", "1");
    poll_for(75, &mut items).await;
    let values = recorded.values();
    let value = |metric: &str| values[&format!("{metric} name={MAPS_PATH}")];
    assert_eq!(value("reflector_lists_total"), 2.0);
    assert_eq!(value("reflector_list_duration_seconds"), 2.0);
    assert_eq!(value("reflector_items_per_list"), 2.0);
    // There are three watches. The first follows the streaming list. The second gets 410, because its version
    // has expired. The third follows the relist.
    assert_eq!(value("reflector_watches_total"), 3.0);
    assert_eq!(value("reflector_watch_duration_seconds"), 2.0);
    assert_eq!(values[&format!("kube_runtime_relists_total name={MAPS_PATH} reason=expired")], 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_objects_of_a_list_are_counted_over_all_pages() {
    let paged = watcher::Config::default().initial_list_strategy(watcher::InitialListStrategy::ListWatch);
    for config in [watcher::Config::default(), paged.page_size(2)] {
        let (recorded, sim) = (record_metrics(), Sim::new());
        for name in ["a", "b", "c", "d", "e"] {
            put_map(&sim, name, "1");
        }
        let mut items = watcher(maps(&sim), config.clone()).boxed();
        poll_for(5, &mut items).await;
        let number = |name: &str| recorded.value(&format!("{name} name={MAPS_PATH}"));
        assert_eq!(number("reflector_items_per_list"), Some(1.0), "{config:?}");
        assert_eq!(number("sum of reflector_items_per_list"), Some(5.0), "{config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_from_streaming_lists_is_counted() {
    for mode in [WatchList::Refused, WatchList::Ignored] {
        let (recorded, sim) = (record_metrics(), Sim::builder().watch_list(mode).build());
        let mut items = watcher(maps(&sim), watcher::Config::default()).boxed();
        poll_for(60, &mut items).await;
        let name = format!("kube_runtime_streaming_list_fallbacks_total name={MAPS_PATH} reason=unsupported");
        assert_eq!(recorded.value(&name), Some(1.0), "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_counted_once_until_it_sends_again() {
    let (recorded, sim) =
        (record_metrics(), Sim::builder().bookmark_interval(Duration::from_secs(36_000)).build());
    let config =
        watcher::Config::default().timeout(Duration::from_secs(36_000)).probe_after(Duration::from_secs(60));
    let mut items = watcher(maps(&sim), config).boxed();
    let name = format!("kube_runtime_silent_watches_total name={MAPS_PATH}");
    for expected in [None, Some(1.0), Some(1.0)] {
        assert_eq!(recorded.value(&name), expected);
        poll_for(1800, &mut items).await;
    }
    put_map(&sim, "a", "1");
    poll_for(1800, &mut items).await;
    assert_eq!(recorded.value(&name), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn the_metric_of_the_election_shows_the_leader() {
    let (recorded, sim) = (record_metrics(), Sim::new());
    let name = "leader_election_master_status name=operator";
    let standby = LeaderElector::new(client(&sim), "default", "operator", "other");
    let leadership = LeaderElector::new(client(&sim), "default", "operator", "pod").start().unwrap();
    leadership.acquired().await.unwrap();
    assert_eq!(recorded.value(name), Some(1.0));
    leadership.release().await.unwrap();
    assert_eq!(recorded.value(name), Some(0.0));
    drop(recorded);
    let leadership = LeaderElector::new(client(&sim), "default", "operator", "pod").start().unwrap();
    leadership.acquired().await.unwrap();
    let recorded = record_metrics();
    let _standby = standby.start().unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(recorded.value(name), Some(0.0), "a standby has a series");
}

/// Creates the custom resource definition of the kind `Foo`.
fn define_foo_kind(sim: &Sim) {
    sim.create(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_controller_waits_for_a_missing_or_deleted_definition_and_resumes() {
    let (recorded, sim) = (record_metrics(), Sim::new());
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Foo"));
    let foos = Api::<DynamicObject>::namespaced_with(client(&sim), "default", &kind);
    let controller = Controller::new_with(foos, watcher::Config::default(), kind.clone());
    let reconcile = |_, _| ready(Ok::<_, FailedError>(Action::await_change()));
    let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    let missing = "kube_runtime_missing_collections name=/apis/example.com/v1/namespaces/default/foos";
    for round in 1..=2 {
        poll_for(120, &mut results).await;
        assert_eq!(recorded.value(missing), Some(1.0), "round {round}");
        define_foo_kind(&sim);
        poll_for(120, &mut results).await;
        assert_eq!(recorded.value(missing), Some(0.0), "round {round}");
        sim.create(&json!({"apiVersion": "example.com/v1", "kind": "Foo",
            "metadata": {"name": "a", "namespace": "default"}}))
            .unwrap();
        poll_for(10, &mut results).await;
        let total = "controller_runtime_reconcile_total controller=foo result=success";
        assert_eq!(recorded.value(total), Some(f64::from(round)), "round {round}");
        sim.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "foos.example.com").unwrap();
    }
    let foos = Api::<DynamicObject>::namespaced_with(client(&sim), "default", &kind);
    let mut second = watcher(foos, watcher::Config::default()).default_backoff().boxed();
    poll_for(120, &mut second).await;
    poll_for(120, &mut results).await;
    assert_eq!(recorded.value(missing), Some(2.0), "two watchers wait");
    drop(second);
    assert_eq!(recorded.value(missing), Some(1.0), "one watcher waits");
    drop(results);
    assert_eq!(recorded.value(missing), Some(0.0), "nothing watches the collection");
}
