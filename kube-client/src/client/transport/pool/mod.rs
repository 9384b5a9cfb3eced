//! `Pool`: the open connections of a client, and the dials that are in progress.
//!
//! This module must not open connections: the transport does.

mod reaper;
mod returned;
mod select;

pub(super) use returned::Returned;
pub(super) use select::{Class, Demand};

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
    select::{Load, capacity, protocol, select},
};
use super::{
    failure::ConnectFailure,
    h1, h2,
    tls::{Offer, Protocol},
};

/// The largest number of idle HTTP/1.1 connections. More are open only during a burst of concurrent requests.
const MAX_IDLE: usize = 64;

/// The pool key of a connection: server, generation of the certificates, and runtime. A request uses only a
/// connection with an equal key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolKey {
    server: ServerKey,
    generation: u64,
    /// The runtime whose I/O driver the socket is registered with. While this runtime is not polled, the socket wakes
    /// no task of another runtime.
    runtime: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ServerKey {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSettings {
    /// The maximum idle time of a connection; `None` keeps it until the server closes it.
    pub(crate) idle_timeout: Option<Duration>,
    /// The age after which a connection gets no further requests, and is closed when it is idle; `None` is no limit.
    pub(crate) max_age: Option<Duration>,
    /// Whether HTTP/2 is offered to the server.
    pub(crate) offers_http2: bool,
}

/// The connections of a client.
#[derive(Debug)]
pub(super) struct Pool {
    settings: PoolSettings,
    state: Mutex<State>,
    /// One notification for each class: sent when a stream of an HTTP/2 connection becomes free.
    freed: [Arc<Notify>; 2],
}

/// The pause after a failed dial of a further connection for calls. During this pause, the calls use the open
/// connections.
const FURTHER_PAUSE: Duration = Duration::from_secs(10);
/// kube-apiserver's default limit on the concurrent streams of a connection.
const DEFAULT_MAX_STREAMS: usize = 100;

#[derive(Default)]
struct State {
    /// The idle HTTP/1.1 connections, sorted by `Idle::since`, oldest first.
    idle: Vec<Idle>,
    /// The HTTP/2 connections, oldest first.
    shared: Vec<Multiplexed>,
    dials: Vec<RunningDial>,
    /// The time of the last failure of a dial in [`Pool::keep`].
    dial_failed: Option<Instant>,
    /// The server's limit on concurrent streams, if a connection has received it.
    max_streams: Option<usize>,
    /// The server whose last connection has negotiated HTTP/1.1 although HTTP/2 was offered. Requests use its HTTP/1.1
    /// connections, and do not wait for a shared dial. Further dials offer HTTP/2: the server may be restarted with it.
    http1_server: Option<ServerKey>,
    generation: u64,
    reapers: Reapers,
}

/// An idle HTTP/1.1 connection.
struct Idle {
    since: Instant,
    key: PoolKey,
    connection: h1::Connection,
}

/// An HTTP/2 connection.
struct Multiplexed {
    key: PoolKey,
    class: Class,
    connection: Arc<h2::Connection>,
}

/// A dial that all requests for the same connections wait for. The dial is cancelled when all these requests are
/// dropped, unless one of them has passed the dial to [`Pool::keep`].
pub(super) type Dial = Shared<BoxFuture<'static, DialResult>>;
pub(super) type DialResult = Result<Opened, ConnectFailure>;

/// A dial that requests with this key and class share.
struct RunningDial {
    key: PoolKey,
    class: Class,
    dial: WeakShared<BoxFuture<'static, DialResult>>,
    /// The task that continues the dial without a request.
    task: Option<DialTask>,
}

/// A task that is aborted with the pool.
struct DialTask(JoinHandle<()>);

impl Drop for DialTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A new connection.
#[derive(Clone)]
pub(super) enum Opened {
    /// A connection for any of the waiting requests; `None` after a request has taken it.
    Http1(Arc<Mutex<Option<h1::Connection>>>),
    Http2(Arc<h2::Connection>),
}

/// A connection of the pool for a request.
pub(super) enum Taken {
    Http1(h1::Connection),
    Http2 {
        lease: h2::Lease,
        /// Whether the open connections are busy, so that a further one for later requests makes sense.
        wants_further: bool,
    },
}

/// The kind of dial for a request for which the pool has no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DialKind {
    /// A connection that all requests of a class can use. The dial offers both protocols.
    Shared,
    /// A connection for the request that opened it.
    Own(Offer),
}

