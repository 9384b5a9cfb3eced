//! `Lanes`: slots in the order of their priority, and within a priority in the order of their arrival. Each priority
//! has a lane, which is a doubly linked list. Therefore the time that an operation takes depends on the number of lanes,
//! but not on the number of slots.

use super::Priority;
use super::entries::Slot;
use std::collections::{BTreeMap, btree_map};

/// [`Lanes::pop_oldest`] searches only this number of lanes: those with the lowest priorities.
const MAX_LANES_SEARCHED: usize = 64;

/// Slots by priority, then by arrival.
pub(super) struct Lanes {
    /// The lanes. No lane is empty.
    by_priority: BTreeMap<Priority, Lane>,
    /// The links of each slot, at the index of the slot. The links of a slot that is in no lane have no meaning.
    links: Vec<Links>,
    len: usize,
}

/// The first and the last slot of a lane.
struct Lane {
    first: Slot,
    last: Slot,
}

/// The neighbours of a slot in its lane, and the arrival of the slot.
#[derive(Clone, Copy, Default)]
struct Links {
    /// The previous slot of the lane; has no meaning for the first slot.
    previous: Slot,
    /// The next slot of the lane; has no meaning for the last slot.
    next: Slot,
    /// The sequence number of the slot's arrival.
    arrival: u64,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { by_priority: BTreeMap::new(), links: Vec::new(), len: 0 }
    }

    /// Adds a slot to the lane of `priority`. The slot must be in no lane. `arrival` is the sequence number
    /// of the slot's arrival. It must be greater than the sequence number of every slot in a lane.
    pub(super) fn push(&mut self, priority: Priority, slot: Slot, arrival: u64) {
        if self.links.len() <= slot {
            self.links.resize(slot + 1, Links::default());
        }
        let previous = match self.by_priority.entry(priority) {
            btree_map::Entry::Occupied(mut lane) => std::mem::replace(&mut lane.get_mut().last, slot),
            btree_map::Entry::Vacant(new) => new.insert(Lane { first: slot, last: slot }).first,
        };
        self.links[previous].next = slot;
        self.links[slot] = Links { previous, next: slot, arrival };
        self.len += 1;
    }

    /// Removes a slot from the lane of `priority`. The slot must be in this lane.
    pub(super) fn remove(&mut self, priority: Priority, slot: Slot) {
        let Some(lane) = self.by_priority.get_mut(&priority) else { return };
        let Links { previous, next, .. } = self.links[slot];
        match (lane.first == slot, lane.last == slot) {
            (true, true) => drop(self.by_priority.remove(&priority)),
            (true, false) => lane.first = next,
            (false, true) => lane.last = previous,
            (false, false) => {
                self.links[previous].next = next;
                self.links[next].previous = previous;
            }
        }
        self.len -= 1;
    }

    /// Removes and returns the first slot of the highest priority.
    pub(super) fn pop_first(&mut self) -> Option<Slot> {
        let (&priority, &Lane { first, .. }) = self.by_priority.last_key_value()?;
        self.remove(priority, first);
        Some(first)
    }

    /// Searches the lanes of the 64 lowest priorities for the slot that arrived first. Removes and returns
    /// this slot.
    pub(super) fn pop_oldest(&mut self) -> Option<Slot> {
        let lowest = self.by_priority.iter().take(MAX_LANES_SEARCHED);
        let (&priority, &Lane { first, .. }) =
            lowest.min_by_key(|(_, lane)| self.links[lane.first].arrival)?;
        self.remove(priority, first);
        Some(first)
    }

    /// The slot that arrived first, and the sequence number of its arrival.
    pub(super) fn oldest(&self) -> Option<(u64, Slot)> {
        self.by_priority.values().map(|lane| (self.links[lane.first].arrival, lane.first)).min()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}
