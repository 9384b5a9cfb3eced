//! `WorkQueue`: the keys to process, as in controller-runtime's priority queue. It does not read a clock: callers pass
//! the time.
//!
//! Each key has one state: ready, delayed or in process. A key that is added while in process is processed once more
//! afterwards. Ready keys are returned by priority, and within a priority in the order in which they became ready. So
//! that no key starves, every 16th key is the one that has been ready longest.

mod limiter;
mod waiting;

pub use limiter::{FailureBackoff, MaxOf, RateLimiter, TokenBucket};

use foldhash::HashMap;
use std::{cmp::Reverse, collections::hash_map, hash::Hash, time::Duration};
use tokio::time::Instant;
use waiting::Waiting;

/// Of this number of keys, one is the key that has been ready longest, instead of the key with the highest priority.
const KEYS_PER_OLDEST: u32 = 16;
/// The maximum number of priorities, from the lowest one, among which the queue looks for the oldest key.
const MAX_PRIORITIES_SEARCHED: usize = 64;

/// The priority of a key. Keys with a higher priority are processed first, except that every 16th key is the one that
/// has waited longest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i32);

impl Priority {
    /// The priority of the objects of the first snapshot and of bulk requests: they are processed after changes. The
    /// value is that of controller-runtime.
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

/// A queue of keys with a cause each, `C`. Each key is in process at most once at a time.
pub(crate) struct WorkQueue<K, C> {
    entries: HashMap<K, Entry<C>>,
    waiting: Waiting<K>,
    /// The number of keys to return by priority before the oldest one.
    until_oldest: u32,
    limiter: Limiter<K>,
}

/// The limit of the retries after failures.
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

/// A key in the queue.
#[derive(Debug)]
struct Entry<C> {
    state: KeyState<C>,
    /// The priority of the current or last request. A key that is due again after its processing keeps this priority.
    priority: Priority,
    /// The number of consecutive failures.
    failures: u32,
}

/// The state of a key in the queue. The `u64` is the sequence number of its arrival.
#[derive(Debug)]
enum KeyState<C> {
    Ready(u64, C),
    /// Due at this time.
    Delayed(Instant, u64, C),
    InProcess(InProcess<C>),
}

/// The changes of a key while it is in process.
#[derive(Debug)]
struct InProcess<C> {
    /// The request, if the key was added during the processing.
    again: Option<Request<C>>,
    /// Whether the key was forgotten during the processing: the result of the processing does not count.
    forgotten: bool,
}

/// The due time of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Now,
    At(Instant),
}

impl Due {
    /// Due after `wait`; saturates instead of overflowing.
    pub(crate) fn after(now: Instant, wait: Duration) -> Self {
        /// About 30 years.
        const MAX_WAIT: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        Self::At(now.checked_add(wait).unwrap_or_else(|| now + MAX_WAIT))
    }
}

impl<K: Hash + Eq + Clone, C> WorkQueue<K, C> {
    pub(crate) fn new(limiter: Limiter<K>) -> Self {
        Self { entries: HashMap::default(), waiting: Waiting::new(), until_oldest: KEYS_PER_OLDEST, limiter }
    }

    /// Adds a key. If the key is already in the queue, the earlier due time and the higher priority apply.
    pub(crate) fn add(&mut self, key: K, request: Request<C>) {
        let (key, entry) = match self.entries.entry(key) {
            hash_map::Entry::Occupied(known) => known.remove_entry(),
            hash_map::Entry::Vacant(new) => {
                let priority = request.priority;
                let state = self.waiting.add(new.key().clone(), request);
                new.insert(Entry { state, priority, failures: 0 });
                return;
            }
        };
        let Entry { state, priority, failures } = entry;
        let known = match state {
            KeyState::InProcess(InProcess { again, forgotten }) => {
                let again = Some(merge_with(again, request));
                let state = KeyState::InProcess(InProcess { again, forgotten });
                self.entries.insert(key, Entry { state, priority, failures });
                return;
            }
            KeyState::Ready(sequence, cause) => {
                if request.priority <= priority {
                    let state = KeyState::Ready(sequence, cause);
                    self.entries.insert(key, Entry { state, priority, failures });
                    return;
                }
                self.waiting.ready.remove(&(Reverse(priority), sequence));
                Request { due: Due::Now, priority, cause }
            }
            KeyState::Delayed(at, sequence, cause) => {
                if request.priority <= priority && request.due >= Due::At(at) {
                    let state = KeyState::Delayed(at, sequence, cause);
                    self.entries.insert(key, Entry { state, priority, failures });
                    return;
                }
                self.waiting.delayed.remove(&(at, sequence));
                Request { due: Due::At(at), priority, cause }
            }
        };
        self.enqueue(key, known.merge(request), failures);
    }

