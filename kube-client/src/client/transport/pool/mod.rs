//! `Pool`: the idle HTTP/1.1 connections and the HTTP/2 connections of a client, and the dials that are in progress.
//!
//! This module must not open connections: the transport does.

mod reaper;
mod returning_body;
mod select;

pub(super) use returning_body::ReturningBody;
pub(super) use select::{Demand, RequestClass};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use http::{Uri, uri::Authority, uri::Scheme};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};
use tokio::{
    runtime::{Handle, Id},
    sync::{Notify, futures::Notified},
    task::JoinHandle,
    time::Instant,
};

use self::{
    reaper::Reapers,
    select::{Candidate, capacity, protocol, select},
};
use super::{
    failure::ConnectFailure,
    h1, h2,
    tls::{Offer, Protocol},
};

/// The maximum number of idle HTTP/1.1 connections. A further idle connection replaces the connection that has been
/// idle for the longest time.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// The key of a connection in the pool. A request uses only connections whose key is equal to the key of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolKey {
    server: ServerKey,
    /// The value of `State::generation` when the key was made.
    generation: u64,
    /// The tokio runtime in whose I/O driver the socket is registered. The socket wakes tasks only while this runtime is
    /// polled.
    runtime: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ServerKey {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSettings {
    /// The maximum idle time of a connection; `None` is no limit.
    pub(crate) idle_timeout: Option<Duration>,
    /// The age after which a connection gets no further requests, and is closed when it is idle; `None` is no limit.
    pub(crate) max_age: Option<Duration>,
    /// Whether HTTP/2 is offered to the server.
    pub(crate) offers_http2: bool,
}

/// The connections that requests can take, and the dials that are in progress.
#[derive(Debug)]
pub(super) struct Pool {
    settings: PoolSettings,
    state: Mutex<State>,
    /// The notifications of the two values of [`RequestClass`]: first `Calls`, then `Watches`. A notification
    /// is sent when a stream of an HTTP/2 connection of its class becomes free.
    freed: [Arc<Notify>; 2],
}

/// The duration of the pause after a failed dial. During the pause, [`Pool::dial_further_connection`] does
/// nothing, and requests share the open connections.
const FURTHER_DIAL_PAUSE: Duration = Duration::from_secs(10);
/// kube-apiserver's default limit on the concurrent streams of a connection.
const DEFAULT_MAX_STREAMS: usize = 100;

#[derive(Default)]
struct State {
    /// The idle HTTP/1.1 connections, sorted by `IdleConnection::since`, oldest first.
    idle: Vec<IdleConnection>,
    /// The HTTP/2 connections, oldest first.
    shared: Vec<MultiplexedConnection>,
    dials: Vec<RunningDial>,
    /// The time at which a dial in a task of [`Pool::continue_dial_in_task`] last failed.
    dial_failed: Option<Instant>,
    /// The limit on the concurrent streams of an earlier connection; see [`State::lease_stream`].
    max_streams: Option<usize>,
    /// The server whose last connection has negotiated HTTP/1.1 although HTTP/2 was offered. Requests to this server use
    /// HTTP/1.1 connections, and do not wait for a shared dial. Further dials still offer HTTP/2, which the server may
    /// support after a restart.
    http1_server: Option<ServerKey>,
    /// The number of calls of [`Pool::start_generation`].
    generation: u64,
    reapers: Reapers,
}

/// An idle HTTP/1.1 connection.
struct IdleConnection {
    since: Instant,
    key: PoolKey,
    connection: h1::Connection,
}

/// An HTTP/2 connection.
struct MultiplexedConnection {
    key: PoolKey,
    class: RequestClass,
    connection: Arc<h2::Connection>,
}

/// A dial that the waiting requests with the same key and class share. The dial is cancelled when all these requests are
/// dropped, unless the dial was passed to [`Pool::continue_dial_in_task`].
pub(super) type SharedDial = Shared<BoxFuture<'static, DialResult>>;
pub(super) type DialResult = Result<NewConnection, ConnectFailure>;

/// A dial. Requests with this key and class share the dial.
struct RunningDial {
    key: PoolKey,
    class: RequestClass,
    dial: WeakShared<BoxFuture<'static, DialResult>>,
    /// The task that continues the dial after its requests were dropped.
    task: Option<DialTask>,
}

/// The task of [`Pool::continue_dial_in_task`]. It is aborted when the pool is dropped.
struct DialTask(JoinHandle<()>);

impl Drop for DialTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A new connection.
#[derive(Clone)]
pub(super) enum NewConnection {
    /// A connection for any of the waiting requests; `None` after a request has taken it.
    Http1(Arc<Mutex<Option<h1::Connection>>>),
    Http2(Arc<h2::Connection>),
}

/// An open connection of the pool that a request has taken.
pub(super) enum TakenConnection {
    Http1(h1::Connection),
    Http2 {
        lease: h2::StreamLease,
        /// Whether a further connection should be dialled for later requests, because the open connections are busy.
        wants_further_connection: bool,
    },
}

/// The kind of dial that a request needs if no connection of the pool is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DialKind {
    /// A dial that all waiting requests of a class share. It offers both protocols.
    Shared,
    /// A dial for this request alone.
    Own(Offer),
}

