//! `ControllerMetrics`: the metrics of a controller and its work queue. The names of the metrics are those of
//! controller-runtime and client-go, except for the counters of problems, whose names begin with `kube_runtime_`.

#[cfg(feature = "metrics")]
use {
    foldhash::HashMap,
    metrics::{Counter, Gauge, Histogram},
    std::collections::hash_map::Entry,
    tokio::time::Instant,
};

use std::{hash::Hash, time::Duration};

/// The outcome of a reconcile. It determines the label `result` of `controller_runtime_reconcile_total`, and which error
/// counters increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The object is not requeued: its next change requests the next reconcile.
    Success,
    /// The object is requeued after the time that the reconciler returned.
    RequeueAfter,
    /// The object is requeued after the wait of the rate limiter.
    Requeue,
    /// The reconciled object was outdated: another client changed it. A conflict is not counted as an error.
    /// controller-runtime does not have this outcome, and counts an error.
    Conflict,
    Error,
    /// An error after which the object is not requeued.
    TerminalError,
    Timeout,
    Panic,
}

/// The metrics of a controller whose keys have the type `K`.
pub(crate) struct ControllerMetrics<K> {
    /// The value of the label `controller`, and of the label `name` of the work queue.
    #[cfg(feature = "metrics")]
    name: String,
    /// The maximum number of concurrent reconciles.
    #[cfg(feature = "metrics")]
    workers: usize,
    /// `None` before the first use, because a program may install its recorder after it creates the controller.
    #[cfg(feature = "metrics")]
    handles: Option<Box<MetricHandles>>,
    /// The time at which each waiting key became or becomes ready.
    #[cfg(feature = "metrics")]
    ready_at: HashMap<K, Instant>,
    /// The start of each in-flight reconcile.
    #[cfg(feature = "metrics")]
    started: HashMap<K, Instant>,
    #[cfg(not(feature = "metrics"))]
    key: std::marker::PhantomData<fn(K)>,
}

/// The handles to the metrics, which the recorder has registered.
#[cfg(feature = "metrics")]
struct MetricHandles {
    depth: Gauge,
    adds: Counter,
    retries: Counter,
    queue_duration: Histogram,
    work_duration: Histogram,
    unfinished_work: Gauge,
    longest_running: Gauge,
    /// One counter for each value of the label `result`. A terminal error, a timeout and a panic have the value
    /// `error`.
    reconciles: [Counter; 5],
    errors: Counter,
    terminal_errors: Counter,
    timeouts: Counter,
    panics: Counter,
    reconcile_time: Histogram,
    active_workers: Gauge,
}

#[cfg(feature = "metrics")]
impl MetricHandles {
    fn new(name: &str, workers: usize) -> Self {
        let name = || name.to_owned();
        metrics::gauge!("controller_runtime_max_concurrent_reconciles", "controller" => name())
            .set(gauge_value(workers));
        let total = |result: &'static str| {
            let labels = [("controller", name()), ("result", result.to_owned())];
            metrics::counter!("controller_runtime_reconcile_total", &labels)
        };
        Self {
            depth: metrics::gauge!("workqueue_depth", "name" => name(), "controller" => name()),
            adds: metrics::counter!("workqueue_adds_total", "name" => name(), "controller" => name()),
            retries: metrics::counter!("workqueue_retries_total", "name" => name(), "controller" => name()),
            queue_duration: metrics::histogram!("workqueue_queue_duration_seconds", "name" => name(), "controller" => name()),
            work_duration: metrics::histogram!("workqueue_work_duration_seconds", "name" => name(), "controller" => name()),
            unfinished_work: metrics::gauge!("workqueue_unfinished_work_seconds", "name" => name(), "controller" => name()),
            longest_running: metrics::gauge!("workqueue_longest_running_processor_seconds", "name" => name(), "controller" => name()),
            reconciles: ["success", "requeue_after", "requeue", "conflict", "error"].map(total),
            errors: metrics::counter!("controller_runtime_reconcile_errors_total", "controller" => name()),
            terminal_errors: metrics::counter!("controller_runtime_terminal_reconcile_errors_total", "controller" => name()),
            timeouts: metrics::counter!("controller_runtime_reconcile_timeouts_total", "controller" => name()),
            panics: metrics::counter!("controller_runtime_reconcile_panics_total", "controller" => name()),
            reconcile_time: metrics::histogram!("controller_runtime_reconcile_time_seconds", "controller" => name()),
            active_workers: metrics::gauge!("controller_runtime_active_workers", "controller" => name()),
        }
    }
}

#[cfg(feature = "metrics")]
impl<K: Hash + Eq + Clone> ControllerMetrics<K> {
    /// `workers` is the maximum number of concurrent reconciles.
    pub(crate) fn new(name: &str, workers: usize) -> Self {
        Self {
            name: name.to_owned(),
            workers,
            handles: None,
            ready_at: HashMap::default(),
            started: HashMap::default(),
        }
    }

