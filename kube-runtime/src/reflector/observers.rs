//! `Observers`: the subscribers and the indexes of a store. The observers receive each delta of the store, and must not
//! block the writer.

use super::Delta;
use super::subscription::Queue;
use crate::watcher::Error;
use crate::watcher::Storable;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
};

/// Locks a mutex. Ignores poisoning, because the lock of the observers is never poisoned. The code that holds
/// this lock does not panic itself. This code may call a user's function of an index, but the index catches
/// each panic of the function.
pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An index over the objects of a store. Each method of the writer that changes the store updates the index before the
/// method returns.
pub(super) trait ObservingIndex<K>: Send + Sync {
    /// Applies the deltas of one event.
    fn apply_deltas(&self, deltas: &[Delta<K>]);
}

/// The subscribers and the indexes of a store. The writer holds the lock of the observers while it changes the content of
/// the store and passes the deltas to the observers. So a new [`Subscription`](super::Subscription) gets each object either
/// in the replay or as a delta.
pub(super) struct Observers<K> {
    subscribers: Vec<Weak<Mutex<Queue<K>>>>,
    indexes: Vec<Weak<dyn ObservingIndex<K>>>,
    /// The resource version of the last snapshot, if the source of the events reported it.
    pub(super) version: Option<String>,
    /// Whether the writer was dropped.
    ended: bool,
}

impl<K> Default for Observers<K> {
    fn default() -> Self {
        Self { subscribers: Vec::new(), indexes: Vec::new(), version: None, ended: false }
    }
}

impl<K> Observers<K> {
    /// Removes dropped observers. Returns whether no observer remains.
    pub(super) fn remove_dropped(&mut self) -> bool {
        self.subscribers.retain(|queue| queue.strong_count() > 0);
        self.indexes.retain(|index| index.strong_count() > 0);
        self.subscribers.is_empty() && self.indexes.is_empty()
    }

    pub(super) fn add_subscriber(&mut self, queue: &Arc<Mutex<Queue<K>>>) {
        if self.ended {
            lock(queue).end();
        }
        self.subscribers.push(Arc::downgrade(queue));
    }

    pub(super) fn add_index(&mut self, index: &Arc<impl ObservingIndex<K> + 'static>) {
        let index: Weak<dyn ObservingIndex<K>> = Arc::<_>::downgrade(index) as _;
        self.indexes.push(index);
    }

    /// Calls `f` with the queue of each subscriber. Returns the wakers of the subscribers. Call the wakers only after
    /// the lock of the observers is released: a waker may drop a task that owns a subscription.
    fn for_each_queue(&self, mut f: impl FnMut(&mut Queue<K>)) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for queue in self.subscribers.iter().filter_map(Weak::upgrade) {
            let mut queue = lock(&queue);
            f(&mut queue);
            wakers.extend(queue.take_waker());
        }
        wakers
    }

    /// Sets the error of each queue.
    pub(super) fn publish_error(&self, error: &Arc<Error>) -> Vec<Waker> {
        self.for_each_queue(|queue| queue.set_error(error.clone()))
    }

    /// Ends the streams of the current subscribers.
    pub(super) fn end_current_subscribers(&self) -> Vec<Waker> {
        self.for_each_queue(Queue::end)
    }

    /// Ends the streams of the current and later subscribers.
    pub(super) fn end_current_and_later_subscribers(&mut self) -> Vec<Waker> {
        self.ended = true;
        self.end_current_subscribers()
    }
}

impl<K: Storable> Observers<K> {
    /// Applies the deltas of one event to the indexes, and adds the deltas to each queue. If the event completes a
    /// snapshot, then adds the end of the snapshot to each queue.
    pub(super) fn publish_deltas(&self, deltas: &[Delta<K>], is_synced: bool) -> Vec<Waker> {
        for index in self.indexes.iter().filter_map(Weak::upgrade) {
            index.apply_deltas(deltas);
        }
        if deltas.is_empty() && !is_synced {
            return Vec::new();
        }
        self.for_each_queue(|queue| {
            for delta in deltas {
                queue.push(delta.clone());
            }
            if is_synced {
                queue.push_synced(self.version.clone());
            }
        })
    }
}
