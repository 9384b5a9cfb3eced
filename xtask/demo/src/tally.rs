//! `Tally`: counters of the running demo, and the channel of messages to display. It prints nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// A counter that only increases.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters since the start of the demo, and the sender of the displayed messages.
#[derive(Debug)]
pub(super) struct Tally {
    messages: mpsc::Sender<String>,
    // Events of the node informer:
    pub(super) nodes_added: Counter,
    pub(super) nodes_modified: Counter,
    pub(super) nodes_deleted: Counter,
    /// Changes of nodes from ready to not ready.
    pub(super) nodes_broken: Counter,
    /// Changes of nodes from not ready to ready.
    pub(super) nodes_healed: Counter,
    // Reconciles and writes of the controller:
    pub(super) reconciles: Counter,
    pub(super) failures: Counter,
    pub(super) pages_written: Counter,
    pub(super) pages_deleted: Counter,
    /// Changes of sites and pages by the task in `editor`.
    pub(super) edits: Counter,
    // Actions of the task in `administrator`:
    /// Deployments that were scaled and have rolled out.
    pub(super) rollouts: Counter,
    pub(super) drained_nodes: Counter,
    pub(super) moved_pods: Counter,
    /// Errors of watches. The watchers retry failed watches.
    pub(super) watch_errors: Counter,
}

impl Tally {
    pub(super) fn new(messages: mpsc::Sender<String>) -> Self {
        Self {
            messages,
            nodes_added: Counter::default(),
            nodes_modified: Counter::default(),
            nodes_deleted: Counter::default(),
            nodes_broken: Counter::default(),
            nodes_healed: Counter::default(),
            reconciles: Counter::default(),
            failures: Counter::default(),
            pages_written: Counter::default(),
            pages_deleted: Counter::default(),
            edits: Counter::default(),
            rollouts: Counter::default(),
            drained_nodes: Counter::default(),
            moved_pods: Counter::default(),
            watch_errors: Counter::default(),
        }
    }

    /// Sends a message, which the `View` displays later. The message is dropped if the channel is full.
    pub(super) fn send_message(&self, line: String) {
        let _ = self.messages.try_send(line);
    }

    /// Counts and displays the error of a watch. The watcher retries the watch.
    pub(super) fn record_watch_error(&self, what: &str, error: impl Into<anyhow::Error>) {
        self.watch_errors.increment();
        self.send_message(format!("{what}: {:#}", error.into()));
    }

    /// The number of events of the node informer.
    pub(super) fn node_event_count(&self) -> u64 {
        self.nodes_added.get() + self.nodes_modified.get() + self.nodes_deleted.get()
    }
}
