//! `LimitedListener`: accepts connections for the server, with a limit on their number and on their duration, so that clients
//! that send nothing cannot exhaust the process.

use super::stream::{Stream, Tls};
use axum::serve::Listener;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// The maximum number of connections. Further ones wait in the queue of the operating system.
const MAX_CONNECTIONS: usize = 64;
/// The time limit on a request, from the start of the connection or the last response on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum duration of a connection. Clients open another one.
const MAX_DURATION: Duration = Duration::from_secs(60);
/// The wait after a failure to accept, such as that of a process without free file descriptors.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A listener with limits.
pub(super) struct LimitedListener {
    listener: TcpListener,
    tls: Option<Tls>,
    slots: Arc<Semaphore>,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener, tls: Option<Tls>) -> Self {
        Self { listener, tls, slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)) }
    }
}

impl Listener for LimitedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let slot = self.slots.clone().acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let stream = Stream::new(stream, self.tls.as_ref());
                    let end = Box::pin(tokio::time::sleep(MAX_DURATION));
                    let request = Box::pin(tokio::time::sleep(REQUEST_TIMEOUT));
                    return (Connection { stream, end, request, is_writing: false, _slot: slot }, peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails after [`MAX_DURATION`], or if a request, with the TLS handshake before it, is not complete after
/// [`REQUEST_TIMEOUT`]. The beginning of a response shows that the request is complete.
pub(super) struct Connection {
    stream: Stream,
    end: Pin<Box<Sleep>>,
    /// The time limit of a request.
    request: Pin<Box<Sleep>>,
    /// Whether a response waits for its client.
    is_writing: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Ready with an error at the end of the duration.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.end.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending if !self.is_writing && self.request.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Pending => self.poll_end(cx).map(Err),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, data);
        self.is_writing = written.is_pending();
        match written {
            Poll::Pending => self.poll_end(cx).map(Err),
            ready @ Poll::Ready(_) => {
                self.request.as_mut().reset(Instant::now() + REQUEST_TIMEOUT);
                ready
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
