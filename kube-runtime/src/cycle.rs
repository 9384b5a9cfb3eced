//! `Cycle`: a watcher that is driven for a limited time, again and again. What `Reflector` and `Informer` share.

use crate::watcher::driver::Driver;
use crate::watcher::{Config, Event, Result};
use futures::StreamExt;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::Instant;

/// How long the watch of a cycle lasts where nothing else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer a cycle waits for the server to end the watch by itself, which leaves the connection for the next one.
const GRACE: Duration = Duration::from_millis(250);

pub(crate) struct Cycle<K> {
    driver: Driver<K>,
    /// How long the watch of a cycle lasts.
    timeout: Duration,
    /// The configuration's own timeout, for a stream without an end.
    endless: Option<Duration>,
    /// When the present cycle's watch is over; `None` until it has begun.
    deadline: Option<Instant>,
}

impl<K: Resource + DeserializeOwned + Send + 'static> Cycle<K> {
    pub(crate) fn new(api: Api<K>, config: Config) -> Self {
        let (timeout, endless) = (config.timeout.unwrap_or(DEFAULT_TIMEOUT), config.timeout);
        Self { driver: Driver::new(api, config), timeout, endless, deadline: None }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Begins a cycle: its watch lasts for the timeout from now, from the end of the wait after a failure, or from when the first
    /// list is complete.
    pub(crate) fn begin(&mut self) {
        self.deadline = None;
        self.driver.set_timeout(Some(self.timeout));
    }

    fn begin_watch(&mut self) {
        // A time that no clock reaches is no limit.
        let Some(end) = Instant::now().checked_add(self.timeout) else { return };
        self.driver.pause_at(end);
        self.deadline = end.checked_add(GRACE);
    }

    /// The next event of the cycle; `None` when its time is over. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<Event<K>>> {
        // Where events never cease nothing else would let other tasks run, or see that the time is over.
        tokio::task::coop::consume_budget().await;
        if self.deadline.is_none() && self.driver.is_synced() {
            // A cycle that did nothing but wait would pass for one in which nothing has happened.
            self.driver.waited().await;
            self.begin_watch();
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
            self.begin_watch();
        }
        event
    }

    /// The next event, without a limit of time: the server keeps each watch open for as long as for any watcher.
    pub(crate) fn poll_event(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Event<K>>>> {
        self.driver.set_timeout(self.endless);
        self.driver.poll_next_unpin(cx)
    }

    pub(crate) fn resource_version(&self) -> Option<&str> {
        self.driver.resource_version()
    }
}
