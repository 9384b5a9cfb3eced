//! `PollCycle`: polls a watcher in cycles of limited duration, for `Reflector` and `Informer`.

use crate::watcher::driver::Driver;
use crate::watcher::{Config, Event, Result, Source, Storable};
use futures::StreamExt;
use std::time::Duration;
use tokio::time::Instant;

/// The default duration of a cycle's watch.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which a cycle waits for the server to end the watch, after the duration of the watch has elapsed. If
/// the server ends the watch, the next cycle can reuse the connection.
const END_GRACE_PERIOD: Duration = Duration::from_millis(250);

/// A watcher that is polled in cycles of limited duration.
pub(crate) struct PollCycle<K> {
    driver: Driver<K>,
    /// The duration of a cycle's watch.
    timeout: Duration,
    /// [`Config::timeout`], which applies to the watches of [`poll_event`](PollCycle::poll_event).
    config_timeout: Option<Duration>,
    /// The end of the current cycle; `None` if the cycle has no limit. The value is also `None` while the
    /// cycle waits for a pending backoff or for the first list.
    deadline: Option<Instant>,
}

impl<K: Storable + Send + 'static> PollCycle<K> {
    pub(crate) fn new(source: Box<dyn Source<K>>, config: Config) -> Self {
        let (timeout, config_timeout) = (config.timeout.unwrap_or(DEFAULT_TIMEOUT), config.timeout);
        Self { driver: Driver::new(source, config), timeout, config_timeout, deadline: None }
    }

    /// Sets the duration of the watch of each later cycle.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Begins a cycle. The next call of [`next`](PollCycle::next) waits for a pending backoff. The duration
    /// of the cycle counts from the end of this wait. If the first list is not complete, the duration counts
    /// from the end of that list.
    pub(crate) fn begin(&mut self) {
        self.deadline = None;
        self.driver.set_timeout(Some(self.timeout));
    }

    /// Sets the end of the cycle. The watch ends after the configured duration. The cycle ends at most
    /// [`END_GRACE_PERIOD`] after this duration.
    fn set_deadline(&mut self) {
        // A deadline that overflows `Instant` means no limit.
        let Some(end) = Instant::now().checked_add(self.timeout) else { return };
        self.driver.pause_between_watches(end);
        self.deadline = end.checked_add(END_GRACE_PERIOD);
    }

    /// The next event of the cycle; `None` at the end of the cycle. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Event<K>>> {
        // Consume coop budget, so that the task yields to other tasks while events arrive continuously.
        tokio::task::coop::consume_budget().await;
        if self.deadline.is_none() && self.driver.is_synced() {
            // The backoff does not count towards the duration: a cycle that only waited would look like a cycle
            // without changes.
            self.driver.wait_for_backoff().await;
            self.set_deadline();
        }
        let event = match self.deadline {
            Some(deadline) if Instant::now() < deadline => {
                tokio::time::timeout_at(deadline, self.driver.next()).await.ok()
            }
            Some(_) => None,
            None => Some(self.driver.next().await),
        };
        let Some(event) = event else {
            self.driver.pause();
            return None;
        };
        if self.deadline.is_none() && matches!(event, Some(Ok(Event::InitDone))) {
            self.set_deadline();
        }
        event
    }

    /// Polls for the next event, without a time limit. Sets the timeout of new watches to
    /// [`Config::timeout`].
    pub(crate) fn poll_event(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Event<K>>>> {
        self.driver.set_timeout(self.config_timeout);
        self.driver.poll_next_unpin(cx)
    }

    /// The resource version of the last received change, bookmark or complete snapshot; `None` until the first snapshot
    /// is complete.
    pub(crate) fn resource_version(&self) -> Option<&str> {
        self.driver.resource_version()
    }
}