impl State {
    /// Drops the closed HTTP/1.1 connections of other runtimes, and all closed HTTP/2 connections. No request uses the
    /// key of a runtime that was shut down, so `take` never removes the connections with that key. Called before a new
    /// connection is opened, which takes longer than this scan.
    fn drop_closed_of_other_runtimes(&mut self, key: &PoolKey) {
        let Self { idle, reapers, .. } = self;
        idle.retain_mut(|idle| {
            let runtime = idle.key.runtime;
            let waker = reapers.waker(runtime);
            runtime == key.runtime || idle.connection.is_open(&mut Context::from_waker(waker))
        });
        self.shared.retain(|shared| shared.connection.is_open());
    }

    /// A stream of an open connection; `None` if no connection has capacity. The limit of the server on concurrent
    /// streams is then recorded for the next dial.
    fn lease(&mut self, key: &PoolKey, class: Class, max_age: Option<Duration>) -> Option<Taken> {
        self.shared.retain(|shared| shared.connection.is_open());
        let now = max_age.map(|_| Instant::now());
        let loads = self.shared.iter().map(|shared| (shared.key == *key).then(|| shared.load(now)));
        let Some(selected) = select(class, max_age, loads) else {
            self.max_streams =
                self.shared.last().map(|last| last.connection.max_streams()).or(self.max_streams);
            return None;
        };
        let lease = self.shared.get(selected.index)?.connection.lease();
        Some(Taken::Http2 { lease, wants_further: selected.wants_further })
    }

    /// HTTP/1.1 if this server has negotiated it although HTTP/2 was offered.
    fn known_protocol(&self, scheme: Option<&Scheme>, authority: Option<&Authority>) -> Option<Protocol> {
        let server = self.http1_server.as_ref()?;
        (server.scheme.as_ref() == scheme && server.authority.as_ref() == authority)
            .then_some(Protocol::Http1)
    }
}

