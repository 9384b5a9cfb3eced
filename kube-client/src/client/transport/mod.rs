//! The transport: opens connections, pools them, and converts their errors.
//!
//! It receives a complete TLS configuration, and must not depend on certificates, credentials or Kubernetes types.

mod dial;
mod failure;
mod h1;
mod h2;
mod pool;
mod stall;
mod tls;

pub(super) use dial::{Connector, Limits, Route};
pub(super) use pool::PoolSettings;
pub(super) use tls::{TlsSettings, http1_only};

use futures::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use http::{
    HeaderValue, Request, Response, StatusCode, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tower::Service;

use self::{
    failure::ConnectFailure,
    h2::Effect,
    pool::{
        Demand, DialKind, DialResult, NewConnection, Pool, PoolKey, RequestClass, ReturningBody, SharedDial,
        TakenConnection,
    },
    tls::{Offer, Protocol},
};
use super::body::{Body, clone_request};
use crate::error::BoxError;

/// The maximum number of times that a request is sent again because the server did not process it. A failure of a pooled
/// connection before the request was sent does not count.
const MAX_RESENDS: u32 = 3;

/// The innermost service of a client: sends a request over an open or a new connection.
#[derive(Clone, Debug)]
pub(super) struct Transport(Arc<SharedState>);

/// The state that all clones of a transport share.
#[derive(Debug)]
struct SharedState {
    connector: RwLock<Connector>,
    pool: Arc<Pool>,
    /// The number of in-flight requests: requests that wait for the head of the response.
    in_flight: AtomicUsize,
}

/// A connection for one request.
enum AcquiredConnection {
    Http1 {
        connection: h1::Connection,
        /// Whether the server may have closed the connection while it was idle.
        was_idle: bool,
    },
    Http2 {
        lease: h2::StreamLease,
        /// Whether the connection was open before this request. The server may then have sent GOAWAY before
        /// this request.
        was_open: bool,
    },
}

impl Transport {
    pub(super) fn new(connector: Connector, settings: PoolSettings) -> Self {
        Self(Arc::new(SharedState {
            connector: RwLock::new(connector),
            pool: Arc::new(Pool::new(settings)),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// Excludes all open connections from further requests, because the client certificate or the trusted authorities have
    /// changed. In-flight requests continue on their connections.
    pub(super) fn renew_connections(&self) {
        let fresh = self.0.connector().without_sessions();
        *self.0.connector.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.0.pool.start_generation();
    }
}

impl SharedState {
    fn connector(&self) -> Connector {
        self.connector.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a request over an open or a new connection. Sends the request again if the server has certainly not processed
    /// it.
    async fn send(&self, target: &Uri, mut request: Box<Request<Body>>) -> Result<Response<Body>, BoxError> {
        let in_flight = InFlightGuard::new(&self.in_flight);
        let demand = Demand::of(&request, target);
        if in_flight.has_others() && self.pool.protocol(target, demand) == Protocol::Http1 {
            // The yield batches writes. (With HTTP/2, the task of the connection yields: see `h2::driver`.) The
            // scheduler first runs the tasks whose responses have arrived: they decode, and may reach this line with
            // their next requests. All these requests are then written in succession, so that the server wakes once
            // per batch instead of once per request. In addition, decoding is not interrupted by writes.
            //
            // Measured with `cargo xtask bench get-32` on two cores: 9,460 requests per second with the
            // yield, and 7,230 without it. The processor time for 20,000 requests is 1.9 s with the yield,
            // and 2.3 s without it.
            tokio::task::yield_now().await;
        }
        let mut resends = 0;
        loop {
            let key = self.pool.key(target);
            let acquired = match self.take_connection(&key, target, demand) {
                Ok(acquired) => acquired,
                // Boxed, so that the future of a request over an open connection is small.
                Err(needed_dial) => {
                    Box::pin(self.acquire_connection(needed_dial, &key, target, demand)).await?
                }
            };
            let failure = match acquired {
                AcquiredConnection::Http1 { mut connection, was_idle } => {
                    to_origin_form(&mut request, target)?;
                    match connection.send(*request).await {
                        Ok(response) => return Ok(self.wrap_response(response, connection, key).await),
                        Err(mut error) => match error.take_message() {
                            // The server closed the idle connection before any byte of the request was sent.
                            Some(unsent) if was_idle => {
                                request = Box::new(unsent);
                                continue;
                            }
                            _ => return Err(error.into_error().into()),
                        },
                    }
                }
                AcquiredConnection::Http2 { lease, was_open } => match lease.ready().await {
                    Ok(sender) => {
                        let copy = clone_request(&request).map(Box::new);
                        match (lease.send(sender, target, request).await, copy) {
                            (Ok(response), _) => return Ok(response),
                            (Err(failure), Some(copy)) => {
                                request = copy;
                                failure
                            }
                            (Err(failure), None) => return Err(failure.error),
                        }
                    }
                    // `ready` has retired the connection. Each open connection thus fails in this way at most once.
                    Err(_) if was_open => continue,
                    Err(failure) => failure,
                },
            };
            if failure.effect == Effect::Unknown || resends == MAX_RESENDS {
                return Err(failure.error);
            }
            resends += 1;
        }
    }

    /// Returns an open connection, or else the kind of dial that the request needs. Also starts the dial of a further
    /// connection if the pool reports `wants_further_connection`.
    fn take_connection(
        &self,
        key: &PoolKey,
        target: &Uri,
        demand: Demand,
    ) -> Result<AcquiredConnection, DialKind> {
        let taken = self.pool.take_connection(key, demand)?;
        if let TakenConnection::Http2 { wants_further_connection: true, .. } = taken {
            let class = demand.class();
            self.pool
                .dial_further_connection(key, class, || self.dial(key, target, Offer::Both, class).boxed());
        }
        Ok(taken.into())
    }

    /// Waits for a new connection, or for a free stream of an open connection.
    async fn acquire_connection(
        &self,
        mut needed_dial: DialKind,
        key: &PoolKey,
        target: &Uri,
        demand: Demand,
    ) -> Result<AcquiredConnection, ConnectFailure> {
        loop {
            let opened = match needed_dial {
                DialKind::Own(offer) => self.dial(key, target, offer, demand.class()).await?,
                DialKind::Shared => match self.wait_for_stream_or_dial(key, target, demand).await? {
                    Either::Left(acquired) => return Ok(acquired),
                    Either::Right(opened) => opened,
                },
            };
            match opened {
                NewConnection::Http1(connection) => {
                    let connection = connection.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(connection) = connection {
                        return Ok(AcquiredConnection::Http1 { connection, was_idle: false });
                    }
                }
                NewConnection::Http2(connection) => {
                    if let Some(lease) = self.pool.lease_stream_of(&connection) {
                        return Ok(AcquiredConnection::Http2 { lease, was_open: false });
                    }
                }
            }
            needed_dial = match self.take_connection(key, target, demand) {
                Ok(acquired) => return Ok(acquired),
                Err(needed_dial) => needed_dial,
            };
        }
    }

    /// Waits for a free stream of an open connection, or for the dial that all waiting requests of a [`RequestClass`]
    /// share: one HTTP/2 connection serves many requests.
    async fn wait_for_stream_or_dial(
        &self,
        key: &PoolKey,
        target: &Uri,
        demand: Demand,
    ) -> Result<Either<AcquiredConnection, NewConnection>, ConnectFailure> {
        let class = demand.class();
        let mut dial: Option<SharedDial> = None;
        loop {
            let mut freed = pin!(self.pool.wait_for_free_stream(class));
            // Register for the notification before `take_connection` checks the pool: otherwise the task
            // would miss a stream that becomes free between the check and the wait.
            freed.as_mut().enable();
            if let Ok(taken) = self.pool.take_connection(key, demand) {
                if let Some(dial) = dial {
                    self.pool.continue_dial_in_task(dial);
                }
                return Ok(Either::Left(taken.into()));
            }
            let running = dial.get_or_insert_with(|| {
                self.pool.shared_dial(key, class, || self.dial(key, target, Offer::Both, class).boxed())
            });
            match select(running, freed).await {
                Either::Left((opened, _)) => return Ok(Either::Right(opened?)),
                Either::Right(((), _)) => {}
            }
        }
    }

    /// A future that opens a connection.
    fn dial(
        &self,
        key: &PoolKey,
        target: &Uri,
        offer: Offer,
        class: RequestClass,
    ) -> impl Future<Output = DialResult> + Send + use<> {
        // A dial that no request waits for must not keep the pool alive.
        let (connector, pool) = (self.connector(), Arc::downgrade(&self.pool));
        let (target, key) = (target.clone(), key.clone());
        async move { open_connection(&connector, &pool, &target, &key, offer, class).await }
    }

    /// Converts the body of a response to a [`ReturningBody`], which returns its connection to the pool. After a response
    /// that switches protocols, first waits until hyper has passed the stream to `hyper::upgrade::OnUpgrade`.
    async fn wrap_response(
        &self,
        response: Response<hyper::body::Incoming>,
        mut connection: h1::Connection,
        key: PoolKey,
    ) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            connection.wait_for_upgrade().await;
        }
        response
            .map(|incoming| Body::wrap_body(ReturningBody::new(incoming, connection, key, self.pool.clone())))
    }
}

impl From<TakenConnection> for AcquiredConnection {
    fn from(taken: TakenConnection) -> Self {
        match taken {
            TakenConnection::Http1(connection) => Self::Http1 { connection, was_idle: true },
            TakenConnection::Http2 { lease, .. } => Self::Http2 { lease, was_open: true },
        }
    }
}

/// Opens a connection, and adds it to the pool if it is an HTTP/2 connection.
async fn open_connection(
    connector: &Connector,
    pool: &Weak<Pool>,
    target: &Uri,
    key: &PoolKey,
    offer: Offer,
    class: RequestClass,
) -> DialResult {
    let (stream, protocol) = connector.connect(target, offer).await?;
    let broken = |error: BoxError| ConnectFailure::broken(target, error);
    let Some(pool) = pool.upgrade() else {
        return Err(broken("the client was dropped".into()));
    };
    Ok(match protocol {
        Protocol::Http1 => {
            if offer == Offer::Both {
                pool.record_http1_server(key);
            }
            let connection = h1::Connection::new(stream).await.map_err(|error| broken(error.into()))?;
            NewConnection::Http1(Arc::new(Mutex::new(Some(connection))))
        }
        Protocol::Http2 => {
            let freed = pool.freed_stream_notification(class).clone();
            let connection = h2::Connection::open(stream, pool.expected_max_streams(), freed).await;
            let connection = connection.map_err(|error| broken(error.into()))?;
            pool.add_http2(key, class, connection.clone());
            NewConnection::Http2(connection)
        }
    })
}

/// Counts a request as in flight until this value is dropped.
struct InFlightGuard<'a> {
    count: &'a AtomicUsize,
    others: usize,
}

impl<'a> InFlightGuard<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self { count, others: count.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether other requests were in flight when this request started.
    fn has_others(&self) -> bool {
        self.others > 0
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            // Boxed, so that a move into a nested future does not copy the whole request.
            match shared.send(&uri, Box::new(request)).await {
                Ok(response) => {
                    let mut response = response.map(|body| body.for_request(&method, &uri));
                    // `response::error_for_status` names the server in its error texts.
                    if let (true, Some(server)) = (response.status().is_client_error(), uri.authority()) {
                        response.extensions_mut().insert(server.clone());
                    }
                    Ok(response)
                }
                Err(error) => Err(failure::classify(error, &method, &uri, &shared.connector()).into()),
            }
        })
    }
}

/// Converts the request's URI to origin form (RFC 9112): path and query in the request line, the host in `Host`.
fn to_origin_form(request: &mut Request<Body>, target: &Uri) -> Result<(), BoxError> {
    if !request.headers().contains_key(header::HOST) {
        let host = HeaderValue::from_str(host_and_port(target)?.as_str())?;
        request.headers_mut().insert(header::HOST, host);
    }
    let path = target.path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    Ok(())
}

/// The value of `Host`, or of `:authority` in HTTP/2: the host, and the port unless it is the default of the scheme.
fn host_and_port(uri: &Uri) -> Result<Authority, BoxError> {
    let authority = uri.authority().ok_or("the address has no host")?;
    let default_port = if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    let (text, host) = (authority.as_str(), authority.host());
    Ok(match authority.port_u16().filter(|port| *port != default_port) {
        None if text == host => authority.clone(),
        None => host.parse()?,
        Some(_) if !text.contains('@') => authority.clone(),
        Some(port) => format!("{host}:{port}").parse()?,
    })
}
