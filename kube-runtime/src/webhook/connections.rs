//! `Connections`: accepts TLS connections, bounds their number and time, and serves them.

use super::error::Error;
use super::limits::Limits;
use super::router::Router;
use crate::serving::ServingCertificate;
use futures::future::{Either, select};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// The time limit of a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit on the head of the first request of a connection.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum idle time of a connection. Longer than the 90 seconds of Go's client: a server that closes first may do
/// so while the client sends a request, which then fails.
const IDLE_TIMEOUT: Duration = Duration::from_secs(100);
/// The maximum head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The time for which requests in flight may continue after the shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait after a failure to accept, such as that of a process without free file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// A server that is ready to accept connections.
pub(crate) struct Connections {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    shared: Arc<Shared>,
}

/// The state that all connections share.
struct Shared {
    certificate: Arc<ServingCertificate>,
    acceptor: TlsAcceptor,
    router: Router,
    /// Whether a client waits for a slot. Connections then end after their current request.
    crowded: watch::Sender<bool>,
}

impl Connections {
    pub(super) fn new(
        listener: std::net::TcpListener,
        certificate: &Arc<ServingCertificate>,
        router: Router,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let listener = TcpListener::from_std(listener)
            .map_err(|source| Error::Listen { address: address.clone(), source })?;
        tracing::info!(address, "serving webhooks");
        let acceptor = TlsAcceptor::from(Arc::new(certificate.server_config()?));
        let shared =
            Shared { certificate: certificate.clone(), acceptor, router, crowded: watch::Sender::new(false) };
        let slots = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self { listener, slots: Arc::new(Semaphore::new(slots)), shared: Arc::new(shared) })
    }

    /// Serves until `shutdown` completes, and then until the requests in flight end, at most [`DRAIN_TIMEOUT`].
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        let (stop, stopped) = watch::channel(());
        let mut shutdown = pin!(shutdown);
        loop {
            match select(pin!(self.accept()), shutdown.as_mut()).await {
                Either::Left(((stream, slot), _)) => {
                    connections.spawn(serve(stream, slot, self.shared.clone(), stopped.clone()));
                }
                Either::Right(_) => break,
            }
            while connections.try_join_next().is_some() {}
        }
        drop((self.listener, stop));
        let drained = async { while connections.join_next().await.is_some() {} };
        // The error means that a request does not end: dropping the set aborts its task.
        let _ = timeout(DRAIN_TIMEOUT, drained).await;
    }

    /// The next connection, when there is a slot for it.
    async fn accept(&self) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, self.slot().await),
                Err(error) => {
                    tracing::debug!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// A slot for an accepted connection.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Some(slot);
        }
        self.shared.crowded.send_replace(true);
        // An error would mean that the semaphore is closed, which it never is.
        let slot = self.slots.clone().acquire_owned().await.ok();
        self.shared.crowded.send_replace(false);
        slot
    }
}

/// Serves one connection, which occupies `slot`. The end of `stopped`'s sender requests its end.
async fn serve(
    stream: TcpStream,
    slot: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<()>,
) {
    let _slot = slot;
    shared.certificate.refresh().await;
    let stream = match timeout(HANDSHAKE_TIMEOUT, shared.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake with a client failed"),
        Err(_) => return tracing::debug!("a TLS handshake with a client took too long"),
    };
    let (first, mut seen) = watch::channel(false);
    let service = service_fn(|request| {
        first.send_replace(true);
        let shared = &shared;
        async move { Ok::<_, Infallible>(shared.router.answer(request).await) }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut crowded = shared.crowded.subscribe();
    // Returns whether the client has sent no request in time.
    let end = async {
        let crowded = async {
            if timeout(FIRST_REQUEST_TIMEOUT, seen.wait_for(|seen| *seen)).await.is_err() {
                return true;
            }
            // End an idle connection for a waiting client only after it has served a request: otherwise connections
            // could end without serving any.
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
        tracing::debug!(%error, "a connection to the webhook server ended");
    }
}