    /// Returns the next ready key, its request, and the number of its consecutive failures. The key is in process until
    /// [`done`](Self::done), [`failed`](Self::failed) or [`conflicted`](Self::conflicted).
    pub(crate) fn take_key(&mut self, now: Instant) -> Option<(K, Request<C>, u32)> {
        while let Some(first) = self.waiting.delayed.first_entry()
            && first.key().0 <= now
        {
            let key = first.remove();
            if let Some(Entry { state: KeyState::Delayed(_, _, cause), priority, failures }) =
                self.entries.remove(&key)
            {
                self.enqueue(key, Request { due: Due::Now, priority, cause }, failures);
            }
        }
        let key = self.pop_ready()?;
        let entry = self.entries.get_mut(&key)?;
        let in_process = KeyState::InProcess(InProcess { again: None, forgotten: false });
        match std::mem::replace(&mut entry.state, in_process) {
            KeyState::Ready(_, cause) => {
                let request = Request { due: Due::Now, priority: entry.priority, cause };
                Some((key, request, entry.failures))
            }
            KeyState::Delayed(..) | KeyState::InProcess(_) => None,
        }
    }

    /// Removes a key with its failures, because its object was deleted. If the key is in process, the result of the
    /// processing does not count; if the key is added again, it is processed afterwards.
    pub(crate) fn forget(&mut self, key: &K) {
        let Some(Entry { state, priority, .. }) = self.entries.remove(key) else { return };
        match state {
            KeyState::Ready(sequence, _) => drop(self.waiting.ready.remove(&(Reverse(priority), sequence))),
            KeyState::Delayed(at, sequence, _) => drop(self.waiting.delayed.remove(&(at, sequence))),
            KeyState::InProcess(_) => {
                let state = KeyState::InProcess(InProcess { again: None, forgotten: true });
                self.entries.insert(key.clone(), Entry { state, priority, failures: 0 });
            }
        }
    }

