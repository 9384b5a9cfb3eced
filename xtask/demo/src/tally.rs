//! `Tally`: counters of the running demo, and the channel of messages to display. It prints nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// A counter that only increases.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
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

/// The counters since the start of the demo.
#[derive(Debug)]
pub(super) struct Tally {
    messages: mpsc::Sender<String>,
    // Events of the node informer:
    pub(super) nodes_added: Count,
    pub(super) nodes_modified: Count,
    pub(super) nodes_deleted: Count,
    /// Changes of nodes from ready to not ready.
    pub(super) nodes_broken: Count,
    /// Changes of nodes from not ready to ready.
    pub(super) nodes_healed: Count,
    // Reconciles and writes of the controller:
    pub(super) reconciles: Count,
    pub(super) failures: Count,
    pub(super) pages_written: Count,
    pub(super) pages_deleted: Count,
    /// Changes of sites and pages by the task in `editor`.
    pub(super) edits: Count,
    // Actions of the operator:
    /// Deployments that were scaled and have rolled out.
    pub(super) rollouts: Count,
    pub(super) drained_nodes: Count,
    pub(super) moved_pods: Count,
    /// Errors of watches. The watchers retry failed watches.
    pub(super) watch_errors: Count,
}

impl Tally {
    pub(super) fn new(messages: mpsc::Sender<String>) -> Self {
        Self {
            messages,
            nodes_added: Count::default(),
            nodes_modified: Count::default(),
            nodes_deleted: Count::default(),
            nodes_broken: Count::default(),
            nodes_healed: Count::default(),
            reconciles: Count::default(),
            failures: Count::default(),
            pages_written: Count::default(),
            pages_deleted: Count::default(),
            edits: Count::default(),
            rollouts: Count::default(),
            drained_nodes: Count::default(),
            moved_pods: Count::default(),
            watch_errors: Count::default(),
        }
    }

    /// Sends a message to display. The message is dropped if the channel is full.
    pub(super) fn send_message(&self, line: String) {
        let _ = self.messages.try_send(line);
    }

    /// Counts and displays the error of a watch. The watcher retries the watch.
    pub(super) fn record_watch_error(&self, what: &str, error: impl Into<anyhow::Error>) {
        self.watch_errors.increment();
        self.send_message(format!("{what}: {:#}", error.into()));
    }

    /// The number of events of the node informer.
    pub(super) fn node_events(&self) -> u64 {
        self.nodes_added.get() + self.nodes_modified.get() + self.nodes_deleted.get()
    }
}
