//! `WorkQueue`: the keys to process, as in controller-runtime's priority queue. The queue does not read a clock: callers
//! pass the time.
//!
//! Each key has one state: ready, delayed or in process. If a key is added while it is in process, it is processed once
//! more afterwards. Ready keys are returned by priority, and within a priority in the order in which they became ready.
//! There is one exception: every 16th time, the queue returns the key that has been ready longest. In this
//! case, it searches only the 64 lowest of the priorities that have ready keys. Therefore, no key starves.

mod entries;
mod lanes;
mod limiter;
mod waiting;

pub use limiter::{FailureBackoff, MaxOf, RateLimiter, TokenBucket};

use entries::{Entries, Slot};
use lanes::Lanes;
use std::{hash::Hash, time::Duration};
use tokio::time::Instant;
use waiting::WaitingKeys;

/// The queue counts the keys that it returns. When the count reaches this number, the queue returns the key
/// that has been ready longest, and the count begins again. The queue returns all other keys by priority.
const OLDEST_KEY_INTERVAL: u32 = 16;
/// The maximum number of keys for which an empty queue keeps memory.
const MAX_CAPACITY_WHEN_EMPTY: usize = 1024;

/// The priority of a key. Keys with a higher priority are processed first, except that every 16th key is the one that
/// has waited longest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i32);

impl Priority {
    /// The priority of a reconcile that was requested for all objects, and of a reconcile for an object in
    /// the first snapshot. These reconciles run after the reconciles for changes. The value is the same as in
    /// controller-runtime.
    pub const LOW: Self = Self(-100);
    /// The priority of changes, 0.
    pub const DEFAULT: Self = Self(0);

    /// A priority with this value.
    ///
    /// ```
    /// use kube_runtime::controller::Priority;
    ///
    /// assert!(Priority::new(1) > Priority::DEFAULT && Priority::DEFAULT > Priority::LOW);
    /// ```
    pub const fn new(value: i32) -> Self {
        Self(value)
    }
}

/// A queue of keys. Each key has a cause of type `C`, and is in process at most once at a time.
pub(crate) struct WorkQueue<K, C> {
    entries: Entries<K, Entry<C>>,
    waiting: WaitingKeys,
    /// Counts down by one for each key that [`pop_ready`](Self::pop_ready) returns. When the count reaches 0,
    /// `pop_ready` returns the key that has been ready longest, whatever its priority.
    until_oldest: u32,
    limiter: Limiter<K>,
}

/// The rate limiter of the retries after failures.
pub(crate) type Limiter<K> = Box<dyn RateLimiter<K>>;

/// The due time, the priority and the cause of a key to process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request<C> {
    pub(crate) due: Due,
    pub(crate) priority: Priority,
    pub(crate) cause: C,
}

impl<C> Request<C> {
    /// Combines two requests for a key: the earlier time and the higher priority apply. The cause is that of the
    /// request with the higher priority; with equal priorities, that of `self`, which was added first.
    fn merge(self, other: Self) -> Self {
        let due = self.due.min(other.due);
        let urgent = if other.priority > self.priority { other } else { self };
        Self { due, ..urgent }
    }
}

/// The state, the priority and the failures of a key in the queue.
#[derive(Debug)]
struct Entry<C> {
    state: KeyState<C>,
    /// The priority of the current or last request. A key that is due again after its processing keeps this priority.
    priority: Priority,
    /// The number of consecutive failures.
    failures: u32,
}

/// The state of a key in the queue.
#[derive(Debug)]
enum KeyState<C> {
    Ready(C),
    /// The due time, the sequence number of the key's arrival, and the cause.
    Delayed(Instant, u64, C),
    InProcess(InProcess<C>),
}

impl<C> KeyState<C> {
    /// Sets the state to `InProcess`, and returns the previous state.
    fn replace_with_in_process(&mut self) -> Self {
        std::mem::replace(self, Self::InProcess(InProcess::default()))
    }
}

/// What has happened to a key since its processing began.
#[derive(Debug)]
struct InProcess<C> {
    /// The request, if the key was added during the processing.
    again: Option<Request<C>>,
    /// Whether the key was forgotten during the processing. If so, the result of the processing does not count.
    forgotten: bool,
}

impl<C> Default for InProcess<C> {
    fn default() -> Self {
        Self { again: None, forgotten: false }
    }
}

/// The due time of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Now,
    At(Instant),
}

impl Due {
    /// Due at `now` plus `wait`. If this time overflows, due in about 30 years.
    pub(crate) fn after(now: Instant, wait: Duration) -> Self {
        /// About 30 years.
        const MAX_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        Self::At(now.checked_add(wait).unwrap_or_else(|| now + MAX_WAIT))
    }
}

impl<K: Hash + Eq + Clone, C> WorkQueue<K, C> {
    pub(crate) fn new(limiter: Limiter<K>) -> Self {
        Self {
            entries: Entries::new(),
            waiting: WaitingKeys::new(),
            until_oldest: OLDEST_KEY_INTERVAL,
            limiter,
        }
    }