impl State {
    /// Drops the closed HTTP/1.1 connections of other runtimes, and all closed HTTP/2 connections. `take_idle` never
    /// removes the connections of a runtime that was shut down, because no request has their key. This function runs
    /// before a dial, which takes longer than this scan.
    fn drop_closed_connections_of_other_runtimes(&mut self, key: &PoolKey) {
        let Self { idle, reapers, .. } = self;
        idle.retain_mut(|idle| {
            let runtime = idle.key.runtime;
            let waker = reapers.waker(runtime);
            runtime == key.runtime || idle.connection.is_ready_with_context(&mut Context::from_waker(waker))
        });
        self.shared.retain(|shared| shared.connection.is_open());
    }

    /// Reserves a stream of an open connection. If no connection has capacity, returns `None`, and records the server's
    /// limit on concurrent streams for the next dial.
    fn lease_stream(
        &mut self,
        key: &PoolKey,
        class: RequestClass,
        max_age: Option<Duration>,
    ) -> Option<TakenConnection> {
        self.shared.retain(|shared| shared.connection.is_open());
        let now = max_age.map(|_| Instant::now());
        let candidates = self.shared.iter().map(|shared| (shared.key == *key).then(|| shared.candidate(now)));
        let Some(selected) = select(class, max_age, candidates) else {
            self.max_streams =
                self.shared.last().map(|last| last.connection.max_streams()).or(self.max_streams);
            return None;
        };
        let lease = self.shared.get(selected.index)?.connection.lease_stream();
        Some(TakenConnection::Http2 { lease, wants_further_connection: selected.wants_further_connection })
    }

    /// Returns HTTP/1.1 if this server has negotiated HTTP/1.1 although HTTP/2 was offered; otherwise `None`.
    fn known_protocol(&self, scheme: Option<&Scheme>, authority: Option<&Authority>) -> Option<Protocol> {
        let server = self.http1_server.as_ref()?;
        (server.scheme.as_ref() == scheme && server.authority.as_ref() == authority)
            .then_some(Protocol::Http1)
    }
}

impl MultiplexedConnection {
    fn candidate(&self, now: Option<Instant>) -> Candidate {
        Candidate {
            class: self.class,
            streams: self.connection.stream_count(),
            max_streams: self.connection.max_streams(),
            age: now.map_or(Duration::ZERO, |now| now.duration_since(self.connection.opened_at())),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} idle and {} shared connections", self.idle.len(), self.shared.len())
    }
}

impl Pool {
    pub(super) fn new(settings: PoolSettings) -> Self {
        Self { settings, state: Mutex::default(), freed: Default::default() }
    }