impl Multiplexed {
    fn load(&self, now: Option<Instant>) -> Load {
        Load {
            class: self.class,
            streams: self.connection.streams(),
            max_streams: self.connection.max_streams(),
            age: now.map_or(Duration::ZERO, |now| now.duration_since(self.connection.opened())),
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

    /// The protocol that a request to `uri` probably uses. Only an open connection determines it.
    pub(super) fn protocol(&self, uri: &Uri, demand: Demand) -> Protocol {
        if !self.offers_http2(uri.scheme()) {
            return Protocol::Http1;
        }
        protocol(demand, true, self.state().known_protocol(uri.scheme(), uri.authority()))
    }

    fn offers_http2(&self, scheme: Option<&Scheme>) -> bool {
        self.settings.offers_http2 && scheme == Some(&Scheme::HTTPS)
    }

    /// A connection for a request, or else the kind of dial that opens one.
    pub(super) fn take(&self, key: &PoolKey, demand: Demand) -> Result<Taken, DialKind> {
        let server = &key.server;
        let offers_http2 = self.offers_http2(server.scheme.as_ref());
        let mut offer = Offer::Http1;
        if let (Demand::Stream(class), true) = (demand, offers_http2) {
            let mut state = self.state();
            let known = state.known_protocol(server.scheme.as_ref(), server.authority.as_ref());
            if protocol(demand, offers_http2, known) == Protocol::Http2 {
                return state.lease(key, class, self.settings.max_age).ok_or(DialKind::Shared);
            }
            offer = Offer::Both;
        }
        self.take_idle(key).map(Taken::Http1).ok_or(DialKind::Own(offer))
    }

    /// Waits until a stream of a connection of this class may have become free.
    pub(super) fn freed(&self, class: Class) -> Notified<'_> {
        self.notify(class).notified()
    }

    /// The notification that the connections of a class send when a stream becomes free.
    pub(super) fn notify(&self, class: Class) -> &Arc<Notify> {
        let [calls, watches] = &self.freed;
        match class {
            Class::Calls => calls,
            Class::Watches => watches,
        }
    }

    /// Removes the most recently used open HTTP/1.1 connection with this key. Older connections stay idle, so that
    /// surplus connections reach the idle timeout.
    fn take_idle(&self, key: &PoolKey) -> Option<h1::Connection> {
        loop {
            let mut idle = {
                let mut state = self.state();
                let Some(at) = state.idle.iter().rposition(|idle| idle.key == *key) else {
                    state.drop_closed_of_other_runtimes(key);
                    return None;
                };
                state.idle.remove(at)
            };
            let fresh = self.settings.idle_timeout.is_none_or(|timeout| idle.since.elapsed() < timeout);
            if fresh && !self.is_old(idle.connection.opened()) && idle.connection.is_ready() {
                return Some(idle.connection);
            }
        }
    }

    fn is_old(&self, opened: Instant) -> bool {
        self.settings.max_age.is_some_and(|max_age| opened.elapsed() >= max_age)
    }

    /// The lease of a stream of a new connection; `None` if other requests use all its streams.
    pub(super) fn lease(&self, connection: &Arc<h2::Connection>) -> Option<h2::Lease> {
        let _state = self.state();
        (connection.streams() < capacity(connection.max_streams())).then(|| connection.lease())
    }

    /// The dial for requests of a class: the running one, or else the one that `start` returns.
    pub(super) fn dial(
        &self,
        key: &PoolKey,
        class: Class,
        start: impl FnOnce() -> BoxFuture<'static, DialResult>,
    ) -> Dial {
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

    /// Dials a further connection in a task, because the open ones are busy: see [`select`]. Does nothing while such a
    /// dial runs, or for [`FURTHER_PAUSE`] after one has failed.
    pub(super) fn dial_further(
        self: &Arc<Self>,
        key: &PoolKey,
        class: Class,
        start: impl FnOnce() -> BoxFuture<'static, DialResult>,
    ) {
        if self.state().dial_failed.is_none_or(|failed| failed.elapsed() >= FURTHER_PAUSE) {
            self.continue_in_task(self.dial(key, class, start));
        }
    }

    /// Continues a dial in a task. Without the task, the dial would be cancelled with the requests that wait for it, but
    /// the load needs a further connection.
    pub(super) fn continue_in_task(self: &Arc<Self>, dial: Dial) {
        let pool = Arc::downgrade(self);
        let mut state = self.state();
        let running = state
            .dials
            .iter_mut()
            .find(|running| running.dial.upgrade().is_some_and(|running| running.ptr_eq(&dial)));
        if let Some(running) = running.filter(|running| running.task.is_none()) {
            running.task = Some(DialTask(tokio::spawn(async move {
                // The dial itself adds its connection to the pool. After a failure, a request that needs a connection
                // dials again.
                if dial.await.is_err()
                    && let Some(pool) = pool.upgrade()
                {
                    pool.state().dial_failed = Some(Instant::now());
                }
            })));
        }
    }

    /// The expected limit on the concurrent streams of a new connection: that of earlier connections, or else
    /// kube-apiserver's default. With a higher expected limit, the server would refuse some of the first requests of a
    /// burst.
    pub(super) fn expected_streams(&self) -> usize {
        self.state().max_streams.unwrap_or(DEFAULT_MAX_STREAMS)
    }

    /// Records that the server has negotiated HTTP/1.1 although HTTP/2 was offered.
    pub(super) fn set_http1(&self, key: &PoolKey) {
        self.state().http1_server = Some(key.server.clone());
    }

    /// Adds an HTTP/2 connection.
    pub(super) fn add(self: &Arc<Self>, key: &PoolKey, class: Class, connection: Arc<h2::Connection>) {
        let mut state = self.state();
        state.http1_server = None;
        // The certificates have changed during the dial: only the requests that already wait for this connection may
        // use it.
        if key.generation != state.generation {
            return;
        }
        state.shared.push(Multiplexed { key: key.clone(), class, connection });
        state.reapers.notify(self, key.runtime);
    }

    /// Increments the generation and closes all idle connections. Connections in use have the old generation, and are
    /// closed when their bodies end.
    pub(super) fn renew(&self) {
        let old = {
            let mut state = self.state();
            state.generation += 1;
            (std::mem::take(&mut state.idle), std::mem::take(&mut state.shared))
        };
        drop(old);
    }

    /// Adds an idle HTTP/1.1 connection.
    fn put(self: &Arc<Self>, key: PoolKey, connection: h1::Connection) {
        if self.is_old(connection.opened()) {
            return;
        }
        let mut state = self.state();
        if key.generation != state.generation {
            return;
        }
        if state.idle.len() == MAX_IDLE {
            state.idle.remove(0);
        }
        let runtime = key.runtime;
        state.idle.push(Idle { since: Instant::now(), key, connection });
        state.reapers.notify(self, runtime);
    }

    /// Ignores poisoning: no code panics while it holds this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
