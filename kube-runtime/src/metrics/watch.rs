//! `WatchMetrics`: the metrics of one watcher, under the names of client-go's reflector.
//!
//! client-go does not have some of the metrics, such as the numbers of relists and of silent watches. The names of these
//! metrics begin with `kube_runtime_`. The label `name` is the path of the collection.

#[cfg(feature = "metrics")]
use {std::sync::Arc, tokio::time::Instant};

/// The number of objects of a collection, and the size of their texts in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ObjectsAndBytes {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

/// The metrics of one watcher.
pub(crate) struct WatchMetrics {
    #[cfg(feature = "metrics")]
    name: Arc<str>,
    /// The list or the watch in progress.
    #[cfg(feature = "metrics")]
    operation: Option<Operation>,
}

/// A list or a watch in progress.
#[cfg(feature = "metrics")]
struct Operation {
    kind: OperationKind,
    began: Instant,
    /// The number of objects and events so far.
    items: u32,
}

/// Whether an operation is a list or a watch.
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, PartialEq, Eq)]
enum OperationKind {
    List,
    Watch,
}

#[cfg(feature = "metrics")]
impl WatchMetrics {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), operation: None }
    }

    /// Records the start of a list: the request for a streaming list, or for the first page of a paged list.
    pub(crate) fn record_list_start(&mut self) {
        self.begin_operation(OperationKind::List);
        metrics::counter!("reflector_lists_total", "name" => self.name.clone()).increment(1);
    }

    /// Records the start of a watch: the request for a watch, or the end of the initial events of a streaming list.
    pub(crate) fn record_watch_start(&mut self) {
        self.begin_operation(OperationKind::Watch);
        metrics::counter!("reflector_watches_total", "name" => self.name.clone()).increment(1);
    }

    fn begin_operation(&mut self, kind: OperationKind) {
        self.record_operation_end();
        self.operation = Some(Operation { kind, began: Instant::now(), items: 0 });
    }

    /// Counts an object of the current list, or an event of the current watch.
    pub(crate) fn count_item(&mut self) {
        if let Some(operation) = &mut self.operation {
            operation.items = operation.items.saturating_add(1);
        }
    }

    /// Records the end of a list or a watch.
    pub(crate) fn record_operation_end(&mut self) {
        let Some(Operation { kind, began, items }) = self.operation.take() else { return };
        let (duration, number) = match kind {
            OperationKind::List => ("reflector_list_duration_seconds", "reflector_items_per_list"),
            OperationKind::Watch => ("reflector_watch_duration_seconds", "reflector_items_per_watch"),
        };
        metrics::histogram!(duration, "name" => self.name.clone()).record(began.elapsed().as_secs_f64());
        metrics::histogram!(number, "name" => self.name.clone()).record(f64::from(items));
    }

    /// Counts a watch that ended immediately, without an event.
    pub(crate) fn count_short_watch(&self) {
        metrics::counter!("reflector_short_watches_total", "name" => self.name.clone()).increment(1);
    }

    pub(crate) fn count_relist(&self, reason: &'static str) {
        let labels = [("name", self.name.to_string()), ("reason", reason.to_owned())];
        metrics::counter!("kube_runtime_relists_total", &labels).increment(1);
    }

    /// Counts a fallback from a streaming list to paged lists.
    pub(crate) fn count_fallback(&self, reason: &'static str) {
        let labels = [("name", self.name.to_string()), ("reason", reason.to_owned())];
        metrics::counter!("kube_runtime_streaming_list_fallbacks_total", &labels).increment(1);
    }

    /// Counts a watch that became silent.
    pub(crate) fn count_silent_watch(&self) {
        metrics::counter!("kube_runtime_silent_watches_total", "name" => self.name.clone()).increment(1);
    }

    /// Counts an event that is not newer than an earlier event of the same watch.
    pub(crate) fn count_repeated_event(&self) {
        metrics::counter!("kube_runtime_repeated_events_total", "name" => self.name.clone()).increment(1);
    }

    pub(crate) fn count_bookmark(&self) {
        metrics::counter!("kube_runtime_bookmarks_total", "name" => self.name.clone()).increment(1);
    }

    /// Counts a snapshot whose resource version is not a number.
    pub(crate) fn count_opaque_version(&self) {
        metrics::counter!("kube_runtime_opaque_versions_total", "name" => self.name.clone()).increment(1);
    }

    /// Counts an object that does not decode.
    pub(crate) fn count_undecodable_object(&self) {
        metrics::counter!("kube_runtime_undecodable_objects_total", "name" => self.name.clone()).increment(1);
    }

    /// Changes this watcher's part of the gauges from `from` to `to`. The value of each gauge is the sum over all watchers
    /// of the collection.
    pub(crate) fn record_size_change(&self, from: ObjectsAndBytes, to: ObjectsAndBytes) {
        if from == to {
            return;
        }
        let change = |gauge: metrics::Gauge, from: u64, to: u64| {
            if to >= from {
                gauge.increment(gauge_value(to - from));
            } else {
                gauge.decrement(gauge_value(from - to));
            }
        };
        let name = || self.name.clone();
        change(
            metrics::gauge!("kube_runtime_collection_objects", "name" => name()),
            from.objects,
            to.objects,
        );
        change(metrics::gauge!("kube_runtime_collection_bytes", "name" => name()), from.bytes, to.bytes);
    }

    /// Counts a collection that begins to exceed its budget.
    pub(crate) fn count_exceeded_budget(&self) {
        metrics::counter!("kube_runtime_exceeded_budgets_total", "name" => self.name.clone()).increment(1);
    }

    /// Records that the server does not serve the collection (`is_missing`), or that it serves the collection again. The
    /// metric is the number of watchers that wait for the collection.
    pub(crate) fn record_missing_collection(&self, is_missing: bool) {
        let gauge = metrics::gauge!("kube_runtime_missing_collections", "name" => self.name.clone());
        if is_missing { gauge.increment(1.0) } else { gauge.decrement(1.0) }
    }
}

/// Converts a number to a value of a gauge.
#[cfg(feature = "metrics")]
#[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact above 2^53")]
fn gauge_value(number: u64) -> f64 {
    number as f64
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "the methods do nothing")]
impl WatchMetrics {
    pub(crate) fn new(_: &str) -> Self {
        Self {}
    }

    pub(crate) fn record_list_start(&mut self) {}

    pub(crate) fn record_watch_start(&mut self) {}

    pub(crate) fn count_item(&mut self) {}

    pub(crate) fn record_operation_end(&mut self) {}

    pub(crate) fn count_short_watch(&self) {}

    pub(crate) fn count_relist(&self, _: &'static str) {}

    pub(crate) fn count_fallback(&self, _: &'static str) {}

    pub(crate) fn count_silent_watch(&self) {}

    pub(crate) fn count_repeated_event(&self) {}

    pub(crate) fn count_bookmark(&self) {}

    pub(crate) fn count_opaque_version(&self) {}

    pub(crate) fn count_undecodable_object(&self) {}

    pub(crate) fn record_size_change(&self, _: ObjectsAndBytes, _: ObjectsAndBytes) {}

    pub(crate) fn count_exceeded_budget(&self) {}

    pub(crate) fn record_missing_collection(&self, _: bool) {}
}

/// Counts a large mapping: one change of an object of `resource` requests the reconcile of many objects.
pub(crate) fn count_large_mapping(resource: &str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("kube_runtime_large_mappings_total", "name" => resource.to_owned()).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = resource;
}
