//! Connections: dialling, a pool of them, and what their failures mean.
//!
//! Takes a finished TLS configuration and knows nothing of certificates, credentials or Kubernetes.

mod connection;
mod connector;
mod failure;
mod pool;
mod stall;

pub(super) use connector::{Connector, Dial, Limits, Tls};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, uri::PathAndQuery, uri::Scheme};
use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

use self::{
    connection::Connection,
    pool::{Pool, PoolKey, Pooled},
};
use super::body::Body;
use crate::error::BoxError;

/// The innermost service: sends a request over a pooled connection.
#[derive(Clone, Debug)]
pub(super) struct Transport(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: RwLock<Connector>,
    pool: Arc<Pool>,
    /// How many requests wait for their answers.
    in_flight: AtomicUsize,
}

impl Transport {
    pub(super) fn new(connector: Connector, pool_idle: Option<Duration>) -> Self {
        Self(Arc::new(Shared {
            connector: RwLock::new(connector),
            pool: Arc::new(Pool::new(pool_idle)),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// Uses new connections from now on, for a client certificate that has changed. What is under way goes on.
    pub(super) fn renew(&self) {
        let fresh = self.0.connector().without_sessions();
        *self.0.connector.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.0.pool.renew();
    }
}

impl Shared {
    fn connector(&self) -> Connector {
        self.connector.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a request over a connection that is there, or over a new one.
    async fn send(&self, target: &Uri, mut request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let in_flight = InFlight::new(&self.in_flight);
        if in_flight.has_company() {
            // What has arrived for others is decoded first, in one go, and the requests that come of it leave in one go: the
            // server is woken once, and neither work is torn apart by the other.
            tokio::task::yield_now().await;
        }
        let key = self.pool.key(target);
        while let Some(mut connection) = self.pool.take(&key) {
            match connection.send(request).await {
                Ok(response) => return Ok(self.received(response, connection, key).await),
                // The server has closed the connection before anything was sent over it.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let mut connection = Connection::new(self.connector().connect(target).await?).await?;
        match connection.send(request).await {
            Ok(response) => Ok(self.received(response, connection, key).await),
            Err(error) => Err(error.into_error().into()),
        }
    }

    async fn received(
        &self,
        response: Response<hyper::body::Incoming>,
        mut connection: Connection,
        key: PoolKey,
    ) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            connection.ended().await;
        }
        response.map(|incoming| Body::wrap_body(Pooled::new(incoming, connection, key, self.pool.clone())))
    }
}

/// A request that waits for its answer.
struct InFlight<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether there were others at its beginning.
    fn has_company(&self) -> bool {
        self.before > 0
    }
}

impl Drop for InFlight<'_> {
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let shared = self.0.clone();
        Box::pin(async move {
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let sent = match to_origin_form(&mut request) {
                Ok(()) => shared.send(&uri, request).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(response) => {
                    let mut response = response.map(|body| body.answering(&method, &uri));
                    // For errors, which name the server.
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

/// Servers are sent the path alone, and the host in a header.
fn to_origin_form(request: &mut Request<Body>) -> Result<(), BoxError> {
    if !request.headers().contains_key(header::HOST) {
        let host = host(request.uri())?;
        request.headers_mut().insert(header::HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    Ok(())
}

/// The host, and the port where it is not the scheme's own.
fn host(uri: &Uri) -> Result<HeaderValue, BoxError> {
    let host = uri.host().ok_or("the address names no host")?;
    let usual = if uri.scheme() == Some(&Scheme::HTTP) { 80 } else { 443 };
    Ok(match uri.port_u16() {
        Some(port) if port != usual => HeaderValue::try_from(format!("{host}:{port}"))?,
        _ => HeaderValue::from_str(host)?,
    })
}
