//! Connections: dialling, a pool of them, and what their failures mean.
//!
//! Takes a finished TLS configuration and knows nothing of certificates, credentials or Kubernetes.

mod connector;
mod failure;
mod stall;

pub(super) use connector::{Connector, Dial, Limits, Tls};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

use super::body::Body;
use crate::error::BoxError;

/// The innermost service: sends a request over a pooled connection.
#[derive(Clone, Debug)]
pub(super) struct Transport(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: Connector,
    pool_idle: Option<Duration>,
    client: RwLock<legacy::Client<Connector, Body>>,
}

impl Transport {
    pub(super) fn new(connector: Connector, pool_idle: Option<Duration>) -> Self {
        let client = RwLock::new(pool(connector.clone(), pool_idle));
        Self(Arc::new(Shared { connector, pool_idle, client }))
    }

    /// Uses new connections from now on, for a client certificate that has changed. What is under way goes on.
    pub(super) fn renew(&self) {
        let fresh = pool(self.0.connector.without_sessions(), self.0.pool_idle);
        *self.0.client.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

fn pool(connector: Connector, idle: Option<Duration>) -> legacy::Client<Connector, Body> {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(idle)
        .build(connector)
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let shared = self.0.clone();
        let response = shared.client.read().unwrap_or_else(PoisonError::into_inner).request(request);
        Box::pin(async move {
            match response.await {
                Ok(mut response) => {
                    // For errors, which name the server.
                    if let (true, Some(server)) = (response.status().is_client_error(), uri.authority()) {
                        response.extensions_mut().insert(server.clone());
                    }
                    Ok(response.map(Body::wrap_body))
                }
                Err(error) => Err(failure::classify(error, &method, &uri, &shared.connector).into()),
            }
        })
    }
}