    /// Adds a key. If the key is already in the queue, the earlier due time and the higher priority apply.
    pub(crate) fn add(&mut self, key: K, request: Request<C>) {
        let hash = self.entries.hash(&key);
        if let Some(slot) = self.entries.find(hash, &key) {
            self.merge(slot, request);
            return;
        }
        let priority = request.priority;
        let new = |slot| Entry { state: self.waiting.add(slot, request), priority, failures: 0 };
        self.entries.insert(hash, key, new);
    }

    /// Adds a request for the key in `slot`. If the key already has a request, merges the two requests.
    fn merge(&mut self, slot: Slot, request: Request<C>) {
        let Entry { state, priority, failures } = self.entries.get_mut(slot).1;
        let is_earlier = match state {
            KeyState::Ready(_) => false,
            KeyState::Delayed(at, ..) => request.due < Due::At(*at),
            KeyState::InProcess(InProcess { again, .. }) => {
                *again = Some(merge_with_previous(again.take(), request));
                return;
            }
        };
        if request.priority <= *priority && !is_earlier {
            return;
        }
        let (priority, failures) = (*priority, *failures);
        self.waiting.remove(slot, state, priority);
        let known = match state.replace_with_in_process() {
            KeyState::Ready(cause) => Request { due: Due::Now, priority, cause },
            KeyState::Delayed(at, _, cause) => Request { due: Due::At(at), priority, cause },
            KeyState::InProcess(_) => return,
        };
        self.enqueue(slot, known.merge(request), failures);
    }

    /// Returns the next ready key, its request, and the number of its consecutive failures. The key is in process until
    /// [`finish`](Self::finish), [`finish_with_failure`](Self::finish_with_failure) or
    /// [`finish_with_conflict`](Self::finish_with_conflict).
    pub(crate) fn take_key(&mut self, now: Instant) -> Option<(K, Request<C>, u32)> {
        while let Some(slot) = self.waiting.pop_due(now) {
            let Entry { state, priority, .. } = self.entries.get_mut(slot).1;
            if let KeyState::Delayed(_, _, cause) = state.replace_with_in_process() {
                *state = self.waiting.add(slot, Request { due: Due::Now, priority: *priority, cause });
            }
        }
        let slot = self.pop_ready()?;
        let (key, Entry { state, priority, failures }) = self.entries.get_mut(slot);
        match state.replace_with_in_process() {
            KeyState::Ready(cause) => {
                Some((key.clone(), Request { due: Due::Now, priority: *priority, cause }, *failures))
            }
            KeyState::Delayed(..) | KeyState::InProcess(_) => None,
        }
    }

    /// Removes a key with its failures, because its object was deleted. If the key is in process, the result of the
    /// processing does not count. If the key is added again before the processing ends, it is processed afterwards.
    pub(crate) fn forget(&mut self, key: &K) {
        if let Some(slot) = self.entries.find(self.entries.hash(key), key) {
            self.forget_slot(slot);
        }
    }

    fn forget_slot(&mut self, slot: Slot) {
        let Entry { state, priority, failures } = self.entries.get_mut(slot).1;
        if let KeyState::InProcess(during) = state {
            *during = InProcess { again: None, forgotten: true };
            *failures = 0;
            return;
        }
        self.waiting.remove(slot, state, *priority);
        self.remove(slot);
    }

