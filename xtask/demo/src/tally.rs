//! `Tally`: what is counted while the demo runs, and the news of it. Shows nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

/// A number that only grows.
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

/// What has happened so far.
#[derive(Debug)]
pub(super) struct Tally {
    news: mpsc::Sender<String>,
    /// Events of the node informer.
    pub(super) nodes_added: Count,
    pub(super) nodes_modified: Count,
    pub(super) nodes_deleted: Count,
    pub(super) nodes_broken: Count,
    pub(super) nodes_healed: Count,
    /// What the controller did.
    pub(super) reconciles: Count,
    pub(super) failures: Count,
    pub(super) pages_written: Count,
    pub(super) pages_deleted: Count,
    /// Changes by the visitor.
    pub(super) visits: Count,
    /// Errors of the watches, which heal themselves.
    pub(super) watch_errors: Count,
}

impl Tally {
    pub(super) fn new(news: mpsc::Sender<String>) -> Self {
        Self {
            news,
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

    /// Something worth a line. It is left out where too much waits to be shown.
    pub(super) fn tell(&self, line: String) {
        let _ = self.news.try_send(line);
    }

    /// A watch has failed; it goes on by itself.
    pub(super) fn watch_failed(&self, what: &str, error: impl Into<anyhow::Error>) {
        self.watch_errors.add();
        self.tell(format!("{what}: {:#}", error.into()));
    }

    pub(super) fn node_events(&self) -> u64 {
        self.nodes_added.get() + self.nodes_modified.get() + self.nodes_deleted.get()
    }
}