    /// The pool key for requests to `uri` on the current runtime.
    pub(super) fn key(&self, uri: &Uri) -> PoolKey {
        let generation = self.state().generation;
        let runtime = Handle::try_current().ok().map(|runtime| runtime.id());
        let server = ServerKey { scheme: uri.scheme().cloned(), authority: uri.authority().cloned() };
        PoolKey { server, generation, runtime }
    }

    /// The protocol that a request to `uri` probably uses. A new connection may negotiate another protocol.
    pub(super) fn protocol(&self, uri: &Uri, demand: Demand) -> Protocol {
        if !self.offers_http2(uri.scheme()) {
            return Protocol::Http1;
        }
        protocol(demand, true, self.state().known_protocol(uri.scheme(), uri.authority()))
    }

    fn offers_http2(&self, scheme: Option<&Scheme>) -> bool {
        self.settings.offers_http2 && scheme == Some(&Scheme::HTTPS)
    }

    /// Returns an open connection for a request, or else the kind of dial that the request needs.
    pub(super) fn take_connection(&self, key: &PoolKey, demand: Demand) -> Result<TakenConnection, DialKind> {
        let server = &key.server;
        let offers_http2 = self.offers_http2(server.scheme.as_ref());
        let mut offer = Offer::Http1;
        if let (Demand::Stream(class), true) = (demand, offers_http2) {
            let mut state = self.state();
            let known = state.known_protocol(server.scheme.as_ref(), server.authority.as_ref());
            if protocol(demand, offers_http2, known) == Protocol::Http2 {
                return state.lease_stream(key, class, self.settings.max_age).ok_or(DialKind::Shared);
            }
            offer = Offer::Both;
        }
        self.take_idle(key).map(TakenConnection::Http1).ok_or(DialKind::Own(offer))
    }

