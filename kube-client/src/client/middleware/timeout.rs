//! Limits the wait for the head of a response, and the wait for each frame of its body.

use futures::future::BoxFuture;
use http::{Request, Response};
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service};

use super::idle_limit::{IdleLimit, IdleLimitBody, RequestDescription};
use crate::{
    client::body::Body,
    error::{BoxError, Error, Wait},
};

/// Builds [`Timeouts`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeoutLayer {
    /// The time limit on the wait for the head of the response; `None` is no limit.
    pub(crate) response: Option<Duration>,
    /// The default of [`IdleLimit`]: the longest time that a read of the body waits for a frame; `None` is no limit.
    pub(crate) idle: Option<Duration>,
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeouts<S>;

    fn layer(&self, inner: S) -> Timeouts<S> {
        Timeouts { inner, limits: *self }
    }
}

/// Limits the wait for the head of a response, and the wait for each frame of its body.
#[derive(Clone, Debug)]
pub(crate) struct Timeouts<S> {
    inner: S,
    limits: TimeoutLayer,
}

impl<S> Service<Request<Body>> for Timeouts<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let idle = IdleLimit::for_request(request.extensions(), request.uri(), self.limits.idle);
        let description = RequestDescription::of(&request);
        let limit = self.limits.response;
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = match limit {
                None => response.await?,
                Some(after) => tokio::time::timeout(after, response).await.map_err(|_| {
                    Error::Timeout { wait: Wait::Response, after, what: description.to_string() }
                })??,
            };
            let Some(idle) = idle else { return Ok(response) };
            Ok(response.map(|body| Body::wrap_body(IdleLimitBody::new(body, idle, description))))
        })
    }
}
