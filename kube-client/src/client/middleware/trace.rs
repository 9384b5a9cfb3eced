//! One `tracing` event per request: method, path, outcome, duration. The event must not contain headers or bodies.

use futures::future::BoxFuture;
use http::{Request, Response};
use std::task::{Context, Poll};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::error::BoxError;

/// Builds [`Trace`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceLayer;

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// Emits a `tracing` event for each request.
#[derive(Clone, Debug)]
pub(crate) struct Trace<S> {
    inner: S,
}

impl<S, A, B> Service<Request<A>> for Trace<S>
where
    S: Service<Request<A>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return Box::pin(self.inner.call(request));
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let started = Instant::now();
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await;
            let elapsed = started.elapsed();
            match &response {
                Ok(response) => {
                    tracing::debug!(%method, path, status = response.status().as_u16(), ?elapsed, "request");
                }
                Err(error) => tracing::debug!(%method, path, %error, ?elapsed, "request failed"),
            }
            response
        })
    }
}