    /// Forgets the keys that are not in process and for which `keep` returns `false`.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        let waiting =
            self.entries.iter().filter(|(.., entry)| !matches!(entry.state, KeyState::InProcess(_)));
        let dropped: Vec<_> = waiting.filter(|(_, key, _)| !keep(key)).map(|(slot, ..)| slot).collect();
        for slot in dropped {
            self.forget_slot(slot);
        }
    }

    /// The number of keys, including those in process.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes and returns the next ready key: the first key of the highest priority. Once in [`OLDEST_KEY_INTERVAL`] keys,
    /// removes and returns the key that has been ready longest instead.
    fn pop_ready(&mut self) -> Option<Slot> {
        if self.waiting.ready.is_empty() {
            return None;
        }
        self.until_oldest -= 1;
        if self.until_oldest > 0 {
            return self.waiting.ready.pop_first();
        }
        self.until_oldest = OLDEST_KEY_INTERVAL;
        self.waiting.ready.pop_oldest()
    }

    /// Ends the processing of a key, and resets its count of failures. `next` is the time at which the key is due
    /// again, and the cause. If the key was added during the processing, the earlier time applies. Returns the time of
    /// `next`. If the key was forgotten during the processing, ignores `next`, and returns `None`.
    pub(crate) fn finish(&mut self, key: &K, next: Option<(Due, C)>) -> Option<Due> {
        let (slot, InProcess { again, forgotten }) = self.end_processing(key)?;
        let priority = self.entries.get_mut(slot).1.priority;
        let next = next.filter(|_| !forgotten).map(|(due, cause)| Request { due, priority, cause });
        let due = next.as_ref().map(|next| next.due);
        let request = match (again, next) {
            (Some(again), Some(next)) => Some(again.merge(next)),
            (again, next) => again.or(next),
        };
        match request {
            Some(request) => self.enqueue(slot, request, 0),
            None => self.remove(slot),
        }
        due
    }

    /// Ends the processing of a key with a failure. The key is due again after the delay that the limiter
    /// returns; `cause` is the cause of this retry. If the key was also added during the processing, the key
    /// is due at the time of the retry or at the time of the new request, whichever is earlier: the new
    /// request may follow a change that fixes the failure. Returns the delay. If the key was forgotten during
    /// the processing, ignores the failure, and returns `None`.
    pub(crate) fn finish_with_failure(&mut self, key: &K, now: Instant, cause: C) -> Option<Duration> {
        self.finish_and_retry(key, now, cause, |limiter, key, failures| limiter.delay(key, failures, now))
    }

    /// Like [`finish_with_failure`](Self::finish_with_failure), for a conflict. There is no wait after the first
    /// consecutive failure. After a further failure, the limiter receives the number of consecutive failures minus one.
    pub(crate) fn finish_with_conflict(&mut self, key: &K, now: Instant, cause: C) -> Option<Duration> {
        self.finish_and_retry(key, now, cause, |limiter, key, failures| match failures {
            1 => Duration::ZERO,
            failures => limiter.delay(key, failures - 1, now),
        })
    }

    /// Ends the processing of a key with a failure. `wait` returns the duration after which the key is due again.
    fn finish_and_retry(
        &mut self,
        key: &K,
        now: Instant,
        cause: C,
        wait: impl FnOnce(&mut Limiter<K>, &K, u32) -> Duration,
    ) -> Option<Duration> {
        let (slot, InProcess { again, forgotten }) = self.end_processing(key)?;
        if forgotten {
            match again {
                Some(again) => self.enqueue(slot, again, 0),
                None => self.remove(slot),
            }
            return None;
        }
        let (key, &mut Entry { priority, failures, .. }) = self.entries.get_mut(slot);
        let failures = failures.saturating_add(1);
        let wait = wait(&mut self.limiter, key, failures);
        let due = if wait.is_zero() { Due::Now } else { Due::after(now, wait) };
        let retry = Request { due, priority, cause };
        self.enqueue(slot, merge_with_previous(again, retry), failures);
        Some(wait)
    }

    /// The number of ready keys.
    pub(crate) fn ready_len(&self) -> usize {
        self.waiting.ready.len()
    }

    /// The key that has been ready longest, and the sequence number of its arrival.
    pub(crate) fn oldest_ready(&self) -> Option<(u64, &K)> {
        self.waiting.ready.oldest().map(|(arrival, slot)| (arrival, self.entries.key(slot)))
    }

    /// The sequence number of the last key that became ready or delayed.
    pub(crate) fn last_arrival(&self) -> u64 {
        self.waiting.last_arrival
    }

    /// Whether a key is ready.
    pub(crate) fn has_ready(&self) -> bool {
        !self.waiting.ready.is_empty()
    }

    /// The time at which the next delayed key becomes ready; `None` if no key is delayed.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Returns the slot of a key, and what has happened to the key since its processing began. The caller
    /// must pass the returned slot to [`enqueue`](Self::enqueue) or [`remove`](Self::remove). Returns `None`
    /// if the key is not in process.
    fn end_processing(&mut self, key: &K) -> Option<(Slot, InProcess<C>)> {
        let slot = self.entries.find(self.entries.hash(key), key)?;
        match &mut self.entries.get_mut(slot).1.state {
            KeyState::InProcess(during) => Some((slot, std::mem::take(during))),
            KeyState::Ready(_) | KeyState::Delayed(..) => None,
        }
    }

    /// Queues a key that is neither ready nor delayed.
    fn enqueue(&mut self, slot: Slot, request: Request<C>, failures: u32) {
        let priority = request.priority;
        let state = self.waiting.add(slot, request);
        *self.entries.get_mut(slot).1 = Entry { state, priority, failures };
    }

    /// Removes a key that is neither ready nor delayed. If the queue is empty then, releases unused memory.
    fn remove(&mut self, slot: Slot) {
        self.entries.remove(slot);
        if self.entries.is_empty() && self.entries.capacity() > MAX_CAPACITY_WHEN_EMPTY {
            (self.entries, self.waiting.ready) = (Entries::new(), Lanes::new());
        }
    }
}

/// If there is a previous request `before`, combines it with `request`. Otherwise returns `request`.
fn merge_with_previous<C>(before: Option<Request<C>>, request: Request<C>) -> Request<C> {
    match before {
        Some(before) => before.merge(request),
        None => request,
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
