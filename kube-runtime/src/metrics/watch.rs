//! `WatchMetrics`: the metrics of one watcher, under the names of client-go's reflector.
//!
//! client-go has no metric for relists, fallbacks, silent watches and missing kinds: these names begin with
//! `kube_runtime_`. The label `name` is the path of the collection.

#[cfg(feature = "metrics")]
use {std::sync::Arc, tokio::time::Instant};

/// The metrics of one watcher.
pub(crate) struct WatchMetrics {
    #[cfg(feature = "metrics")]
    name: Arc<str>,
    /// The list or the watch in progress.
    #[cfg(feature = "metrics")]
    response: Option<Response>,
}

/// A list or a watch in progress.
#[cfg(feature = "metrics")]
struct Response {
    kind: Kind,
    began: Instant,
    /// The number of objects and events so far.
    items: u32,
}

/// Whether a response is a list or a watch.
#[cfg(feature = "metrics")]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Watch,
}

#[cfg(feature = "metrics")]
impl WatchMetrics {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), response: None }
    }

    /// Records the request of a list: of its first page, or of a streaming list.
    pub(crate) fn list_begins(&mut self) {
        self.begin(Kind::List);
        metrics::counter!("reflector_lists_total", "name" => self.name.clone()).increment(1);
    }

    /// Records the request of a watch, or the end of the initial events of a streaming list.
    pub(crate) fn watch_begins(&mut self) {
        self.begin(Kind::Watch);
        metrics::counter!("reflector_watches_total", "name" => self.name.clone()).increment(1);
    }

    fn begin(&mut self, kind: Kind) {
        self.response_ends();
        self.response = Some(Response { kind, began: Instant::now(), items: 0 });
    }

    /// Counts an object or an event.
    pub(crate) fn count_item(&mut self) {
        if let Some(response) = &mut self.response {
            response.items = response.items.saturating_add(1);
        }
    }

    /// Records the end of a list or a watch.
    pub(crate) fn response_ends(&mut self) {
        let Some(Response { kind, began, items }) = self.response.take() else { return };
        let (duration, number) = match kind {
            Kind::List => ("reflector_list_duration_seconds", "reflector_items_per_list"),
            Kind::Watch => ("reflector_watch_duration_seconds", "reflector_items_per_watch"),
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
    pub(crate) fn count_silence(&self) {
        metrics::counter!("kube_runtime_silent_watches_total", "name" => self.name.clone()).increment(1);
    }

    /// Sets whether the server does not serve the collection.
    pub(crate) fn set_missing(&self, is_missing: bool) {
        metrics::gauge!("kube_runtime_missing_collections", "name" => self.name.clone()).set(if is_missing {
            1.0
        } else {
            0.0
        });
    }
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "the methods do nothing")]
impl WatchMetrics {
    pub(crate) fn new(_: &str) -> Self {
        Self {}
    }

    pub(crate) fn list_begins(&mut self) {}

    pub(crate) fn watch_begins(&mut self) {}

    pub(crate) fn count_item(&mut self) {}

    pub(crate) fn response_ends(&mut self) {}

    pub(crate) fn count_short_watch(&self) {}

    pub(crate) fn count_relist(&self, _: &'static str) {}

    pub(crate) fn count_fallback(&self, _: &'static str) {}

    pub(crate) fn count_silence(&self) {}

    pub(crate) fn set_missing(&self, _: bool) {}
}
