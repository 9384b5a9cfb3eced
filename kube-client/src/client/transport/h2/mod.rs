//! `Connection`: one HTTP/2 connection, whose requests share one socket. The task of the connection reads and writes
//! the socket. If a request is the only one on the connection, the task of the request reads and writes the socket until
//! the head of the response has arrived (see `wakers`). During this time, the task of the connection polls the connection
//! at an interval (see `driver`).
//!
//! This module must not select connections: `pool` does.

mod body;
mod driver;
mod head;
mod io;
#[cfg(test)]
mod tests;
mod wakers;

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{Builder, SendRequest},
};
use http::{Request, Response, Uri};
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

use self::{
    body::{ResponseBody, Upload},
    driver::StateMachine,
    io::{Health, MonitoredStream},
};
use super::stall::StallDetectingStream;
use crate::client::body::Body;
use crate::error::BoxError;

/// The flow-control window of a stream: the maximum number of unread bytes of one response.
const STREAM_WINDOW: u32 = 2 << 20;
/// The flow-control window of a connection: the sum of the windows of all streams, so that unread responses do not
/// block other streams.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;
/// The maximum number of streams on a connection, even if the server allows more. One task reads all
/// responses of a connection. Many responses therefore arrive faster over several connections.
pub(super) const MAX_STREAMS: u32 = 128;
/// The client resets the stream of a dropped response. `h2` remembers at most `REMEMBERED_RESETS` of these streams, each for
/// `RESET_RETENTION`, and ignores their late frames. `h2` answers late frames of other closed streams with RST_STREAM
/// (`STREAM_CLOSED`). By default, `h2` closes a connection after a certain number of these answers; `open` disables this
/// limit.
const REMEMBERED_RESETS: usize = 1024;
const RESET_RETENTION: Duration = Duration::from_secs(30);
/// The maximum size in bytes of a frame that the server sends.
const MAX_FRAME: u32 = 128 << 10;
/// The maximum size in bytes of the head of a response.
const MAX_HEAD: u32 = 128 << 10;

/// An HTTP/2 connection, which concurrent requests share. Dropping it closes the socket.
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    machine: Arc<StateMachine>,
    driver: Driver,
    health: Arc<Health>,
    opened: Instant,
    /// The time after which a write without progress fails; `None` is no limit.
    write_limit: Option<Duration>,
    /// The number of streams in use. Each [`StreamLease`] is one stream.
    streams: AtomicUsize,
    idle_since: Mutex<Instant>,
    /// Whether the connection gets no further requests.
    retired: AtomicBool,
    /// Notified when a stream becomes free.
    freed: Arc<Notify>,
}

/// The task of a connection, which reads and writes the socket.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Starts HTTP/2 over a connected socket, and spawns the task of the connection on the current runtime.
    /// `expected_max_streams` is the limit on concurrent HTTP/2 streams until the server has sent its settings. `freed` is
    /// notified when an HTTP/2 stream becomes free.
    pub(super) async fn open(
        stream: StallDetectingStream,
        expected_max_streams: usize,
        freed: Arc<Notify>,
    ) -> Result<Arc<Self>, h2::Error> {
        let (health, write_limit) = (Arc::new(Health::default()), stream.write_limit());
        let (sender, connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(MAX_HEAD)
            .initial_max_send_streams(expected_max_streams)
            .max_concurrent_reset_streams(REMEMBERED_RESETS)
            .reset_stream_duration(RESET_RETENTION)
            .max_local_error_reset_streams(None)
            .enable_push(false)
            .handshake(MonitoredStream::new(stream, health.clone()))
            .await?;
        let machine = Arc::new(StateMachine::new(connection));
        let driver = Driver(tokio::spawn(driver::drive(machine.clone(), health.clone())));
        let now = Instant::now();
        Ok(Arc::new(Self {
            sender,
            machine,
            driver,
            health,
            opened: now,
            write_limit,
            streams: AtomicUsize::new(0),
            idle_since: Mutex::new(now),
            retired: AtomicBool::new(false),
            freed,
        }))
    }

    /// Whether the connection is neither retired nor closed. It may have no free stream.
    pub(super) fn is_open(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.driver.0.is_finished()
    }

    /// Excludes the connection from further requests. In-flight requests continue.
    fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// The number of streams in use. The stream of a request is in use until its response is read completely or dropped.
    pub(super) fn stream_count(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// The limit of the server on concurrent streams (`SETTINGS_MAX_CONCURRENT_STREAMS`), or the expected limit until
    /// the server has sent its settings.
    pub(super) fn max_streams(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// The time at which the connection was opened.
    pub(super) fn opened_at(&self) -> Instant {
        self.opened
    }

    /// The time at which the last stream ended, or the connection was opened. `None` while a stream is in use.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        (self.stream_count() == 0).then_some(since)
    }

    /// Reserves a stream.
    pub(super) fn lease_stream(self: &Arc<Self>) -> StreamLease {
        self.streams.fetch_add(1, Ordering::Relaxed);
        StreamLease(self.clone())
    }

    /// The cause of an error: see [`Health::cause_of`].
    fn cause_of(&self, error: h2::Error) -> BoxError {
        self.health.cause_of(error)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("streams", &self.stream_count()).finish_non_exhaustive()
    }
}

/// One stream of a connection, for a request and its response. A connection that the pool removes continues until its last
/// lease is dropped.
pub(super) struct StreamLease(Arc<Connection>);

impl Drop for StreamLease {
    fn drop(&mut self) {
        if self.0.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        self.0.freed.notify_one();
    }
}

/// The error of a request that has received no response.
#[derive(Debug)]
pub(super) struct SendFailure {
    pub(super) error: BoxError,
    pub(super) effect: Effect,
}

/// Whether the server may have processed a request that has received no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The server has certainly not processed the request.
    None,
    Unknown,
}

