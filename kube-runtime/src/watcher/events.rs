//! `Events`: a watch that is open, and how healthy it is.

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

/// For how long a server may send nothing while it owes its present state: it sends one object after the other.
pub(super) const STALL: Duration = Duration::from_secs(15);
/// For how long a caller has to have waited for an event, after that time, for the silence to be the server's: a caller that did
/// something else meanwhile has not seen what has arrived.
const ATTENTION: Duration = Duration::from_secs(1);
/// A timer that is looked at later than this after its time was not waited for.
const LATE: Duration = Duration::from_millis(250);
/// A watch that ends without an event and sooner than this after it was asked for was not worth opening.
const BRIEF: Duration = Duration::from_secs(1);
/// A watch that was open for this long is healthy, although nothing happened: load balancers cut silent connections. Long
/// enough that watches that break at this age do not burden the server, however often they start.
const HEALTHY: Duration = Duration::from_secs(10);

/// The events of a watch that is open.
pub(super) struct Events<K> {
    pub(super) stream: EventStream<K>,
    /// The time of the request, or of the end of the initial events.
    since: Instant,
    /// What it would be if the server ended it now; with time, it has worked.
    ending: Ending,
    /// For how long the server may still be silent, while it owes its present state.
    stall: Option<Pin<Box<Sleep>>>,
    /// Whether the time of the stall timer is over, and only the caller's attention remains to be seen.
    overdue: bool,
    /// How many bytes of incomplete events there were when that was last looked at.
    buffered: usize,
    /// Since when nobody has asked for an event, while the server owes its state.
    unasked: Option<Instant>,
}

impl<K> Events<K> {
    /// `stall`: for how long the server may send nothing while it owes its present state.
    pub(super) fn new(stream: EventStream<K>, asked_at: Instant, stall: Option<Duration>) -> Self {
        let stall = stall.map(|limit| Box::pin(tokio::time::sleep(limit)));
        Self {
            stream,
            since: asked_at,
            ending: Ending::Brief,
            stall,
            overdue: false,
            buffered: 0,
            unasked: None,
        }
    }

    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &WatchEvent<K>) {
        self.ending = Ending::Worked;
        match event {
            WatchEvent::Bookmark(bookmark) if bookmark.ends_initial_events() => {
                (self.stall, self.since, self.ending) = (None, Instant::now(), Ending::AfterState);
            }
            event if is_of_present_state(event) => self.restart_stall(),
            _ => {}
        }
    }

    /// Takes note of an error.
    pub(super) fn note_error(&mut self, error: &ClientError) {
        if let ClientError::Object(object) = error
            && object.origin == ObjectOrigin::Added
        {
            self.restart_stall();
        }
    }

    fn restart_stall(&mut self) {
        self.overdue = false;
        if let Some(timer) = &mut self.stall {
            timer.as_mut().reset(Instant::now() + STALL);
        }
    }

    /// Pauses the stall timer while the caller handles an event.
    pub(super) fn leave(&mut self) {
        self.unasked = self.stall.is_some().then(Instant::now);
    }

    /// Extends the stall timer by that pause, which is no silence of the server.
    pub(super) fn resume(&mut self) {
        if let Some(since) = self.unasked.take()
            && let Some(timer) = &mut self.stall
        {
            let end = timer.deadline() + since.elapsed();
            timer.as_mut().reset(end);
        }
    }

    /// What it comes to if the server ends it now.
    pub(super) fn ended(&self) -> Input {
        let worked = self.since.elapsed() >= BRIEF;
        Input::Ended(if worked { Ending::Worked } else { self.ending })
    }

    /// Whether it has been open for so long that silence does not speak against it.
    pub(super) fn phase(&self) -> Phase {
        if self.since.elapsed() >= HEALTHY { Phase::Healthy } else { Phase::Open }
    }

    /// How healthy it was until `error`. A server that has to be given up was not, however long that took.
    pub(super) fn phase_until(&self, error: &ClientError) -> Phase {
        if matches!(error, ClientError::Timeout { .. }) { Phase::Open } else { self.phase() }
    }

    /// Waits until the server has been silent for too long, although the caller has waited for it. The stream has just been
    /// polled in vain.
    pub(super) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if self.stall.is_none() {
            return Poll::Pending;
        }
        let before = std::mem::replace(&mut self.buffered, self.stream.buffered_bytes());
        if self.buffered > 0 && self.buffered != before {
            self.restart_stall();
        }
        let Some(timer) = &mut self.stall else { return Poll::Pending };
        loop {
            ready!(timer.as_mut().poll(cx));
            let late = timer.deadline().elapsed() > LATE;
            if self.overdue && !late {
                return Poll::Ready(Input::Stalled);
            }
            self.overdue = true;
            timer.as_mut().reset(Instant::now() + ATTENTION);
        }
    }
}

/// Whether an event belongs to the initial events. A server that does not support `sendInitialEvents` sends changes only. An
/// initial event that a filter dropped arrives as a bookmark without a type.
fn is_of_present_state<K>(event: &WatchEvent<K>) -> bool {
    match event {
        WatchEvent::Added(_) => true,
        WatchEvent::Bookmark(bookmark) => bookmark.types.kind.is_empty(),
        _ => false,
    }
}
