//! `Monitor`: the warnings and the metrics of a controller. It only observes the `dispatcher`.

use super::Key;
use super::hot_loop::{HotLoop, HotLoops};
use crate::metrics::{ControllerMetrics, Outcome};
use foldhash::HashMap;
use kube_client::core::ObjectMeta;
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::task::Id;
use tokio::time::{Instant, Sleep};

/// The interval of the checks of a busy controller.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The minimum time between two entries of `Monitor::watermarks` is the stall limit, divided by this number.
const WATERMARKS_PER_LIMIT: u32 = 16;

/// Observes a controller.
pub(super) struct Monitor {
    name: String,
    pub(super) metrics: ControllerMetrics<Key>,
    /// The value of `Config::stall_limit`. The monitor reports a ready key that has waited for this time, and
    /// a reconcile that has run for this time.
    limit: Duration,
    hot_loops: HotLoops,
    /// The time of the next check.
    next_check: Instant,
    /// Wakes the task at the next check. If the controller is idle at this check, the timer becomes `None`,
    /// unless a possible hot loop still has to be checked.
    timer: Option<Pin<Box<Sleep>>>,
    /// The in-flight reconciles at the last check. The values are the time of the check that first found the reconcile,
    /// and whether the reconcile was reported.
    running: HashMap<Id, (Instant, bool)>,
    /// Past times in ascending order. Each time is paired with the sequence number of the last key that had
    /// arrived by then. If a time is at least `limit` ago, each key up to this sequence number that is still
    /// ready has waited for too long.
    watermarks: VecDeque<(Instant, u64)>,
    /// Whether the last check found a key that had waited for too long.
    has_stuck_key: bool,
}

impl Monitor {
    pub(super) fn new(name: &str, limit: Duration, workers: usize) -> Self {
        Self {
            name: name.to_owned(),
            metrics: ControllerMetrics::new(name, workers),
            limit,
            hot_loops: HotLoops::default(),
            next_check: Instant::now() + CHECK_INTERVAL,
            timer: None,
            running: HashMap::default(),
            watermarks: VecDeque::new(),
            has_stuck_key: false,
        }
    }

    /// Records the start of a reconcile.
    pub(super) fn record_reconcile_start(&mut self, key: &Key) {
        self.hot_loops.record_reconcile(key);
        self.metrics.record_reconcile_start(key);
    }

    /// Records the end of a reconcile.
    pub(super) fn record_reconcile_end(&mut self, key: &Key, outcome: Outcome) {
        self.metrics.record_reconcile_end(key, outcome);
    }

    /// Ready when a check is due. `is_busy` must be true if a key is ready or a reconcile runs. Starts no timer while the
    /// controller is idle and no hot loop has to be checked.
    pub(super) fn poll_due_check(&mut self, is_busy: bool, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() {
            if !is_busy && !self.hot_loops.is_active() {
                return Poll::Pending;
            }
            // After an idle time, the first check is due one interval after this poll.
            if self.next_check <= Instant::now() {
                self.next_check = Instant::now() + CHECK_INTERVAL;
            }
        }
        let at = self.next_check;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        let due = timer.as_mut().poll(cx);
        if due.is_ready() {
            self.timer = None;
            self.next_check = Instant::now() + CHECK_INTERVAL;
        }
        due
    }

    /// Returns whether a check is due. If a check is due, schedules the next one. Registers no waker, because a busy
    /// controller is polled anyway.
    pub(super) fn take_due_check(&mut self) -> bool {
        let due = self.next_check <= Instant::now();
        if due {
            self.next_check = Instant::now() + CHECK_INTERVAL;
            // If the controller becomes idle, the timer causes one more check. That check updates the
            // duration metrics.
            let at = self.next_check;
            self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        }
        due
    }

