//! The state machine of a connection, and the task that polls it and pings a silent server.

use bytes::Bytes;
use h2::{Ping, PingPong, client::Connection};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, interval, sleep};

use super::{
    io::{Health, MonitoredStream},
    wakers::{Turn, Wakers},
};

/// The time without data from the server after which the client sends a ping.
const MAX_SILENCE: Duration = Duration::from_secs(30);
/// The maximum time between a ping and its answer.
const PONG_TIMEOUT: Duration = Duration::from_secs(15);
/// The interval at which the task of a connection polls the connection. If the connection has only one
/// request, the task of this request also polls the connection. The program may poll the request late. The
/// connection must answer the pings of the server even then: otherwise, the server closes the connection.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The state machine of a connection: a poll reads and writes the socket, and wakes the requests whose responses have
/// arrived.
pub(super) struct StateMachine {
    /// `None` after the connection is closed.
    connection: Mutex<Option<Connection<MonitoredStream, Bytes>>>,
    pub(super) wakers: Arc<Wakers>,
    /// `wakers` as a [`Waker`], with which the connection is polled.
    waker: Waker,
    /// Whether a request was queued since the connection's task last polled the connection.
    has_new_requests: AtomicBool,
}

impl StateMachine {
    pub(super) fn new(connection: Connection<MonitoredStream, Bytes>) -> Self {
        let wakers = Arc::<Wakers>::default();
        let waker = Waker::from(wakers.clone());
        Self {
            connection: Mutex::new(Some(connection)),
            wakers,
            waker,
            has_new_requests: AtomicBool::new(false),
        }
    }

    /// Starts the turn of a request; see [`Wakers::start_turn`].
    pub(super) fn start_turn(&self, is_single: impl FnOnce() -> bool) -> Option<Turn<'_>> {
        self.wakers.start_turn(is_single)
    }

    /// Makes the task of the connection yield once before it writes, so that other tasks can queue their requests, too.
    /// Must be called before a request without a turn is queued.
    pub(super) fn announce_request(&self) {
        self.has_new_requests.store(true, Ordering::Relaxed);
    }

    /// Polls the connection from the task of the request that has the turn. Returns `false` if the turn has ended.
    pub(super) fn poll_during_turn(&self, turn: &Turn<'_>, cx: &Context<'_>) -> bool {
        if !turn.begin_poll() {
            return false;
        }
        if self.poll(self.lock_connection()).is_ready() {
            // Wakes the task of the connection, which then ends.
            self.wakers.wake_driver();
        }
        turn.end_poll(cx.waker());
        true
    }

    /// Polls the connection; ready when it is closed. h2 returns the error of the connection to the requests.
    fn poll(&self, mut connection: MutexGuard<'_, Option<Connection<MonitoredStream, Bytes>>>) -> Poll<()> {
        let Some(open) = connection.as_mut() else { return Poll::Ready(()) };
        let polled = Pin::new(open).poll(&mut Context::from_waker(&self.waker)).map(drop);
        if polled.is_ready() {
            *connection = None;
        }
        polled
    }

    /// Locks the connection. A connection whose poll has panicked counts as closed.
    fn lock_connection(&self) -> MutexGuard<'_, Option<Connection<MonitoredStream, Bytes>>> {
        self.connection.lock().unwrap_or_else(|poisoned| {
            let mut connection = poisoned.into_inner();
            *connection = None;
            connection
        })
    }
}

/// Closes the connection when its task ends or is dropped with the runtime.
struct CloseOnDrop(Arc<StateMachine>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        *self.0.lock_connection() = None;
    }
}

/// Reads and writes the socket until the connection is closed, or the server does not answer a ping.
pub(super) fn drive(machine: Arc<StateMachine>, health: Arc<Health>) -> impl Future<Output = ()> + Send {
    let pings = machine.lock_connection().as_mut().and_then(Connection::ping_pong);
    // The future owns `open`: the connection is also closed if the future is dropped before its first poll.
    let open = CloseOnDrop(machine);
    async move {
        let machine = &open.0;
        let mut keepalive = pings.map(|pings| Keepalive::new(pings, health));
        let mut pause = interval(POLL_INTERVAL);
        let mut has_waited = false;
        poll_fn(|cx| {
            machine.wakers.set_driver(cx.waker());
            // A request wakes this task, and tokio runs a woken task directly after the task that woke it. Yield once, so
            // that other tasks queue their requests first: one write then sends all requests. Without the yield, 32
            // concurrent gets take a tenth more processor time (`cargo xtask bench get-32-tls`).
            if machine.has_new_requests.swap(false, Ordering::Relaxed) && !has_waited {
                has_waited = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            has_waited = false;
            while pause.poll_tick(cx).is_ready() {}
            loop {
                if machine.poll(machine.lock_connection()).is_ready() {
                    return Poll::Ready(());
                }
                match keepalive.as_mut().map(|keepalive| keepalive.poll(cx)) {
                    // Poll the connection again: it must write the ping.
                    Some(Poll::Ready(KeepaliveEvent::Sent)) => {}
                    Some(Poll::Ready(KeepaliveEvent::Unanswered)) => return Poll::Ready(()),
                    Some(Poll::Pending) | None => return Poll::Pending,
                }
            }
        })
        .await;
    }
}

/// Pings a silent server.
struct Keepalive {
    pings: PingPong,
    health: Arc<Health>,
    timer: Pin<Box<Sleep>>,
    /// The time of the unanswered ping.
    sent: Option<Instant>,
}

/// The result of a poll of [`Keepalive`].
enum KeepaliveEvent {
    /// A ping was sent.
    Sent,
    /// The server did not answer a ping in time.
    Unanswered,
}

impl Keepalive {
    fn new(pings: PingPong, health: Arc<Health>) -> Self {
        Self { pings, health, timer: Box::pin(sleep(MAX_SILENCE)), sent: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<KeepaliveEvent> {
        loop {
            if self.sent.is_some() && self.pings.poll_pong(cx).is_ready() {
                self.sent = None;
                self.timer.as_mut().reset(Instant::now() + MAX_SILENCE);
            }
            ready!(self.timer.as_mut().poll(cx));
            if self.sent.is_some() {
                self.health.record_unanswered_ping(PONG_TIMEOUT);
                return Poll::Ready(KeepaliveEvent::Unanswered);
            }
            let due = self.health.last_read() + MAX_SILENCE;
            if due > Instant::now() {
                self.timer.as_mut().reset(due);
                continue;
            }
            // An error means that the connection is closed, which `drive` detects.
            if self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Pending;
            }
            let now = Instant::now();
            self.sent = Some(now);
            self.timer.as_mut().reset(now + PONG_TIMEOUT);
            return Poll::Ready(KeepaliveEvent::Sent);
        }
    }
}
