//! `OpenWatch`: an open watch and its health. This module must not decide the watcher's recovery; `step` decides it.

use super::step::{Ending, Input, Phase};
use kube_client::Error as ClientError;
use kube_client::api::EventStream;
use kube_client::core::{ObjectOrigin, WatchEvent};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// The time without progress after which a streaming list counts as stalled. Servers send initial events without
/// pauses.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(15);
/// After the stall limit, the stall timer runs again for this time, because events may have arrived while the caller did
/// not poll. If the caller receives an event in this time, the streaming list does not count as stalled.
const STALL_CONFIRMATION: Duration = Duration::from_secs(1);
/// The maximum delay between the deadline of the stall timer and the next poll. After a longer delay, the watch does not
/// count as stalled yet, because the caller did not poll in time.
const MAX_POLL_DELAY: Duration = Duration::from_millis(250);
/// A watch that ends within this time after its request, without an event, counts as [`Ending::Brief`].
const BRIEF_LIMIT: Duration = Duration::from_secs(1);
/// A watch that is open for this long counts as healthy, even if it has received no events. If a healthy
/// watch breaks, the watcher resumes it without a wait, because load balancers close silent connections. This
/// value limits the rate of such requests.
const HEALTHY_AGE: Duration = Duration::from_secs(10);

pub(super) struct OpenWatch<K> {
    pub(super) stream: EventStream<K>,
    /// The time at which the watch was requested, or at which its initial events ended.
    since: Instant,
    /// The [`Ending`] to report if the server ends the watch before [`BRIEF_LIMIT`] has passed.
    ending: Ending,
    /// The stall timer; `None` after the initial events are complete, and for a watch without initial events.
    stall: Option<Pin<Box<Sleep>>>,
    /// Whether the stall timer has fired and now measures [`STALL_CONFIRMATION`].
    confirming_stall: bool,
    /// The number of bytes of incomplete events at the last poll.
    buffered: usize,
    /// The start of the current pause of the stall timer; `None` while the timer runs, and if there is no timer.
    paused_since: Option<Instant>,
}

impl<K> OpenWatch<K> {
    /// `stall` is the time without progress after which the initial events count as stalled; `None` for a watch without
    /// initial events.
    pub(super) fn new(stream: EventStream<K>, requested_at: Instant, stall: Option<Duration>) -> Self {
        let stall = stall.map(|limit| Box::pin(tokio::time::sleep(limit)));
        Self {
            stream,
            since: requested_at,
            ending: Ending::Brief,
            stall,
            confirming_stall: false,
            buffered: 0,
            paused_since: None,
        }
    }

    /// Updates the ending and the stall timer after an event.
    pub(super) fn record_event(&mut self, event: &WatchEvent<K>) {
        self.ending = Ending::Worked;
        match event {
            WatchEvent::Bookmark(bookmark) if bookmark.ends_initial_events() => {
                (self.stall, self.since, self.ending) = (None, Instant::now(), Ending::AfterInitialEvents);
            }
            event if may_be_initial_event(event) => self.restart_stall_timer(),
            _ => {}
        }
    }

    /// Restarts the stall timer if the error reports that an initial event could not be decoded.
    pub(super) fn record_error(&mut self, error: &ClientError) {
        if let ClientError::Object(object) = error
            && object.origin == ObjectOrigin::Added
        {
            self.restart_stall_timer();
        }
    }

    /// Restarts the stall timer with the full limit.
    fn restart_stall_timer(&mut self) {
        self.confirming_stall = false;
        if let Some(timer) = &mut self.stall {
            timer.as_mut().reset(Instant::now() + STALL_LIMIT);
        }
    }

    /// Pauses the stall timer while the caller handles an event.
    pub(super) fn pause_stall_timer(&mut self) {
        self.paused_since = self.stall.is_some().then(Instant::now);
    }

    /// Resumes the stall timer: extends its deadline by the duration of the pause.
    pub(super) fn resume_stall_timer(&mut self) {
        if let Some(since) = self.paused_since.take()
            && let Some(timer) = &mut self.stall
        {
            let end = timer.deadline() + since.elapsed();
            timer.as_mut().reset(end);
        }
    }

    /// The input of the function `step` for the end of the watch.
    pub(super) fn input_for_end(&self) -> Input {
        let worked = self.since.elapsed() >= BRIEF_LIMIT;
        Input::Ended(if worked { Ending::Worked } else { self.ending })
    }

    /// The phase of the watch, which depends on its age.
    pub(super) fn phase(&self) -> Phase {
        if self.since.elapsed() >= HEALTHY_AGE { Phase::Healthy } else { Phase::Open }
    }

    /// The phase in which `error` ended the watch. A watch that timed out never counts as healthy.
    pub(super) fn phase_at_error(&self, error: &ClientError) -> Phase {
        if matches!(error, ClientError::Timeout { .. }) { Phase::Open } else { self.phase() }
    }

    /// Checks whether the initial events have stalled. Ready if the server made no progress during
    /// [`STALL_LIMIT`] and the [`STALL_CONFIRMATION`] after it. If the caller did not poll in time, the
    /// confirmation starts again. Call this only after the stream returned `Pending`.
    pub(super) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if self.stall.is_none() {
            return Poll::Pending;
        }
        let before = std::mem::replace(&mut self.buffered, self.stream.buffered_bytes());
        if self.buffered > 0 && self.buffered != before {
            self.restart_stall_timer();
        }
        let Some(timer) = &mut self.stall else { return Poll::Pending };
        loop {
            ready!(timer.as_mut().poll(cx));
            let late = timer.deadline().elapsed() > MAX_POLL_DELAY;
            if self.confirming_stall && !late {
                return Poll::Ready(Input::Stalled);
            }
            self.confirming_stall = true;
            timer.as_mut().reset(Instant::now() + STALL_CONFIRMATION);
        }
    }
}

/// Whether an event may be an initial event. A bookmark with an empty kind replaces an event that a filter dropped. The
/// dropped event may be an initial event.
fn may_be_initial_event<K>(event: &WatchEvent<K>) -> bool {
    match event {
        WatchEvent::Added(_) => true,
        WatchEvent::Bookmark(bookmark) => bookmark.types.kind.is_empty(),
        _ => false,
    }
}
