//! `SyncTimer`: notices that the first snapshots of a controller's kinds take too long. It only reports; the `watcher`
//! retries.

use super::Error;
use super::gate::Gates;
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// Reports each store whose first snapshot is not complete within the time limit.
pub(super) struct SyncTimer {
    limit: Duration,
    state: State,
    /// The stores that are not reported yet, and whose first snapshot is not complete.
    incomplete: VecDeque<String>,
}

/// The state of the timer.
enum State {
    /// The controller has not been polled.
    New,
    Running(Pin<Box<Sleep>>),
    /// All gates have been open at the same time, or the timer has fired.
    Ended,
}

impl SyncTimer {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, state: State::New, incomplete: VecDeque::new() }
    }

    /// Ends the timer. The dispatcher calls this method when all gates are open. The first snapshots are then
    /// complete.
    pub(super) fn end(&mut self) {
        self.state = State::Ended;
    }

    /// Returns `Pending` before the time limit. After the time limit, each call returns an error that names
    /// one incomplete store. After the last of these errors, returns `Pending` again.
    pub(super) fn poll<E: std::error::Error + 'static>(
        &mut self,
        gates: &Gates,
        cx: &mut Context<'_>,
    ) -> Poll<Error<E>> {
        if matches!(self.state, State::New) {
            self.state = State::Running(Box::pin(tokio::time::sleep(self.limit)));
        }
        if let State::Running(timer) = &mut self.state
            && timer.as_mut().poll(cx).is_ready()
        {
            self.state = State::Ended;
            self.incomplete = gates.incomplete_stores().into();
            if !self.incomplete.is_empty() {
                let (stores, limit) = (&self.incomplete, self.limit);
                tracing::warn!(?stores, ?limit, "no reconcile has started: lists are not complete");
            }
        }
        match self.incomplete.pop_front() {
            Some(resource) => Poll::Ready(Error::SyncTimeout { resource, limit: self.limit }),
            None => Poll::Pending,
        }
    }
}
