//! `Quiet`: when a watch has brought nothing for so long that the current version of the server is read beside it.
//!
//! It keeps the time and holds the request. What the version means is decided in `step`.

use super::step::Input;
use futures::future::BoxFuture;
use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Probes in vain follow each other no more often than this in the end: some kinds have no watch cache, and so no bookmarks.
const RAREST: Duration = Duration::from_secs(600);

static RESTORES: AtomicU64 = AtomicU64::new(0);

/// How often the watchers of this process have noticed that a server's storage was restored to an earlier state, each of them
/// counted on its own. For metrics: whoever manages a cluster wants to know.
///
/// ```
/// assert_eq!(kube_runtime::watcher::restores_noticed(), 0);
/// ```
pub fn restores_noticed() -> u64 {
    RESTORES.load(Ordering::Relaxed)
}

pub(super) fn count_restore() {
    RESTORES.fetch_add(1, Ordering::Relaxed);
}

/// The silence of a watch.
pub(super) struct Quiet {
    limit: Duration,
    /// Whether something has come since the timer was last looked at.
    heard: bool,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// Probes in a row that showed nothing.
    fruitless: u32,
    probe: Option<BoxFuture<'static, Option<String>>>,
}

impl Quiet {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, heard: true, since: Instant::now(), timer: None, fruitless: 0, probe: None }
    }

    /// An event or a bookmark has come.
    pub(super) fn hear(&mut self) {
        self.heard = true;
    }

    /// The current version is being read.
    pub(super) fn begin(&mut self, probe: BoxFuture<'static, Option<String>>) {
        self.probe = Some(probe);
    }

    /// Waits for the end of the silence that is allowed, and then for the probe. The watch has just been polled in vain.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        let now = Instant::now();
        if std::mem::take(&mut self.heard) {
            (self.since, self.fruitless, self.probe) = (now, 0, None);
        }
        if let Some(probe) = &mut self.probe {
            let version = ready!(probe.as_mut().poll(cx));
            (self.since, self.probe) = (Instant::now(), None);
            self.fruitless = self.fruitless.saturating_add(1);
            return Poll::Ready(Input::Current(version));
        }
        let Some(end) = self.since.checked_add(pause(self.limit, self.fruitless)) else {
            return Poll::Pending;
        };
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
            // An event after fruitless probes shortens the allowed silence.
            if timer.deadline() > end {
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
            // Moving the timer at each event would cost more than looking at the time once it is over.
            if timer.deadline() >= end {
                self.timer = None;
                self.since = Instant::now();
                return Poll::Ready(Input::Quiet);
            }
            timer.as_mut().reset(end);
        }
    }
}

/// How long the silence may last after so many probes in vain.
fn pause(limit: Duration, fruitless: u32) -> Duration {
    limit.saturating_mul(2_u32.saturating_pow(fruitless)).min(RAREST.max(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_in_vain_become_rarer_down_to_one_in_ten_minutes() {
        let seconds =
            |limit| (0..5).map(|n| pause(Duration::from_secs(limit), n).as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(180), [180, 360, 600, 600, 600]);
        assert_eq!(seconds(900), [900; 5]);
        assert_eq!(pause(Duration::MAX, u32::MAX), Duration::MAX);
    }
}