    /// Reports a reconcile once if it runs for longer than the limit. Updates the metrics of the durations of all
    /// running reconciles.
    pub(super) fn check_running_reconciles<'a>(&mut self, running: impl Iterator<Item = (&'a Id, &'a Key)>) {
        self.metrics.set_duration_gauges();
        let now = Instant::now();
        let before = std::mem::take(&mut self.running);
        for (id, key) in running {
            let (since, mut reported) = before.get(id).copied().unwrap_or((now, false));
            let elapsed = now - since;
            if elapsed >= self.limit && !reported {
                reported = true;
                self.metrics.count_problem("kube_runtime_stuck_reconciles_total");
                tracing::warn!(controller = self.name, object = %key, ?elapsed, "a reconcile does not end");
            }
            self.running.insert(*id, (since, reported));
        }
    }

    /// Reports the oldest ready key if it waits for longer than the limit. Does not report again until a check finds that
    /// no key waits for longer than the limit. `oldest` is the oldest ready key with the sequence number of its arrival,
    /// and `last` is the sequence number of the last key that arrived.
    pub(super) fn check_oldest_ready_key(&mut self, oldest: Option<(u64, &Key)>, last: u64) {
        let now = Instant::now();
        let is_before_limit = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) >= self.limit;
        // Keep the newest watermark that is older than the limit.
        while self.watermarks.get(1).is_some_and(is_before_limit) {
            self.watermarks.pop_front();
        }
        let overdue =
            self.watermarks.front().filter(|mark| is_before_limit(mark)).map(|(_, arrival)| *arrival);
        match oldest {
            Some((arrival, key)) if overdue.is_some_and(|overdue| arrival <= overdue) => {
                if !self.has_stuck_key {
                    self.metrics.count_problem("kube_runtime_stuck_keys_total");
                    let limit = self.limit;
                    tracing::warn!(controller = self.name, object = %key, ?limit, "a queued object is not reconciled");
                }
                self.has_stuck_key = true;
            }
            _ => self.has_stuck_key = false,
        }
        let interval = self.limit / WATERMARKS_PER_LIMIT;
        if self.watermarks.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= interval) {
            self.watermarks.push_back((now, last));
        }
    }

    /// Whether the last check found a key that had waited for longer than the limit.
    #[cfg(feature = "manager")]
    pub(super) fn has_stuck_key(&self) -> bool {
        self.has_stuck_key
    }

    /// Describes the reconciles `running`, the longest-running first. A reconcile that started after the last check is not
    /// stuck, and its duration is zero.
    #[cfg(feature = "manager")]
    pub(super) fn running_keys<'a>(
        &self,
        running: impl Iterator<Item = (&'a Id, &'a Key)>,
    ) -> Vec<super::inspect::RunningKey> {
        let mut keys: Vec<_> = running
            .map(|(id, key)| {
                let (since, is_stuck) = self.running.get(id).copied().unwrap_or((Instant::now(), false));
                super::inspect::RunningKey { key: key.to_string(), elapsed: since.elapsed(), is_stuck }
            })
            .collect();
        keys.sort_by(|one, other| other.elapsed.cmp(&one.elapsed).then_with(|| one.key.cmp(&other.key)));
        keys
    }

    /// Clears the state that [`check_oldest_ready_key`](Self::check_oldest_ready_key) keeps between its
    /// calls. The dispatcher calls this function while a gate is closed. Therefore the time before the gate
    /// opens does not count as waiting time of the keys.
    pub(super) fn reset_check_of_ready_keys(&mut self) {
        self.watermarks.clear();
        self.has_stuck_key = false;
    }

    /// Reports the keys that are reconciled in a hot loop.
    pub(super) fn check_hot_loops(&mut self, find: impl Fn(&Key) -> Option<ObjectMeta>) {
        for HotLoop { key, reconciles, window, is_changing, writes } in
            self.hot_loops.end_window_if_over(Instant::now(), find)
        {
            self.metrics.count_problem("kube_runtime_hot_loops_total");
            tracing::warn!(
                controller = self.name, object = %key, reconciles, ?window, is_changing, ?writes,
                "an object is reconciled in a hot loop"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::{advance, timeout};

    #[tokio::test(start_paused = true)]
    async fn checks_are_periodic_while_the_controller_is_busy_and_end_when_it_is_idle() {
        let mut monitor = Monitor::new("test", Duration::from_secs(600), 1);
        for round in 0..3 {
            assert!(!monitor.take_due_check(), "round {round}");
            advance(CHECK_INTERVAL).await;
            assert!(monitor.take_due_check(), "round {round}");
        }
        // The controller is idle from now on (`is_busy` is false): one more check is due, and then none.
        for (is_due, limit) in [(true, CHECK_INTERVAL), (false, 10 * CHECK_INTERVAL)] {
            let due =
                timeout(limit + Duration::from_secs(1), poll_fn(|cx| monitor.poll_due_check(false, cx)))
                    .await;
            assert_eq!(due.is_ok(), is_due);
        }
    }
}