impl StreamLease {
    /// Waits until the connection accepts a request. After an error, the connection is not used for further requests.
    pub(super) async fn ready(&self) -> Result<SendRequest<Bytes>, SendFailure> {
        let mut sender = self.0.sender.clone();
        match poll_fn(|cx| sender.poll_ready(cx)).await {
            Ok(()) => Ok(sender),
            Err(error) => Err(self.failure_before_sending(error)),
        }
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        self,
        mut sender: SendRequest<Bytes>,
        target: &Uri,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, SendFailure> {
        let method = request.method().clone();
        let (head, body) = head::split_request(*request, target)
            .map_err(|error| SendFailure { error, effect: Effect::Unknown })?;
        let body = body.into_bytes();
        let is_empty = matches!(body, Ok(None));
        // If the request is cancelled, `turn` must be dropped after `response`: the drop of `response` queues a
        // RST_STREAM frame, and the drop of `turn` then wakes the connection's task, which writes the frame.
        let turn = self.0.machine.start_turn(|| self.0.stream_count() == 1);
        if turn.is_none() {
            self.0.machine.announce_request();
        }
        let (response, mut stream) =
            sender.send_request(head, is_empty).map_err(|error| self.failure_before_sending(error))?;
        let mut upload = match body {
            Ok(None) => None,
            Ok(Some(bytes)) => {
                // An error means that the stream is closed; `response` then returns the cause.
                let _ = stream.send_data(bytes, true);
                None
            }
            Err(body) => {
                Some(Box::new(Upload::new(stream, body, (method, target.clone()), self.0.write_limit)))
            }
        };
        let mut response = pin!(response);
        let response = poll_fn(|cx| {
            let mut polled = response.as_mut().poll(cx);
            if polled.is_pending()
                && let Some(turn) = &turn
                && self.0.machine.poll_during_turn(turn, cx)
            {
                polled = response.as_mut().poll(cx);
            }
            if let Poll::Ready(response) = polled {
                return Poll::Ready(response.map_err(|error| self.failure_after_sending(error)));
            }
            match Upload::poll_option(&mut upload, cx) {
                Some(Err(error)) => Poll::Ready(Err(SendFailure { error, effect: Effect::Unknown })),
                _ => Poll::Pending,
            }
        })
        .await?;
        let (parts, received) = response.into_parts();
        drop(turn);
        let body = ResponseBody::new(received, upload, self, &parts.headers);
        Ok(Response::from_parts(parts, Body::wrap_body(body)))
    }

    /// Drops the stream of a response. The drop wakes the connection. If the connection has no other stream, the current
    /// task then polls the connection.
    fn drop_stream(self, stream: RecvStream, cx: &Context<'_>) {
        let turn = self.0.machine.start_turn(|| self.0.stream_count() == 1);
        drop(stream);
        if let Some(turn) = turn {
            self.0.machine.poll_during_turn(&turn, cx);
        }
    }

    /// Retires the connection, and converts an error that occurred before the request was sent.
    fn failure_before_sending(&self, error: h2::Error) -> SendFailure {
        self.0.retire();
        SendFailure { error: self.0.cause_of(error), effect: Effect::None }
    }

    /// Converts an error that occurred after the request was sent. Retires the connection unless the error only resets
    /// the stream. The server has not processed the request if the server refused the stream, or if the stream id is
    /// beyond the last id in a GOAWAY frame (RFC 9113, 6.8 and 8.7). h2 returns the error of a GOAWAY frame only for
    /// streams beyond this id.
    fn failure_after_sending(&self, error: h2::Error) -> SendFailure {
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let is_unprocessed = error.is_remote() && (refused || error.is_go_away());
        if !error.is_reset() {
            self.0.retire();
        }
        let effect = if is_unprocessed { Effect::None } else { Effect::Unknown };
        SendFailure { error: self.0.cause_of(error), effect }
    }
}