    /// Waits until a stream of a connection of this class may have become free.
    pub(super) fn wait_for_free_stream(&self, class: RequestClass) -> Notified<'_> {
        self.freed_stream_notification(class).notified()
    }

    /// The notification that the connections of a class send when a stream becomes free.
    pub(super) fn freed_stream_notification(&self, class: RequestClass) -> &Arc<Notify> {
        let [calls, watches] = &self.freed;
        match class {
            RequestClass::Calls => calls,
            RequestClass::Watches => watches,
        }
    }

    /// Takes the most recently used open HTTP/1.1 connection with this key. Connections that were used less recently stay
    /// idle, so that surplus connections reach the idle timeout.
    fn take_idle(&self, key: &PoolKey) -> Option<h1::Connection> {
        loop {
            let mut idle = {
                let mut state = self.state();
                let Some(at) = state.idle.iter().rposition(|idle| idle.key == *key) else {
                    state.drop_closed_connections_of_other_runtimes(key);
                    return None;
                };
                state.idle.remove(at)
            };
            let fresh = self.settings.idle_timeout.is_none_or(|timeout| idle.since.elapsed() < timeout);
            if fresh && !self.exceeds_max_age(idle.connection.opened_at()) && idle.connection.is_ready() {
                return Some(idle.connection);
            }
        }
    }

    fn exceeds_max_age(&self, opened: Instant) -> bool {
        self.settings.max_age.is_some_and(|max_age| opened.elapsed() >= max_age)
    }

    /// Reserves a stream of a new connection. Returns `None` if other requests already use its whole capacity.
    pub(super) fn lease_stream_of(&self, connection: &Arc<h2::Connection>) -> Option<h2::StreamLease> {
        let _state = self.state();
        (connection.stream_count() < capacity(connection.max_streams())).then(|| connection.lease_stream())
    }

    /// The dial that requests of a class share: the running dial, or else the dial that `start` returns.
    pub(super) fn shared_dial(
        &self,
        key: &PoolKey,
        class: RequestClass,
        start: impl FnOnce() -> BoxFuture<'static, DialResult>,
    ) -> SharedDial {
        let mut state = self.state();
        let mut running = None;
        state.dials.retain(|dialling| {
            let Some(dial) = dialling.dial.upgrade().filter(|dial| dial.peek().is_none()) else {
                return false;
            };
            if dialling.key == *key && dialling.class == class {
                running = Some(dial);
            }
            true
        });
        running.unwrap_or_else(|| {
            let dial = start().shared();
            if let Some(weak) = dial.downgrade() {
                state.dials.push(RunningDial { key: key.clone(), class, dial: weak, task: None });
            }
            dial
        })
    }

    /// Dials a further connection in a task, because the open connections are busy: see [`select`]. If a dial with this
    /// key and class runs already, continues that dial in a task instead. Does nothing for [`FURTHER_DIAL_PAUSE`] after a
    /// failed dial.
    pub(super) fn dial_further_connection(
        self: &Arc<Self>,
        key: &PoolKey,
        class: RequestClass,
        start: impl FnOnce() -> BoxFuture<'static, DialResult>,
    ) {
        if self.state().dial_failed.is_none_or(|failed| failed.elapsed() >= FURTHER_DIAL_PAUSE) {
            self.continue_dial_in_task(self.shared_dial(key, class, start));
        }
    }

    /// Continues a dial in a task, so that later requests can use the connection. Without the task, the dial would be
    /// cancelled when the requests that wait for the dial are dropped.
    pub(super) fn continue_dial_in_task(self: &Arc<Self>, dial: SharedDial) {
        let pool = Arc::downgrade(self);
        let mut state = self.state();
        let running = state
            .dials
            .iter_mut()
            .find(|running| running.dial.upgrade().is_some_and(|running| running.ptr_eq(&dial)));
        if let Some(running) = running.filter(|running| running.task.is_none()) {
            running.task = Some(DialTask(tokio::spawn(async move {
                // The dial itself adds an HTTP/2 connection to the pool. After a failure, a request that needs a
                // connection dials again.
                if dial.await.is_err()
                    && let Some(pool) = pool.upgrade()
                {
                    pool.state().dial_failed = Some(Instant::now());
                }
            })));
        }
    }

    /// The number of concurrent streams that the server probably allows on a new connection. This is the
    /// server's limit on an earlier connection, or else kube-apiserver's default. A new connection uses this
    /// number until the server has sent its own limit. If this number exceeds that limit, the server refuses
    /// some of the first requests of a burst.
    pub(super) fn expected_max_streams(&self) -> usize {
        self.state().max_streams.unwrap_or(DEFAULT_MAX_STREAMS)
    }

    /// Records that the server has negotiated HTTP/1.1 although HTTP/2 was offered.
    pub(super) fn record_http1_server(&self, key: &PoolKey) {
        self.state().http1_server = Some(key.server.clone());
    }

    /// Adds an HTTP/2 connection.
    pub(super) fn add_http2(
        self: &Arc<Self>,
        key: &PoolKey,
        class: RequestClass,
        connection: Arc<h2::Connection>,
    ) {
        let mut state = self.state();
        state.http1_server = None;
        // If the certificates have changed during the dial, only the requests that already wait for this connection may
        // use it.
        if key.generation != state.generation {
            return;
        }
        state.shared.push(MultiplexedConnection { key: key.clone(), class, connection });
        state.reapers.notify(self, key.runtime);
    }

    /// Excludes the existing connections from further requests: increments the generation, and closes all idle
    /// connections. A connection in use is closed when its last response ends.
    pub(super) fn start_generation(&self) {
        let old = {
            let mut state = self.state();
            state.generation += 1;
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.shared))
        };
        drop(old);
    }

    /// Adds an idle HTTP/1.1 connection.
    fn add_idle_http1(self: &Arc<Self>, key: PoolKey, connection: h1::Connection) {
        if self.exceeds_max_age(connection.opened_at()) {
            return;
        }
        let mut state = self.state();
        if key.generation != state.generation {
            return;
        }
        if state.idle.len() == MAX_IDLE_CONNECTIONS {
            state.idle.remove(0);
        }
        let runtime = key.runtime;
        state.idle.push(IdleConnection { since: Instant::now(), key, connection });
        state.reapers.notify(self, runtime);
    }

    /// Locks the state. Ignores poisoning: no code that holds the lock panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
