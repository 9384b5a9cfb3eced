//! The socket of an HTTP/2 connection, with the time of its last read and the cause of its failure.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::client::transport::{
    failure::{WriteStalled, find_source},
    stall::StallDetectingStream,
};
use crate::error::BoxError;

/// The time of the last read of a socket, and the cause of the socket's failure. The task and the requests of a connection
/// share this value.
#[derive(Debug)]
pub(super) struct Health {
    opened: Instant,
    /// The time from `opened` to the last read, in milliseconds.
    last_read: AtomicU64,
    failure: OnceLock<Failure>,
}

/// A cause of a socket's failure. [`Health`] stores the cause, and [`Health::cause_of`] returns it for the
/// error of a request. The crate `h2` keeps only the kind and the text of a socket error. The kind and the
/// text are enough for all causes that this enum does not contain.
#[derive(Clone, Debug)]
enum Failure {
    Stalled(Duration),
    Tls(rustls::Error),
    UnansweredPing(Duration),
}

impl Default for Health {
    fn default() -> Self {
        Self { opened: Instant::now(), last_read: AtomicU64::new(0), failure: OnceLock::new() }
    }
}

impl Health {
    /// The time of the last read.
    pub(super) fn last_read(&self) -> Instant {
        self.opened + Duration::from_millis(self.last_read.load(Ordering::Relaxed))
    }

    /// Records that the server has not answered a ping within `timeout`.
    pub(super) fn record_unanswered_ping(&self, timeout: Duration) {
        // The first failure is the cause; later failures are its consequences.
        let _ = self.failure.set(Failure::UnansweredPing(timeout));
    }

    fn record_read(&self) {
        let passed = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_read.store(passed, Ordering::Relaxed);
    }

    fn record_failure(&self, error: &io::Error) {
        let failure = if let Some(WriteStalled(limit)) = find_source(error) {
            Failure::Stalled(*limit)
        } else if let Some(error) = find_source::<rustls::Error>(error) {
            Failure::Tls(error.clone())
        } else {
            return;
        };
        let _ = self.failure.set(failure);
    }

    /// Returns the recorded cause instead of an I/O error. Returns the error unchanged if it is not an I/O error, or if no
    /// cause is recorded.
    pub(super) fn cause_of(&self, error: h2::Error) -> BoxError {
        match self.failure.get().filter(|_| error.is_io()) {
            Some(Failure::Stalled(limit)) => WriteStalled(*limit).into(),
            Some(Failure::Tls(error)) => error.clone().into(),
            Some(Failure::UnansweredPing(timeout)) => PingUnanswered(*timeout).into(),
            None => error.into(),
        }
    }
}

/// The server did not answer a ping within this time.
#[derive(Debug)]
struct PingUnanswered(Duration);

impl fmt::Display for PingUnanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server did not answer an HTTP/2 ping for {:?}", self.0)
    }
}

impl std::error::Error for PingUnanswered {}

/// A socket that records its reads and its failure in a [`Health`].
pub(super) struct MonitoredStream {
    inner: StallDetectingStream,
    health: Arc<Health>,
}

impl MonitoredStream {
    pub(super) fn new(inner: StallDetectingStream, health: Arc<Health>) -> Self {
        Self { inner, health }
    }

    fn record_if_failed<T>(&self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &done {
            self.health.record_failure(error);
        }
        done
    }
}

impl AsyncRead for MonitoredStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let done = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.health.record_read();
        }
        this.record_if_failed(done)
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.record_if_failed(done)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.inner).poll_flush(cx);
        this.record_if_failed(done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.record_if_failed(done)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let done = Pin::new(&mut this.inner).poll_write_vectored(cx, pieces);
        this.record_if_failed(done)
    }
}
