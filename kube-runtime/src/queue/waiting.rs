//! `Waiting`: the keys of a work queue that are ready or delayed, in the order of their processing.

use super::{Due, KeyState, Priority, Request};
use std::{cmp::Reverse, collections::BTreeMap};
use tokio::time::Instant;

/// The keys that wait to be processed.
pub(super) struct Waiting<K> {
    /// Ready keys, by priority, then by order of arrival.
    pub(super) ready: BTreeMap<(Reverse<Priority>, u64), K>,
    /// Delayed keys, by due time, then by order of arrival.
    pub(super) delayed: BTreeMap<(Instant, u64), K>,
    /// The sequence number of the last key in `ready` or `delayed`.
    pub(super) sequence: u64,
}

impl<K> Waiting<K> {
    pub(super) fn new() -> Self {
        Self { ready: BTreeMap::new(), delayed: BTreeMap::new(), sequence: 0 }
    }

    /// Adds a key that is not there.
    pub(super) fn add<C>(&mut self, key: K, Request { due, priority, cause }: Request<C>) -> KeyState<C> {
        self.sequence += 1;
        match due {
            Due::Now => {
                self.ready.insert((Reverse(priority), self.sequence), key);
                KeyState::Ready(self.sequence, cause)
            }
            Due::At(at) => {
                self.delayed.insert((at, self.sequence), key);
                KeyState::Delayed(at, self.sequence, cause)
            }
        }
    }
}
