//! `Tally`: the counters of the demo and the sender of its log lines. It must not print.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// A monotonic counter.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of the demo.
#[derive(Debug)]
pub(super) struct Tally {
    log: mpsc::Sender<String>,
    /// Events of the node informer.
    pub(super) nodes_added: Count,
    pub(super) nodes_modified: Count,
    pub(super) nodes_deleted: Count,
    pub(super) nodes_broken: Count,
    pub(super) nodes_healed: Count,
    /// Results of the controller.
    pub(super) reconciles: Count,
    pub(super) failures: Count,
    pub(super) pages_written: Count,
    pub(super) pages_deleted: Count,
    /// Changes made by the visitor.
    pub(super) visits: Count,
    /// Errors of the watches, which retry automatically.
    pub(super) watch_errors: Count,
}

impl Tally {
    pub(super) fn new(log: mpsc::Sender<String>) -> Self {
        Self {
            log,
            nodes_added: Count::default(),
            nodes_modified: Count::default(),
            nodes_deleted: Count::default(),
            nodes_broken: Count::default(),
            nodes_healed: Count::default(),
            reconciles: Count::default(),
            failures: Count::default(),
            pages_written: Count::default(),
            pages_deleted: Count::default(),
            visits: Count::default(),
            watch_errors: Count::default(),
        }
    }

    /// Queues a log line; drops it when the queue is full.
    pub(super) fn tell(&self, line: String) {
        let _ = self.log.try_send(line);
    }

    /// Counts and logs a watch error; the watch retries automatically.
    pub(super) fn watch_failed(&self, what: &str, error: impl Into<anyhow::Error>) {
        self.watch_errors.add();
        self.tell(format!("{what}: {:#}", error.into()));
    }

    pub(super) fn node_events(&self) -> u64 {
        self.nodes_added.get() + self.nodes_modified.get() + self.nodes_deleted.get()
    }
}
