//! Handles the deletion of an object: drops the requests for the object. If the user set a deletion handler, passes the
//! key of the object to the handler.

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
    /// Drops the requests for a deleted object. If there is a deletion handler and all gates are open, queues the key for
    /// the handler.
    pub(super) fn record_deletion(&mut self, key: Key) {
        self.queue.forget(&key);
        self.monitor.metrics.record_dropped_key(&key);
        // While a gate is closed, for instance because another process is the leader, the key is not queued.
        // Otherwise, queued keys would accumulate without limit.
        if self.gates.are_open() && self.deletions.record(&key) {
            self.monitor.metrics.record_added_key(&key, Duration::ZERO);
            let cause = ReconcileReason::ObjectDeleted;
            self.queue.add(key, Request { due: Due::Now, priority: Priority::DEFAULT, cause });
        }
    }

    /// Processes a key whose object does not exist. Starts the deletion handler if the key is recorded for the handler, and
    /// drops the key otherwise.
    pub(super) fn process_absent_object(&mut self, key: Key, attempt: u32) {
        if let Some(handler) = self.deletions.take_pending(&key) {
            self.monitor.record_reconcile_start(&key);
            self.executor.start_deletion_handler(key, attempt, handler);
        } else {
            self.queue.finish(&key, None);
            self.monitor.metrics.record_dropped_key(&key);
        }
    }

    /// If the deletion handler failed, and the error is not terminal, records that the handler has to receive the key
    /// again. Must be called before the key is requeued.
    pub(super) fn record_deletion_handler_retry(&mut self, ended: &ReconcileResult<K, E>) {
        if ended.is_deletion && ended.error.is_some() && ended.class != FailureClass::Terminal {
            self.deletions.record(&ended.key);
        }
    }
}
