//! `WorkQueue`: the keys to process, as in client-go's work queue. It does not read a clock: callers pass the time.
//!
//! Each key has one state: ready, delayed or in process. A key that is added while in process is processed once more
//! afterwards. Ready keys are returned in the order in which they became ready.

use foldhash::HashMap;
use std::{
    collections::{BTreeMap, VecDeque},
    hash::Hash,
    time::Duration,
};
use tokio::time::Instant;

/// The wait before a failed key is due again. It doubles from `base` to `max` with each consecutive failure, as in
/// client-go's `ItemExponentialFailureRateLimiter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailureBackoff {
    pub(crate) base: Duration,
    pub(crate) max: Duration,
}

impl FailureBackoff {
    /// The wait after the given number of consecutive failures.
    fn after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }
}

/// A queue of keys. Each key is in process at most once at a time.
#[derive(Debug)]
pub(crate) struct WorkQueue<K> {
    entries: HashMap<K, Entry>,
    ready: VecDeque<K>,
    /// Delayed keys, by due time, then by order of arrival.
    delayed: BTreeMap<(Instant, u64), K>,
    /// The sequence number of the last delayed key.
    sequence: u64,
    backoff: FailureBackoff,
}

/// The state and the consecutive failures of a key.
#[derive(Debug)]
struct Entry {
    state: KeyState,
    failures: u32,
}

/// The state of a key in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyState {
    Ready,
    /// Due at this time. The number is the order of arrival.
    Delayed(Instant, u64),
    /// `again` is the new due time of the key if the key was added while in process.
    InProcess {
        again: Option<Due>,
    },
}

/// When a key is due.
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

impl<K: Hash + Eq + Clone> WorkQueue<K> {
    pub(crate) fn new(backoff: FailureBackoff) -> Self {
        Self {
            entries: HashMap::default(),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            sequence: 0,
            backoff,
        }
    }

    /// Adds a key. If the key is already delayed, the earlier due time applies.
    pub(crate) fn add(&mut self, key: K, due: Due) {
        match self.entries.get_mut(&key) {
            None => self.enqueue(key, due, 0),
            Some(Entry { state: KeyState::Ready, .. }) => {}
            Some(Entry { state: KeyState::InProcess { again }, .. }) => {
                *again = Some(again.map_or(due, |before| before.min(due)));
            }
            Some(&mut Entry { state: KeyState::Delayed(at, sequence), failures }) => {
                if due < Due::At(at) {
                    self.delayed.remove(&(at, sequence));
                    self.enqueue(key, due, failures);
                }
            }
        }
    }

    /// Returns the next ready key. The key is in process until [`done`](Self::done) or [`failed`](Self::failed).
    pub(crate) fn take_key(&mut self, now: Instant) -> Option<K> {
        while let Some(first) = self.delayed.first_entry()
            && first.key().0 <= now
        {
            let key = first.remove();
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.state = KeyState::Ready;
            }
            self.ready.push_back(key);
        }
        let key = self.ready.pop_front()?;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.state = KeyState::InProcess { again: None };
        }
        Some(key)
    }

    /// Ends the processing of a key with success. The key is due at `next`, or earlier if it was added meanwhile.
    pub(crate) fn done(&mut self, key: &K, next: Option<Due>) {
        if let Some((key, again)) = self.remove_in_process(key)
            && let Some(due) = [again.0, next].into_iter().flatten().min()
        {
            self.enqueue(key, due, 0);
        }
    }

    /// Ends the processing of a key with a failure. The key is due after a wait that grows with each consecutive
    /// failure. If the key was added meanwhile, it is due at the earlier time, because the change may fix the
    /// failure. Returns the wait.
    pub(crate) fn failed(&mut self, key: &K, now: Instant) -> Duration {
        let Some((key, (again, failures))) = self.remove_in_process(key) else { return Duration::ZERO };
        let failures = failures.saturating_add(1);
        let wait = self.backoff.after(failures);
        let due = Due::after(now, wait);
        self.enqueue(key, again.map_or(due, |again| again.min(due)), failures);
        wait
    }

    /// When the next delayed key becomes ready; `None` if no key is delayed.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes a key that is in process. Returns its failure count, and its due time if it was added meanwhile.
    fn remove_in_process(&mut self, key: &K) -> Option<(K, (Option<Due>, u32))> {
        match self.entries.remove_entry(key)? {
            (key, Entry { state: KeyState::InProcess { again }, failures }) => Some((key, (again, failures))),
            // The key is not in process: keep it unchanged.
            (key, entry) => {
                self.entries.insert(key, entry);
                None
            }
        }
    }

    /// Adds a key that is not in the queue.
    fn enqueue(&mut self, key: K, due: Due, failures: u32) {
        let state = match due {
            Due::Now => {
                self.ready.push_back(key.clone());
                KeyState::Ready
            }
            Due::At(at) => {
                self.sequence += 1;
                self.delayed.insert((at, self.sequence), key.clone());
                KeyState::Delayed(at, self.sequence)
            }
        };
        self.entries.insert(key, Entry { state, failures });
    }
}

#[cfg(test)]
mod tests;
