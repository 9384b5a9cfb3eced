//! Handles the deletion of an object: drops the requests for the object, and passes its key to the user's handler, if
//! any.

use super::Dispatcher;
use crate::controller::Key;
use crate::controller::executor::ReconcileResult;
use crate::controller::failure::FailureClass;
use crate::controller::trigger::ReconcileReason;
use crate::queue::{Due, Priority, Request};
use kube_client::Resource;
use std::time::Duration;

impl<K, E> Dispatcher<'_, K, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
    E: std::error::Error + Send + 'static,
{
    /// Drops the requests for a deleted object, and queues its key if a handler receives it and all gates are open.
    pub(super) fn record_deletion(&mut self, key: Key) {
        self.queue.forget(&key);
        self.monitor.metrics.key_dropped(&key);
        // While a gate is closed, for instance on a standby, the keys would accumulate without limit: drop them.
        if self.gates.are_open() && self.deletions.record(&key) {
            self.monitor.metrics.key_added(&key, Duration::ZERO);
            let cause = ReconcileReason::ObjectDeleted;
            self.queue.add(key, Request { due: Due::Now, priority: Priority::DEFAULT, cause });
        }
    }

    /// Processes a key whose object does not exist: calls the deletion handler, or drops the key.
    pub(super) fn start_absent(&mut self, key: Key, attempt: u32) {
        if let Some(handler) = self.deletions.take(&key) {
            self.monitor.reconcile_begins(&key);
            self.executor.start_deletion(key, attempt, handler);
        } else {
            self.queue.done(&key, None);
            self.monitor.metrics.key_dropped(&key);
        }
    }

    /// If the deletion handler failed, and the error is not terminal, records that the handler has to receive the key
    /// again. Must be called before the key is requeued.
    pub(super) fn retry_deletion(&mut self, ended: &ReconcileResult<K, E>) {
        if ended.is_deletion && ended.error.is_some() && ended.class != FailureClass::Terminal {
            self.deletions.record(&ended.key);
        }
    }
}
