//! `Pool`: idle connections, and the response bodies that return their connections to the pool.

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

use super::h1::Connection;
use crate::client::clock;

/// The pool key of a connection: server, generation of the client certificate, and runtime. A request uses only an
/// idle connection with an equal key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolKey {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    generation: u64,
    /// The runtime whose I/O driver the socket is registered with. While this runtime is not polled, the socket wakes
    /// no task of another runtime.
    runtime: Option<Id>,
}

/// The idle connections of a client.
#[derive(Debug)]
pub(super) struct Pool {
    /// How long a connection may be idle; `None` keeps it until the server closes it.
    idle_timeout: Option<Duration>,
    idle_connections: Mutex<IdleConnections>,
}

#[derive(Default)]
struct IdleConnections {
    /// Sorted by `Idle::since`, oldest first.
    connections: Vec<Idle>,
    generation: u64,
    /// The task that closes connections after `idle_timeout`. It ends when no idle connection is left.
    reaper: Option<AbortHandle>,
}

/// An idle connection.
struct Idle {
    since: Instant,
    key: PoolKey,
    connection: Connection,
}

impl IdleConnections {
    /// Drops the closed connections of other runtimes. No request uses the key of a runtime that was shut down, so
    /// `take` never removes the connections with that key. Called before a new connection is opened, which takes longer
    /// than this scan.
    fn drop_closed_of_other_runtimes(&mut self, key: &PoolKey) {
        self.connections.retain_mut(|idle| idle.key.runtime == key.runtime || idle.connection.is_ready());
    }
}

impl std::fmt::Debug for IdleConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} connections", self.connections.len())
    }
}

impl Pool {
    pub(super) fn new(idle_timeout: Option<Duration>) -> Self {
        Self { idle_timeout, idle_connections: Mutex::default() }
    }

    /// The pool key for requests to `uri` on the current runtime.
    pub(super) fn key(&self, uri: &Uri) -> PoolKey {
        let generation = self.idle_connections().generation;
        let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
        PoolKey { scheme: uri.scheme().cloned(), authority: uri.authority().cloned(), generation, runtime }
    }

    /// Removes the most recently used open connection with this key. Older connections stay idle, so that surplus
    /// connections reach the idle timeout.
    pub(super) fn take(&self, key: &PoolKey) -> Option<Connection> {
        loop {
            let mut idle = {
                let mut idle_connections = self.idle_connections();
                let Some(at) = idle_connections.connections.iter().rposition(|idle| idle.key == *key) else {
                    idle_connections.drop_closed_of_other_runtimes(key);
                    return None;
                };
                idle_connections.connections.remove(at)
            };
            let fresh = self.idle_timeout.is_none_or(|timeout| idle.since.elapsed() < timeout);
            if fresh && idle.connection.is_ready() {
                return Some(idle.connection);
            }
        }
    }

    /// Increments the generation and closes all idle connections. Connections in use have the old generation, and are
    /// closed when their bodies end.
    pub(super) fn renew(&self) {
        let old = {
            let mut idle_connections = self.idle_connections();
            idle_connections.generation += 1;
            std::mem::take(&mut idle_connections.connections)
        };
        drop(old);
    }

    /// Adds an idle connection, and starts the task that closes idle connections if it does not run.
    fn put(self: &Arc<Self>, key: PoolKey, connection: Connection) {
        let mut idle_connections = self.idle_connections();
        if key.generation != idle_connections.generation {
            return;
        }
        idle_connections.connections.push(Idle { since: Instant::now(), key, connection });
        // The shutdown of a runtime ends the reaper that it runs.
        let reaper_runs = idle_connections.reaper.as_ref().is_some_and(|reaper| !reaper.is_finished());
        if let (Some(idle_timeout), false, Ok(runtime)) =
            (self.idle_timeout, reaper_runs, Handle::try_current())
        {
            let reaper = runtime.spawn(reap(Arc::downgrade(self), idle_timeout));
            idle_connections.reaper = Some(reaper.abort_handle());
        }
    }

    /// Ignores poisoning: no code panics while it holds this lock.
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

/// Closes connections after the idle timeout. Returns when no idle connection is left.
async fn reap(pool: Weak<Pool>, idle_timeout: Duration) {
    loop {
        let oldest = {
            let Some(pool) = pool.upgrade() else { return };
            let mut idle_connections = pool.idle_connections();
            let now = Instant::now();
            let old = idle_connections
                .connections
                .iter()
                .take_while(|idle| now.duration_since(idle.since) >= idle_timeout)
                .count();
            drop(idle_connections.connections.drain(..old));
            let Some(oldest) = idle_connections.connections.first() else {
                idle_connections.reaper = None;
                return;
            };
            oldest.since
        };
        sleep_until(clock::after(oldest, idle_timeout)).await;
    }
}

/// A response body. It polls its connection, and returns the connection to the pool at the end of the body.
pub(super) struct Pooled {
    incoming: Incoming,
    /// `None` after the end of the body or an error.
    connection: Option<Connection>,
    key: PoolKey,
    pool: Arc<Pool>,
}

impl Pooled {
    pub(super) fn new(incoming: Incoming, connection: Connection, key: PoolKey, pool: Arc<Pool>) -> Self {
        Self { incoming, connection: Some(connection), key, pool }
    }

    fn return_to_pool(&mut self) {
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
            Poll::Ready(None) => this.return_to_pool(),
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

/// Returns the connection to the pool if the body is complete or empty. Otherwise the connection is closed, because
/// the rest of the body would precede the next response.
impl Drop for Pooled {
    fn drop(&mut self) {
        // Polling outside of a runtime can panic: a write that blocks starts a tokio timer.
        if self.incoming.is_end_stream() && Handle::try_current().is_ok() {
            self.return_to_pool();
        }
    }
}