    fn metric_handles(&mut self) -> &MetricHandles {
        self.handles.get_or_insert_with(|| Box::new(MetricHandles::new(&self.name, self.workers)))
    }

    /// Records that a key was added to the queue, and becomes ready after `wait`.
    pub(crate) fn record_added_key(&mut self, key: &K, wait: Duration) {
        let now = Instant::now();
        let at = now.checked_add(wait).unwrap_or(now);
        match self.ready_at.entry(key.clone()) {
            Entry::Occupied(mut known) => *known.get_mut() = at.min(*known.get()),
            Entry::Vacant(entry) => {
                entry.insert(at);
                self.metric_handles().adds.increment(1);
            }
        }
    }

    /// Counts a key that is queued again after a failure.
    pub(crate) fn count_retry(&mut self) {
        self.metric_handles().retries.increment(1);
    }

    /// Records that a key left the queue without a reconcile.
    pub(crate) fn record_dropped_key(&mut self, key: &K) {
        self.ready_at.remove(key);
    }

    /// Records that the queue has forgotten the keys for which `keep` returns `false`.
    pub(crate) fn retain_keys(&mut self, keep: impl Fn(&K) -> bool) {
        self.ready_at.retain(|key, _| keep(key));
    }

    /// Records the start of a reconcile.
    pub(crate) fn record_reconcile_start(&mut self, key: &K) {
        let now = Instant::now();
        if let Some(at) = self.ready_at.remove(key) {
            self.metric_handles().queue_duration.record(now.saturating_duration_since(at).as_secs_f64());
        }
        self.started.insert(key.clone(), now);
    }

    /// Records the end of a reconcile.
    pub(crate) fn record_reconcile_end(&mut self, key: &K, outcome: Outcome) {
        let Some(began) = self.started.remove(key) else { return };
        let seconds = began.elapsed().as_secs_f64();
        let handles = self.metric_handles();
        handles.work_duration.record(seconds);
        handles.reconcile_time.record(seconds);
        let result = match outcome {
            Outcome::Success => 0,
            Outcome::RequeueAfter => 1,
            Outcome::Requeue => 2,
            Outcome::Conflict => 3,
            Outcome::Error | Outcome::TerminalError | Outcome::Timeout | Outcome::Panic => 4,
        };
        handles.reconciles[result].increment(1);
        if result == 4 {
            handles.errors.increment(1);
        }
        match outcome {
            Outcome::TerminalError => handles.terminal_errors.increment(1),
            Outcome::Timeout => handles.timeouts.increment(1),
            Outcome::Panic => handles.panics.increment(1),
            _ => {}
        }
    }

    /// Sets the gauges to the numbers of ready keys and of in-flight reconciles.
    pub(crate) fn set_load_gauges(&mut self, ready: usize, running: usize) {
        let handles = self.metric_handles();
        handles.depth.set(gauge_value(ready));
        handles.active_workers.set(gauge_value(running));
    }

    /// Sets the gauges to the total and the longest duration of the in-flight reconciles.
    pub(crate) fn set_duration_gauges(&mut self) {
        let seconds = self.started.values().map(|began| began.elapsed().as_secs_f64());
        let (total, longest) =
            seconds.fold((0.0, 0.0_f64), |(total, longest), seconds| (total + seconds, longest.max(seconds)));
        let handles = self.metric_handles();
        handles.unfinished_work.set(total);
        handles.longest_running.set(longest);
    }

    /// Increases the counter `metric` by one. There are three problems: a key waits for too long, a reconcile
    /// takes too long, and a key is reconciled in a hot loop. Each problem has its own counter.
    pub(crate) fn count_problem(&self, metric: &'static str) {
        metrics::counter!(metric, "controller" => self.name.clone()).increment(1);
    }
}

/// Converts a number to a value of a gauge.
#[cfg(feature = "metrics")]
fn gauge_value(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "the methods do nothing")]
impl<K: Hash + Eq + Clone> ControllerMetrics<K> {
    pub(crate) fn new(_: &str, _: usize) -> Self {
        Self { key: std::marker::PhantomData }
    }

    pub(crate) fn record_added_key(&mut self, _: &K, _: Duration) {}

    pub(crate) fn count_retry(&mut self) {}

    pub(crate) fn record_dropped_key(&mut self, _: &K) {}

    pub(crate) fn retain_keys(&mut self, _: impl Fn(&K) -> bool) {}

    pub(crate) fn record_reconcile_start(&mut self, _: &K) {}

    pub(crate) fn record_reconcile_end(&mut self, _: &K, _: Outcome) {}

    pub(crate) fn set_load_gauges(&mut self, _: usize, _: usize) {}

    pub(crate) fn set_duration_gauges(&mut self) {}

    pub(crate) fn count_problem(&self, _: &'static str) {}
}
