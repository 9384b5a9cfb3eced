//! `Deletions`: the keys of deleted objects for the user's deletion handler. The `dispatcher` queues these keys.
//! This module must not queue them.

use super::Key;
use foldhash::HashSet;
use futures::future::BoxFuture;
use kube_client::BoxError;

/// The user's function that receives the keys of deleted objects; see
/// [`Controller::on_deletion`](super::Controller::on_deletion).
pub(super) type DeletionHandler = Box<dyn FnMut(Key) -> BoxFuture<'static, Result<(), BoxError>> + Send>;

/// The deletion handler, and the keys that the handler still has to receive. Each of these keys is in the work queue.
#[derive(Default)]
pub(super) struct Deletions {
    handler: Option<DeletionHandler>,
    pending: HashSet<Key>,
}

impl Deletions {
    pub(super) fn new(handler: Option<DeletionHandler>) -> Self {
        Self { handler, pending: HashSet::default() }
    }

    /// Records the key of a deleted object for the handler. Records nothing and returns `false` if there is no handler.
    pub(super) fn record(&mut self, key: &Key) -> bool {
        if self.handler.is_none() {
            return false;
        }
        self.pending.insert(key.clone());
        true
    }

    /// Removes a key, because an object with this key exists again.
    pub(super) fn forget(&mut self, key: &Key) {
        if !self.pending.is_empty() {
            self.pending.remove(key);
        }
    }

    /// Whether the handler has to receive this key.
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.pending.contains(key)
    }

    /// Removes a key that the handler has to receive, and returns the handler; `None` for any other key.
    pub(super) fn take_pending(&mut self, key: &Key) -> Option<&mut DeletionHandler> {
        if self.pending.remove(key) { self.handler.as_mut() } else { None }
    }
}
