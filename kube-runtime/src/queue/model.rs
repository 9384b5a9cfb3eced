//! A model test of the work queue: compares the queue with a map of the requested keys, after random requests, results
//! and deletions.

use super::*;
use crate::random::{Rng, check_model};
use std::collections::BTreeMap;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// The request for a key: the due time in seconds after the start, and the priority.
#[derive(Debug, Clone, Copy)]
struct ModelRequest {
    due: u64,
    priority: i32,
}

impl ModelRequest {
    fn merge(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self { due: self.due.min(other.due), priority: self.priority.max(other.priority) }
    }
}

/// A key in process.
#[derive(Debug, Default)]
struct KeyInProcess {
    again: Option<ModelRequest>,
    is_forgotten: bool,
    priority: i32,
}

struct Model {
    queue: WorkQueue<&'static str, ()>,
    start: Instant,
    now: u64,
    wanted: BTreeMap<&'static str, ModelRequest>,
    running: BTreeMap<&'static str, KeyInProcess>,
    failures: BTreeMap<&'static str, u32>,
    taken: u32,
}

impl Model {
    fn new() -> Self {
        let backoff = FailureBackoff::new(Duration::from_secs(1), Duration::from_secs(5));
        Self {
            queue: WorkQueue::new(Box::new(backoff)),
            start: Instant::now(),
            now: 0,
            wanted: BTreeMap::new(),
            running: BTreeMap::new(),
            failures: BTreeMap::new(),
            taken: 0,
        }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn record_request(&mut self, key: &'static str, wanted: ModelRequest) {
        let merged = wanted.merge(self.wanted.get(key).copied());
        self.wanted.insert(key, merged);
    }

    fn add(&mut self, key: &'static str, random: &mut Rng) {
        let wait = random.u64(0..6);
        let wanted = ModelRequest { due: self.now + wait, priority: [-100, 0, 5][random.usize(0..3)] };
        let due = if wait == 0 { Due::Now } else { Due::At(self.at(wanted.due)) };
        self.queue.add(key, Request { due, priority: Priority::new(wanted.priority), cause: () });
        match self.running.get_mut(key) {
            Some(running) => running.again = Some(wanted.merge(running.again)),
            None => self.record_request(key, wanted),
        }
    }

    fn take_key(&mut self) -> Result<(), String> {
        let due: Vec<_> = self.wanted.iter().filter(|(_, wanted)| wanted.due <= self.now).collect();
        let highest = due.iter().map(|(_, wanted)| wanted.priority).max();
        let Some((key, _, failures)) = self.queue.take_key(self.at(self.now)) else {
            return if due.is_empty() { Ok(()) } else { Err(format!("no key, and {due:?} are due")) };
        };
        self.taken += 1;
        let Some(wanted) = self.wanted.get(key).copied().filter(|wanted| wanted.due <= self.now) else {
            return Err(format!("{key} is not due"));
        };
        if Some(wanted.priority) != highest && !self.taken.is_multiple_of(OLDEST_KEY_INTERVAL) {
            return Err(format!("{key} has the priority {}, and another one {highest:?}", wanted.priority));
        }
        if failures != self.failures.get(key).copied().unwrap_or_default() {
            return Err(format!("{key} has {failures} failures, and not {:?}", self.failures.get(key)));
        }
        self.wanted.remove(key);
        let running = KeyInProcess { priority: wanted.priority, ..KeyInProcess::default() };
        match self.running.insert(key, running) {
            None => Ok(()),
            Some(_) => Err(format!("{key} is in process twice")),
        }
    }

    /// Ends the processing of a key with a random result.
    fn end_processing(&mut self, key: &'static str, random: &mut Rng) {
        let Some(KeyInProcess { again, is_forgotten, priority }) = self.running.remove(key) else { return };
        let now = self.at(self.now);
        let next = match random.u8(0..3) {
            0 => {
                let wait = random.bool().then(|| random.u64(0..6));
                self.queue.finish(&key, wait.map(|wait| (Due::At(self.at(self.now + wait)), ())));
                self.failures.remove(key);
                wait
            }
            outcome => {
                let failures =
                    if is_forgotten { 0 } else { self.failures.get(key).map_or(1, |known| known + 1) };
                self.failures.insert(key, failures);
                let backoff =
                    |failures: u32| if failures == 0 { 0 } else { (1_u64 << (failures - 1).min(9)).min(5) };
                if outcome == 1 {
                    self.queue.finish_with_failure(&key, now, ());
                    Some(backoff(failures))
                } else {
                    self.queue.finish_with_conflict(&key, now, ());
                    Some(backoff(failures.saturating_sub(1)))
                }
            }
        };
        let next = next.filter(|_| !is_forgotten).map(|wait| ModelRequest { due: self.now + wait, priority });
        if let Some(wanted) = again.map(|again| again.merge(next)).or(next) {
            self.record_request(key, wanted);
        }
    }

    fn forget(&mut self, key: &'static str) {
        self.queue.forget(&key);
        self.wanted.remove(key);
        self.failures.remove(key);
        if let Some(running) = self.running.get_mut(key) {
            *running = KeyInProcess { is_forgotten: true, priority: running.priority, again: None };
        }
    }

    fn run_random_operations(&mut self, random: &mut Rng) -> Result<(), String> {
        for _ in 0..random.usize(1..60) {
            let key = KEYS[random.usize(0..KEYS.len())];
            match random.u8(0..12) {
                0..=3 => self.add(key, random),
                4..=6 => self.take_key()?,
                7..=9 => self.end_processing(key, random),
                10 => self.forget(key),
                _ => self.now += random.u64(0..4),
            }
        }
        // Check that the queue returns each wanted key, and that no key remains.
        self.now += 100;
        loop {
            for key in KEYS {
                if self.running.remove(key).is_some_and(|running| running.again.is_some()) {
                    self.record_request(key, ModelRequest { due: 0, priority: 0 });
                }
                self.queue.finish(&key, None);
                self.failures.remove(key);
            }
            // Take the key from the queue itself: `Model::take_key` would check the priorities, and the model does not have
            // the priorities of keys that were added again.
            let Some((key, ..)) = self.queue.take_key(self.at(self.now)) else { break };
            self.wanted.remove(key).ok_or_else(|| format!("{key} was not wanted"))?;
        }
        if self.wanted.is_empty() && self.queue.len() == 0 && self.queue.next_due().is_none() {
            Ok(())
        } else {
            Err(format!("{:?} were not processed, and {} keys remain", self.wanted, self.queue.len()))
        }
    }
}

#[test]
fn model_each_requested_key_is_processed_when_it_is_due_and_never_twice_at_once() {
    check_model(|random| Model::new().run_random_operations(random));
}
