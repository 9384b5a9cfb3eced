//! `ReadyServer`: accepts connections, limits their number and idle time, and serves HTTP/1.1 on them.

use super::stream::{ServerTls, WriteTimeoutStream};
use futures::future::{Either, select};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net, pin::pin, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The time limit of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time within which a client must send the head of its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of the head of a request, in bytes.
const MAX_HEAD_SIZE: usize = 64 * 1024;
/// The wait after a failed accept. An accept fails, for instance, if the process has no free file descriptor.
const WAIT_AFTER_FAILED_ACCEPT: Duration = Duration::from_secs(1);

/// Answers the requests that a server receives.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The body of a response.
    type Body: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;

    fn answer(&self, request: Request<Incoming>) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// The limits for a server's connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// The maximum number of connections, at least 1. Further connections wait in the listen backlog of the operating
    /// system. While a connection waits, the server closes each connection that has received a request: an idle
    /// connection at once, and any other connection after its current request.
    pub(crate) connections: usize,
    /// The time after a response within which a client must send the complete head of its next request.
    pub(crate) idle: Duration,
    /// The time for which requests in flight may continue after the shutdown.
    pub(crate) drain: Duration,
}

/// A server that is ready to accept connections.
pub(crate) struct ReadyServer<H> {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    /// See [`ConnectionLimits::drain`].
    drain: Duration,
    shared: Arc<SharedState<H>>,
}

/// The state that all connections share.
struct SharedState<H> {
    tls: Option<ServerTls>,
    handler: H,
    idle: Duration,
    /// Whether a client waits for a slot. While a client waits, each connection that has received a request ends: an
    /// idle connection at once, and any other connection after its current request.
    crowded: watch::Sender<bool>,
}

impl<H: Handler> ReadyServer<H> {
    /// Creates a server, which uses plain HTTP if `tls` is `None`.
    pub(crate) fn new(
        listener: net::TcpListener,
        tls: Option<ServerTls>,
        handler: H,
        limits: ConnectionLimits,
    ) -> io::Result<Self> {
        let shared = SharedState { tls, handler, idle: limits.idle, crowded: watch::Sender::new(false) };
        let slots = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            slots: Arc::new(Semaphore::new(slots)),
            drain: limits.drain,
            shared: Arc::new(shared),
        })
    }

    /// Serves until `shutdown` completes. Then waits until the requests in flight end, but not longer than
    /// [`ConnectionLimits::drain`].
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let (stop, stopped) = watch::channel(());
        let mut shutdown = pin!(shutdown);
        loop {
            match select(pin!(self.accept()), shutdown.as_mut()).await {
                Either::Left(((stream, slot), _)) => {
                    connections.spawn(serve_connection(stream, slot, self.shared.clone(), stopped.clone()));
                }
                Either::Right(_) => break,
            }
            while connections.try_join_next().is_some() {}
        }
        drop((self.listener, stop));
        let drained = async { while connections.join_next().await.is_some() {} };
        // An error means that some connections did not end in time. Dropping `connections` aborts their tasks.
        let _ = timeout(self.drain, drained).await;
    }

    /// Waits for the next connection, and then for a slot for that connection.
    async fn accept(&self) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, self.acquire_slot().await),
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    sleep(WAIT_AFTER_FAILED_ACCEPT).await;
                }
            }
        }
    }

    /// Waits for a slot for an accepted connection. Meanwhile, idle connections end.
    async fn acquire_slot(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Some(slot);
        }
        self.shared.crowded.send_replace(true);
        // The semaphore is never closed, so the call never fails.
        let slot = self.slots.clone().acquire_owned().await.ok();
        self.shared.crowded.send_replace(false);
        slot
    }
}

/// Serves one connection, which occupies `slot`. When the sender of `stopped` is dropped, the connection ends after its
/// requests in flight.
async fn serve_connection<H: Handler>(
    stream: TcpStream,
    slot: Option<OwnedSemaphorePermit>,
    shared: Arc<SharedState<H>>,
    stopped: watch::Receiver<()>,
) {
    let _slot = slot;
    let stream = WriteTimeoutStream::new(stream);
    let Some(tls) = &shared.tls else { return serve_requests(stream, &shared, stopped).await };
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_requests(stream, &shared, stopped).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake with a client failed"),
        Err(_) => tracing::debug!("a TLS handshake with a client took too long"),
    }
}

/// Serves the requests of one connection.
async fn serve_requests<H: Handler>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    shared: &SharedState<H>,
    mut stopped: watch::Receiver<()>,
) {
    let (first, mut seen) = watch::channel(false);
    let service = service_fn(|request| {
        first.send_replace(true);
        async move { Ok::<_, Infallible>(shared.handler.answer(request).await) }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.idle)
            .max_buf_size(MAX_HEAD_SIZE)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut crowded = shared.crowded.subscribe();
    // Completes when the connection has to end. The value is true if the client has not sent its first request in time.
    let end = async {
        let crowded = async {
            if timeout(FIRST_REQUEST_TIMEOUT, seen.wait_for(|seen| *seen)).await.is_err() {
                return true;
            }
            // While a client waits for a slot, idle connections end. But each connection must receive a
            // request first: otherwise connections could end without serving any request.
            drop(crowded.wait_for(|crowded| *crowded).await);
            false
        };
        match select(pin!(crowded), pin!(stopped.changed())).await {
            Either::Left((has_no_request, _)) => has_no_request,
            Either::Right(_) => false,
        }
    };
    let served = match select(http.as_mut(), pin!(end)).await {
        Either::Left((served, _)) => served,
        Either::Right((true, _)) => return tracing::debug!("a client sent no request"),
        Either::Right((false, _)) => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of a client ended");
    }
}