    /// Forgets the keys that are not in process and for which `keep` returns `false`.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K) -> bool) {
        let waiting = self.entries.iter().filter(|(_, entry)| !matches!(entry.state, KeyState::InProcess(_)));
        let dropped: Vec<_> = waiting.map(|(key, _)| key).filter(|key| !keep(key)).cloned().collect();
        for key in dropped {
            self.forget(&key);
        }
    }

    /// The number of keys, including those in process.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the next ready key: the first one of the highest priority, or, once in `KEYS_PER_OLDEST` keys, the
    /// oldest one.
    fn pop_ready(&mut self) -> Option<K> {
        if self.waiting.ready.is_empty() {
            return None;
        }
        self.until_oldest -= 1;
        if self.until_oldest > 0 {
            return self.waiting.ready.pop_first().map(|(_, key)| key);
        }
        self.until_oldest = KEYS_PER_OLDEST;
        let mut oldest: Option<(Reverse<Priority>, u64)> = None;
        let mut lowest = self.waiting.ready.last_key_value().map(|(place, _)| *place);
        for _ in 0..MAX_PRIORITIES_SEARCHED {
            let Some((priority, _)) = lowest else { break };
            let first = self.waiting.ready.range((priority, 0)..).next().map(|(place, _)| *place);
            oldest = oldest.into_iter().chain(first).min_by_key(|(_, sequence)| *sequence);
            lowest = self.waiting.ready.range(..(priority, 0)).next_back().map(|(place, _)| *place);
        }
        self.waiting.ready.remove(&oldest?)
    }

    /// Ends the processing of a key with success. The key is due again at `next`, with `cause`, or earlier if it was
    /// added during the processing. Returns the time of `next`; `None` if the key was forgotten during the processing,
    /// so that `next` does not count.
    pub(crate) fn done(&mut self, key: &K, next: Option<(Due, C)>) -> Option<Due> {
        let (key, Finished { during, priority, .. }) = self.remove_in_process(key)?;
        let InProcess { again, forgotten } = during;
        let next = next.filter(|_| !forgotten).map(|(due, cause)| Request { due, priority, cause });
        let due = next.as_ref().map(|next| next.due);
        let request = match (again, next) {
            (Some(again), Some(next)) => Some(again.merge(next)),
            (again, next) => again.or(next),
        };
        if let Some(request) = request {
            self.enqueue(key, request, 0);
        }
        due
    }

    /// Ends the processing of a key with a failure. The key is due after the wait that the limiter returns, with
    /// `cause`. If the key was added during the processing, it is due at the earlier time, because the change may fix
    /// the failure. Returns the wait; `None` if the key was forgotten during the processing, so that the failure does
    /// not count.
    pub(crate) fn failed(&mut self, key: &K, now: Instant, cause: C) -> Option<Duration> {
        self.fail(key, now, cause, |limiter, key, failures| limiter.wait(key, failures, now))
    }

    /// As [`failed`](Self::failed), after a conflict: the first consecutive one has no wait.
    pub(crate) fn conflicted(&mut self, key: &K, now: Instant, cause: C) -> Option<Duration> {
        self.fail(key, now, cause, |limiter, key, failures| match failures {
            1 => Duration::ZERO,
            failures => limiter.wait(key, failures - 1, now),
        })
    }

    /// Ends the processing of a key with a failure, after which it is due after the wait that `wait` returns.
    fn fail(
        &mut self,
        key: &K,
        now: Instant,
        cause: C,
        wait: impl FnOnce(&mut Limiter<K>, &K, u32) -> Duration,
    ) -> Option<Duration> {
        let (key, Finished { during, priority, failures }) = self.remove_in_process(key)?;
        let InProcess { again, forgotten } = during;
        if forgotten {
            if let Some(again) = again {
                self.enqueue(key, again, 0);
            }
            return None;
        }
        let failures = failures.saturating_add(1);
        let wait = wait(&mut self.limiter, &key, failures);
        let due = if wait.is_zero() { Due::Now } else { Due::after(now, wait) };
        let retry = Request { due, priority, cause };
        self.enqueue(key, merge_with(again, retry), failures);
        Some(wait)
    }

    /// The number of ready keys.
    pub(crate) fn ready_len(&self) -> usize {
        self.waiting.ready.len()
    }

    /// The key that has been ready longest, and its order of arrival. Searches all ready keys.
    pub(crate) fn oldest_ready(&self) -> Option<(u64, &K)> {
        let ready = self.waiting.ready.iter().map(|(&(_, sequence), key)| (sequence, key));
        ready.min_by_key(|(sequence, _)| *sequence)
    }

    /// The order of arrival of the last key.
    pub(crate) fn last_arrival(&self) -> u64 {
        self.waiting.sequence
    }

    /// Whether a key is ready.
    pub(crate) fn has_ready(&self) -> bool {
        !self.waiting.ready.is_empty()
    }

    /// The time at which the next delayed key becomes ready; `None` if no key is delayed.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.waiting.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes a key that is in process.
    fn remove_in_process(&mut self, key: &K) -> Option<(K, Finished<C>)> {
        match self.entries.remove_entry(key)? {
            (key, Entry { state: KeyState::InProcess(during), priority, failures }) => {
                Some((key, Finished { during, priority, failures }))
            }
            // The key is not in process: keep it unchanged.
            (key, entry) => {
                self.entries.insert(key, entry);
                None
            }
        }
    }

    /// Adds a key that is not in the queue.
    fn enqueue(&mut self, key: K, request: Request<C>, failures: u32) {
        let priority = request.priority;
        let state = self.waiting.add(key.clone(), request);
        self.entries.insert(key, Entry { state, priority, failures });
    }
}

/// A key whose processing has ended.
struct Finished<C> {
    during: InProcess<C>,
    priority: Priority,
    failures: u32,
}

/// The request, combined with one that was added before, if any.
fn merge_with<C>(before: Option<Request<C>>, request: Request<C>) -> Request<C> {
    match before {
        Some(before) => before.merge(request),
        None => request,
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
