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

use super::connection::Connection;
use crate::client::clock;

/// Where a connection leads, since which change of certificates, and who watches it: only equal ones stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolKey {
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
    idle_connections: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    /// The one that has waited the longest comes first.
    connections: Vec<Idle>,
    generation: u64,
    /// Closes those that have waited for too long, as long as there are any.
    reaper: Option<AbortHandle>,
}

struct Idle {
    since: Instant,
    key: PoolKey,
    connection: Connection,
}

impl IdleConnections {
    /// Drops what has ended with its runtime, which is never asked for again. Done when a new connection is needed, which
    /// takes longer than a look at all the others.
    fn forget_orphans(&mut self, key: &PoolKey) {
        self.connections.retain_mut(|idle| idle.key.runtime == key.runtime || idle.connection.is_ready());
    }
}

impl std::fmt::Debug for IdleConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} connections", self.connections.len())
    }
}

impl Pool {
    pub(super) fn new(keep: Option<Duration>) -> Self {
        Self { keep, idle_connections: Mutex::default() }
    }

    /// The way to what a URI names.
    pub(super) fn key(&self, uri: &Uri) -> PoolKey {
        let generation = self.idle_connections().generation;
        let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
        PoolKey { scheme: uri.scheme().cloned(), authority: uri.authority().cloned(), generation, runtime }
    }

    /// A connection that can be used at once: the one that was used last, so that spare ones grow old.
    pub(super) fn take(&self, key: &PoolKey) -> Option<Connection> {
        loop {
            let mut idle = {
                let mut idle_connections = self.idle_connections();
                let Some(at) = idle_connections.connections.iter().rposition(|idle| idle.key == *key) else {
                    idle_connections.forget_orphans(key);
                    return None;
                };
                idle_connections.connections.remove(at)
            };
            let fresh = self.keep.is_none_or(|keep| idle.since.elapsed() < keep);
            if fresh && idle.connection.is_ready() {
                return Some(idle.connection);
            }
        }
    }

    /// Forgets all connections, those in use when they come back.
    pub(super) fn renew(&self) {
        let old = {
            let mut idle_connections = self.idle_connections();
            idle_connections.generation += 1;
            std::mem::take(&mut idle_connections.connections)
        };
        drop(old);
    }

    fn put(self: &Arc<Self>, key: PoolKey, connection: Connection) {
        let mut idle_connections = self.idle_connections();
        if key.generation != idle_connections.generation {
            return;
        }
        idle_connections.connections.push(Idle { since: Instant::now(), key, connection });
        // One that went with its runtime is no reaper any more.
        let at_work = idle_connections.reaper.as_ref().is_some_and(|reaper| !reaper.is_finished());
        if let (Some(keep), false, Ok(runtime)) = (self.keep, at_work, Handle::try_current()) {
            let reaper = runtime.spawn(reap(Arc::downgrade(self), keep));
            idle_connections.reaper = Some(reaper.abort_handle());
        }
    }

    /// A panic cannot happen under this lock.
    fn idle_connections(&self) -> MutexGuard<'_, IdleConnections> {
        self.idle_connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(reaper) = self.idle_connections().reaper.take() {
            reaper.abort();
        }
    }
}

/// Closes connections that have waited for too long, until there are none.
async fn reap(pool: Weak<Pool>, keep: Duration) {
    loop {
        let oldest = {
            let Some(pool) = pool.upgrade() else { return };
            let mut idle_connections = pool.idle_connections();
            let now = Instant::now();
            let old = idle_connections
                .connections
                .iter()
                .take_while(|idle| now.duration_since(idle.since) >= keep)
                .count();
            drop(idle_connections.connections.drain(..old));
            let Some(oldest) = idle_connections.connections.first() else {
                idle_connections.reaper = None;
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
    connection: Option<Connection>,
    key: PoolKey,
    pool: Arc<Pool>,
}

impl Pooled {
    pub(super) fn new(incoming: Incoming, connection: Connection, key: PoolKey, pool: Arc<Pool>) -> Self {
        Self { incoming, connection: Some(connection), key, pool }
    }

    fn give_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_ready()
        {
            self.pool.put(self.key.clone(), connection);
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
            && let Some(connection) = &mut this.connection
        {
            connection.drive(cx);
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &frame {
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Err(_))) => this.connection = None,
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
