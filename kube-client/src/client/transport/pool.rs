//! `Pool`: connections that wait for another request, and the bodies that bring them back.

use bytes::Bytes;
use http::{Uri, uri::Authority, uri::Scheme};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::{Handle, Id},
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::link::Link;
use crate::client::clock;

/// Where a connection leads, since which change of certificates, and who watches it: only equal ones stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    generation: u64,
    /// The runtime that notices what arrives. Another one's tasks would wait for ever while nobody runs it.
    runtime: Option<Id>,
}

/// Connections that nobody uses.
#[derive(Debug)]
pub(super) struct Pool {
    /// For how long they are kept; `None`: for as long as the server keeps them.
    keep: Option<Duration>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// The one that has waited the longest comes first.
    links: Vec<Idle>,
    generation: u64,
    /// Closes those that have waited for too long, as long as there are any.
    reaper: Option<AbortHandle>,
}

struct Idle {
    since: Instant,
    way: Way,
    link: Link,
}

impl Waiting {
    /// Drops what has ended with its runtime, which is never asked for again. Done when a new connection is needed, which
    /// takes longer than a look at all the others.
    fn forget_orphans(&mut self, way: &Way) {
        self.links.retain_mut(|idle| idle.way.runtime == way.runtime || idle.link.is_ready());
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} connections", self.links.len())
    }
}

impl Pool {
    pub(super) fn new(keep: Option<Duration>) -> Self {
        Self { keep, waiting: Mutex::default() }
    }

    /// The way to what a URI names.
    pub(super) fn way(&self, uri: &Uri) -> Way {
        let generation = self.waiting().generation;
        let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
        Way { scheme: uri.scheme().cloned(), authority: uri.authority().cloned(), generation, runtime }
    }

    /// A connection that can be used at once: the one that was used last, so that spare ones grow old.
    pub(super) fn take(&self, way: &Way) -> Option<Link> {
        loop {
            let mut idle = {
                let mut waiting = self.waiting();
                let Some(at) = waiting.links.iter().rposition(|idle| idle.way == *way) else {
                    waiting.forget_orphans(way);
                    return None;
                };
                waiting.links.remove(at)
            };
            let fresh = self.keep.is_none_or(|keep| idle.since.elapsed() < keep);
            if fresh && idle.link.is_ready() {
                return Some(idle.link);
            }
        }
    }

    /// Forgets all connections, those in use when they come back.
    pub(super) fn renew(&self) {
        let old = {
            let mut waiting = self.waiting();
            waiting.generation += 1;
            std::mem::take(&mut waiting.links)
        };
        drop(old);
    }

    fn put(self: &Arc<Self>, way: Way, link: Link) {
        let mut waiting = self.waiting();
        if way.generation != waiting.generation {
            return;
        }
        waiting.links.push(Idle { since: Instant::now(), way, link });
        // One that went with its runtime is no reaper any more.
        let at_work = waiting.reaper.as_ref().is_some_and(|reaper| !reaper.is_finished());
        if let (Some(keep), false, Ok(runtime)) = (self.keep, at_work, Handle::try_current()) {
            let reaper = runtime.spawn(reap(Arc::downgrade(self), keep));
            waiting.reaper = Some(reaper.abort_handle());
        }
    }

    /// A panic cannot happen under this lock.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.waiting().reaper.take() {
            reaper.abort();
        }
    }
}

/// Closes connections that have waited for too long, until there are none.
async fn reap(pool: Weak<Pool>, keep: Duration) {
    loop {
        let oldest = {
            let Some(pool) = pool.upgrade() else { return };
            let mut waiting = pool.waiting();
            let now = Instant::now();
            let old = waiting.links.iter().take_while(|idle| now.duration_since(idle.since) >= keep).count();
            drop(waiting.links.drain(..old));
            let Some(oldest) = waiting.links.first() else {
                waiting.reaper = None;
                return;
            };
            oldest.since
        };
        sleep_until(clock::after(oldest, keep)).await;
    }
}

/// A response's body. It drives the connection that it comes over, and gives it to the pool at its end.
pub(super) struct Pooled {
    incoming: Incoming,
    /// Until the end.
    link: Option<Link>,
    way: Way,
    pool: Arc<Pool>,
}

impl Pooled {
    pub(super) fn new(incoming: Incoming, link: Link, way: Way, pool: Arc<Pool>) -> Self {
        Self { incoming, link: Some(link), way, pool }
    }

    fn give_back(&mut self) {
        if let Some(mut link) = self.link.take()
            && link.is_ready()
        {
            self.pool.put(self.way.clone(), link);
        }
    }
}

impl HttpBody for Pooled {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut frame = Pin::new(&mut this.incoming).poll_frame(cx);
        if frame.is_pending()
            && let Some(link) = &mut this.link
        {
            link.drive(cx);
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &frame {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.link = None,
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What is known to be empty need not be read. Whatever else is dropped early takes its connection with it.
impl Drop for Pooled {
    fn drop(&mut self) {
        // Outside of a runtime a connection cannot even be looked at.
        if self.incoming.is_end_stream() && Handle::try_current().is_ok() {
            self.give_back();
        }
    }
}
