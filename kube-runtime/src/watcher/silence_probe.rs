//! `SilenceProbe`: reads the server's current resource version if a watch receives nothing for the configured time.
//!
//! It owns the timer and the in-flight request. `step` compares the version with the watch's version.

use super::step::Input;
use futures::future::BoxFuture;
use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// The longest interval between probes, unless the configured interval is longer. The server sends no bookmarks for kinds
/// without a watch cache, so the watches of these kinds are probed repeatedly.
const MAX_INTERVAL: Duration = Duration::from_secs(600);

/// The value of [`detected_restore_count`].
static DETECTED_RESTORES: AtomicU64 = AtomicU64::new(0);

/// The number of times that the watchers of this process detected that a server's storage was restored to an earlier
/// state. If several watchers detect the same restore, each detection counts. Intended for metrics.
///
/// ```
/// assert_eq!(kube_runtime::watcher::detected_restore_count(), 0);
/// ```
pub fn detected_restore_count() -> u64 {
    DETECTED_RESTORES.load(Ordering::Relaxed)
}

/// Increments [`detected_restore_count`].
pub(super) fn count_restore() {
    DETECTED_RESTORES.fetch_add(1, Ordering::Relaxed);
}

/// A timer, and the in-flight probe. The timer runs while a watch receives no event and no bookmark.
pub(super) struct SilenceProbe {
    /// The shortest interval between probes.
    limit: Duration,
    /// Whether an event, a bookmark or a part of an event arrived since the last poll.
    received: bool,
    /// The start of the silence, or of the interval after the last probe.
    since: Instant,
    /// The timer for the end of the interval. An event does not reset the timer, so the timer may fire before the end of
    /// the interval. [`poll`](Self::poll) then resets the timer.
    timer: Option<Pin<Box<Sleep>>>,
    /// The number of probes completed since the last event or bookmark; each one doubles the interval.
    completed_probes: u32,
    /// The in-flight request; its result is the server's current resource version.
    probe: Option<BoxFuture<'static, Option<String>>>,
}

impl SilenceProbe {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, received: true, since: Instant::now(), timer: None, completed_probes: 0, probe: None }
    }

    /// Records that an event, a bookmark or a part of an event arrived.
    pub(super) fn record_arrival(&mut self) {
        self.received = true;
    }

    /// Starts a probe.
    pub(super) fn begin(&mut self, probe: BoxFuture<'static, Option<String>>) {
        self.probe = Some(probe);
    }

    /// Ready with `Silent` at the end of an interval without an event or a bookmark, and with `Current` when the probe
    /// completes. Call this method only after the stream of the watch returned `Pending`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        let now = Instant::now();
        if std::mem::take(&mut self.received) {
            (self.since, self.completed_probes, self.probe) = (now, 0, None);
        }
        if let Some(probe) = &mut self.probe {
            let version = ready!(probe.as_mut().poll(cx));
            (self.since, self.probe) = (Instant::now(), None);
            self.completed_probes = self.completed_probes.saturating_add(1);
            return Poll::Ready(Input::Current(version));
        }
        let Some(end) = self.since.checked_add(probe_interval(self.limit, self.completed_probes)) else {
            return Poll::Pending;
        };
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
            // An event makes the interval shorter, but does not reset the timer. The timer may therefore still
            // have the longer interval of earlier probes.
            if timer.deadline() > end {
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
            // An event may move `end` to a later time, but does not reset the timer. If the timer fires before
            // `end`, this loop resets the timer. This is cheaper than a reset at each event.
            if timer.deadline() >= end {
                self.timer = None;
                self.since = Instant::now();
                return Poll::Ready(Input::Silent);
            }
            timer.as_mut().reset(end);
        }
    }
}

/// The interval before the next probe.
fn probe_interval(limit: Duration, completed_probes: u32) -> Duration {
    limit.saturating_mul(2_u32.saturating_pow(completed_probes)).min(MAX_INTERVAL.max(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probe_interval_doubles_up_to_ten_minutes() {
        let seconds = |limit| {
            (0..5).map(|n| probe_interval(Duration::from_secs(limit), n).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(seconds(180), [180, 360, 600, 600, 600]);
        assert_eq!(seconds(900), [900; 5]);
        assert_eq!(probe_interval(Duration::MAX, u32::MAX), Duration::MAX);
    }
}
