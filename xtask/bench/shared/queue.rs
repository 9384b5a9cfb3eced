//! The row `priority-queue`: measures the work queue of a controller, without a reconciler.

use super::{Job, Measure, Outcome, Report};
use crate::library::priority_queue;

/// The number of different priorities with which the keys are added.
const PRIORITIES: usize = 5;

/// A work queue with priorities, and a list of the row's keys. The number of a key is the key's index in this list.
pub(crate) trait PriorityQueue {
    /// Adds the key with this number, without a delay.
    fn add(&mut self, number: usize, priority: i32);

    /// Takes the next key, and ends its processing with success. Returns whether the priority of the key is above 0.
    /// Returns `None` if the queue is empty.
    fn process_next(&mut self) -> Option<bool>;
}

/// Measures the work queue from the addition of the first key until all keys have been processed.
pub(crate) fn measure_priority_queue(job: &Job) -> anyhow::Result<Report> {
    let key = |number: usize| (format!("team-{:04}", number / 40), format!("worker-{number}"));
    let keys: Vec<_> = (0..job.calls).map(key).collect();
    let Some(mut queue) = priority_queue(&keys) else {
        return Ok(Report::Absent { reason: "kube's scheduler has no priorities".to_owned() });
    };
    let running = Measure::start()?;
    for number in 0..job.calls {
        queue.add(number, i32::try_from(number % PRIORITIES)?);
    }
    let first = queue.process_next();
    let (mut processed, mut last) = (1, first);
    while let Some(is_urgent) = queue.process_next() {
        processed += 1;
        last = Some(is_urgent);
    }
    let measure = running.stop()?;
    anyhow::ensure!(processed == job.calls, "{processed} keys were processed instead of {}", job.calls);
    anyhow::ensure!((first, last) == (Some(true), Some(false)), "the keys were not processed by priority");
    Ok(Report::Done(Outcome::new(processed, &measure)))
}
