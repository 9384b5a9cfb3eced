//! The reapers of a pool: the tasks that remove connections from the pool. They remove a connection that has been idle for
//! too long, that is too old, or that the server has closed.
//!
//! Each runtime has its own reaper, because a runtime that is not polled runs no task.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    runtime::{Handle, Id},
    task::JoinHandle,
    time::{Instant, Sleep, sleep},
};

use super::{Pool, PoolSettings, State};
use crate::client::clock;

/// The shortest time between two inspections, so that a busy pool wakes a reaper at most once in this time.
const MIN_INSPECTION_INTERVAL: Duration = Duration::from_secs(1);

/// The reapers of a pool: one for each runtime that has connections.
#[derive(Default)]
pub(super) struct Reapers(Vec<Reaper>);

/// The task for the connections of a runtime. It runs while the runtime has connections. It is aborted when the
/// pool is dropped.
struct Reaper {
    runtime: Option<Id>,
    task: JoinHandle<()>,
    waker: Option<Waker>,
    /// Whether a connection was added since the last inspection.
    is_notified: bool,
    /// The time of the last inspection.
    inspected: Option<Instant>,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reapers {
    /// Wakes the reaper of a runtime because a connection was added to the pool. Starts the reaper if it does not run.
    pub(super) fn notify(&mut self, pool: &Arc<Pool>, runtime: Option<Id>) {
        // The task of a reaper ends when its runtime is shut down.
        self.0.retain(|reaper| !reaper.task.is_finished());
        if let Some(reaper) = self.get_mut(runtime) {
            if !std::mem::replace(&mut reaper.is_notified, true)
                && let Some(waker) = &reaper.waker
            {
                waker.wake_by_ref();
            }
        } else if let Ok(handle) = Handle::try_current() {
            let task = handle.spawn(run_reaper(Arc::downgrade(pool), runtime));
            self.0.push(Reaper { runtime, task, waker: None, is_notified: true, inspected: None });
        }
    }

    fn get_mut(&mut self, runtime: Option<Id>) -> Option<&mut Reaper> {
        self.0.iter_mut().find(|reaper| reaper.runtime == runtime)
    }

    /// Whether a reaper runs for the connections of a runtime.
    fn has_running_reaper(&self, runtime: Option<Id>) -> bool {
        self.0.iter().any(|reaper| reaper.runtime == runtime && !reaper.task.is_finished())
    }

    /// The waker of a runtime's reaper. Each poll of a connection replaces the waker of the previous poll. So
    /// a poll of an idle connection must use this waker: otherwise the reaper would not wake when the server
    /// closes the connection.
    pub(super) fn waker(&self, runtime: Option<Id>) -> &Waker {
        let reaper = self.0.iter().find(|reaper| reaper.runtime == runtime);
        reaper.and_then(|reaper| reaper.waker.as_ref()).unwrap_or(Waker::noop())
    }
}

/// Inspects the connections of a runtime again and again, until the runtime has no connection left or the pool is dropped.
async fn run_reaper(pool: Weak<Pool>, runtime: Option<Id>) {
    let mut timer = pin!(sleep(Duration::ZERO));
    poll_fn(|cx| {
        let Some(pool) = pool.upgrade() else { return Poll::Ready(()) };
        let settings = pool.settings;
        let mut state = pool.state();
        state.poll_reaper(cx, timer.as_mut(), &settings, runtime)
    })
    .await;
}

impl State {
    /// Inspects the connections of a runtime if the next inspection is due. Ready when the runtime has no connections.
    fn poll_reaper(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        settings: &PoolSettings,
        runtime: Option<Id>,
    ) -> Poll<()> {
        loop {
            let now = Instant::now();
            let Some(reaper) = self.reapers.get_mut(runtime) else { return Poll::Ready(()) };
            let due = reaper.inspected.map(|inspected| inspected + MIN_INSPECTION_INTERVAL);
            let next = if let Some(due) = due.filter(|due| *due > now) {
                due
            } else {
                reaper.inspected = Some(now);
                reaper.is_notified = false;
                let Some(next) = self.inspect_connections(cx, now, settings, runtime) else {
                    self.reapers.0.retain(|reaper| reaper.runtime != runtime);
                    return Poll::Ready(());
                };
                next
            };
            timer.as_mut().reset(next);
            if timer.as_mut().poll(cx).is_pending() {
                if let Some(reaper) = self.reapers.get_mut(runtime) {
                    reaper.waker = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
        }
    }

    /// Removes a runtime's connections that have been idle for the timeout, that are too old, or that the server has
    /// closed. Also removes closed HTTP/1.1 connections of runtimes without a reaper, and all closed HTTP/2
    /// connections. A connection that is too old stays open for its in-flight requests. Returns the time at which the
    /// next connection of the runtime reaches a limit; `None` if the runtime has no connection left.
    ///
    /// An idle HTTP/1.1 connection has no task of its own. This function polls the idle connections of the runtime with
    /// `cx`, so that the reaper wakes when the server closes one of them.
    fn inspect_connections(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        settings: &PoolSettings,
        runtime: Option<Id>,
    ) -> Option<Instant> {
        let timeout = settings.idle_timeout.unwrap_or(Duration::MAX);
        let max_age = settings.max_age.unwrap_or(Duration::MAX);
        let reached = |since: Instant, limit| now.duration_since(since) >= limit;
        let Self { idle, shared, reapers, .. } = self;
        idle.retain_mut(|idle| {
            if idle.key.runtime != runtime {
                return reapers.has_running_reaper(idle.key.runtime) || idle.connection.is_ready();
            }
            !reached(idle.since, timeout)
                && !reached(idle.connection.opened_at(), max_age)
                && idle.connection.is_ready_with_context(cx)
        });
        shared.retain(|shared| {
            let connection = &shared.connection;
            let is_own = shared.key.runtime == runtime;
            let expired = connection.idle_since().is_some_and(|since| reached(since, timeout))
                || reached(connection.opened_at(), max_age);
            connection.is_open() && !(is_own && expired)
        });
        let idle = idle.iter().filter(|idle| idle.key.runtime == runtime);
        let idle = idle.map(|idle| (idle.since, idle.connection.opened_at()));
        let shared = shared.iter().filter(|shared| shared.key.runtime == runtime);
        let shared = shared
            .map(|shared| (shared.connection.idle_since().unwrap_or(now), shared.connection.opened_at()));
        let limits = idle.chain(shared).map(|(since, opened)| {
            clock::add_or_far_future(since, timeout).min(clock::add_or_far_future(opened, max_age))
        });
        limits.min()
    }
}
