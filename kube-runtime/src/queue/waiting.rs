//! `WaitingKeys`: the keys of a work queue that wait to be processed. Keys are ready, or delayed until their due time.

use super::entries::Slot;
use super::lanes::Lanes;
use super::{Due, KeyState, Priority, Request};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// The keys that wait to be processed.
pub(super) struct WaitingKeys {
    pub(super) ready: Lanes,
    /// Delayed keys, by due time, then by the sequence number of their arrival.
    pub(super) delayed: BTreeMap<(Instant, u64), Slot>,
    /// The sequence number of the last key that was added to `ready` or `delayed`.
    pub(super) last_arrival: u64,
}

impl WaitingKeys {
    pub(super) fn new() -> Self {
        Self { ready: Lanes::new(), delayed: BTreeMap::new(), last_arrival: 0 }
    }

    /// Adds a key that is neither ready nor delayed. Returns the new state of the key.
    pub(super) fn add<C>(&mut self, slot: Slot, Request { due, priority, cause }: Request<C>) -> KeyState<C> {
        self.last_arrival += 1;
        match due {
            Due::Now => {
                self.ready.push(priority, slot, self.last_arrival);
                KeyState::Ready(cause)
            }
            Due::At(at) => {
                self.delayed.insert((at, self.last_arrival), slot);
                KeyState::Delayed(at, self.last_arrival, cause)
            }
        }
    }

    /// Removes a key. The key must have this state and priority.
    pub(super) fn remove<C>(&mut self, slot: Slot, state: &KeyState<C>, priority: Priority) {
        match state {
            KeyState::Ready(_) => self.ready.remove(priority, slot),
            KeyState::Delayed(at, arrival, _) => drop(self.delayed.remove(&(*at, *arrival))),
            KeyState::InProcess(_) => {}
        }
    }

    /// Removes and returns the first delayed key, if it is due at `now` or earlier.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Slot> {
        let first = self.delayed.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
