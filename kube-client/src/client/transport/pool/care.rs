//! The caretaker of a pool: the task that closes connections which are idle for too long, or which the server has closed.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, Sleep, sleep},
};

use super::{Pool, State};
use crate::client::clock;

/// The shortest time between two inspections, so that a busy pool wakes its caretaker at most once in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// The task of a pool. It runs while the pool has connections, and is aborted with the pool.
#[derive(Default)]
pub(super) struct Caretaker {
    task: Option<JoinHandle<()>>,
    waker: Option<Waker>,
    /// Whether a connection was added since the last inspection.
    is_notified: bool,
    inspected: Option<Instant>,
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Caretaker {
    /// Wakes the task because a connection was added to the pool. Starts the task unless it runs.
    pub(super) fn notify(&mut self, pool: &Arc<Pool>) {
        // The shutdown of a runtime ends the task that it runs.
        if self.task.as_ref().is_none_or(JoinHandle::is_finished) {
            if let Ok(runtime) = Handle::try_current() {
                (self.waker, self.inspected) = (None, None);
                self.is_notified = true;
                self.task = Some(runtime.spawn(take_care(Arc::downgrade(pool))));
            }
        } else if !std::mem::replace(&mut self.is_notified, true)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

/// Closes connections until none is left or the pool is dropped.
async fn take_care(pool: Weak<Pool>) {
    let mut timer = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        let Some(pool) = pool.upgrade() else { return Poll::Ready(()) };
        let idle_timeout = pool.settings.idle_timeout;
        let mut state = pool.state();
        state.poll_care(cx, timer.as_mut(), idle_timeout)
    })
    .await;
}

impl State {
    /// Inspects the connections when that is due. Ready when there are none.
    fn poll_care(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        idle_timeout: Option<Duration>,
    ) -> Poll<()> {
        loop {
            let now = Instant::now();
            let due = self.caretaker.inspected.map(|inspected| inspected + PAUSE);
            let next = if let Some(due) = due.filter(|due| *due > now) {
                due
            } else {
                self.caretaker.inspected = Some(now);
                self.caretaker.is_notified = false;
                let Some(next) = self.inspect(cx, now, idle_timeout) else {
                    self.caretaker.task = None;
                    return Poll::Ready(());
                };
                next
            };
            timer.as_mut().reset(next);
            if timer.as_mut().poll(cx).is_pending() {
                self.caretaker.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }

    /// Closes the connections that have been idle for the timeout or that the server has closed. Returns when the next
    /// connection reaches the timeout; `None` if no connection is left.
    ///
    /// No other task polls an idle HTTP/1.1 connection: this poll makes the end of its stream wake the caretaker.
    fn inspect(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        idle_timeout: Option<Duration>,
    ) -> Option<Instant> {
        let timeout = idle_timeout.unwrap_or(Duration::MAX);
        let expired = |since: Instant| now.duration_since(since) >= timeout;
        self.idle.retain_mut(|idle| !expired(idle.since) && idle.connection.is_open(cx));
        self.shared.retain(|shared| {
            shared.connection.is_open() && !shared.connection.idle_since().is_some_and(expired)
        });
        let idle = self.idle.first().map(|idle| idle.since);
        let shared = self.shared.iter().map(|shared| shared.connection.idle_since().unwrap_or(now));
        let oldest = idle.into_iter().chain(shared).min()?;
        Some(clock::after(oldest, timeout))
    }
}
