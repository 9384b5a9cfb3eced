//! The layer that adds credentials to requests, except to a request that already has an `Authorization` header.

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode};
use std::task::{Context, Poll};
use tower::{Layer, Service};

use super::{AUTHORIZATION, Credentials};
use crate::{
    client::body::{Body, clone_request},
    error::BoxError,
};

/// Builds [`Auth`].
#[derive(Clone, Debug)]
pub(crate) struct AuthLayer(pub(crate) Credentials);

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, credentials: self.0.clone() }
    }
}

/// Adds credentials to requests. After a 401 it renews the credentials and sends the request once more.
///
/// Does not change a request that already has an `Authorization` header.
#[derive(Clone, Debug)]
pub(crate) struct Auth<S> {
    inner: S,
    credentials: Credentials,
}

impl<S> Service<Request<Body>> for Auth<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match &self.credentials {
            _ if request.headers().contains_key(AUTHORIZATION) => Box::pin(self.inner.call(request)),
            Credentials::None => Box::pin(self.inner.call(request)),
            Credentials::Fixed(value) => {
                request.headers_mut().insert(AUTHORIZATION, value.clone());
                Box::pin(self.inner.call(request))
            }
            Credentials::File(_) | Credentials::Exec(_) => {
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                Box::pin(send_with_credentials(ready, self.credentials.clone(), request))
            }
        }
    }
}

/// Sends a request with credentials. After a 401, renews the credentials and sends the request once more.
async fn send_with_credentials<S>(
    mut service: S,
    credentials: Credentials,
    mut request: Request<Body>,
) -> Result<Response<Body>, BoxError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
{
    let used = credentials.current().await?;
    let copy = clone_request(&request);
    set_authorization(&mut request, used.header.clone());
    let response = service.call(request).await?;
    // A request that is rejected with 401 has no effect, so any verb may be sent again.
    let (StatusCode::UNAUTHORIZED, Some(mut copy)) = (response.status(), copy) else { return Ok(response) };
    match credentials.renew(&used).await {
        Ok(true) => {}
        Ok(false) => return Ok(response),
        Err(error) => {
            tracing::warn!(%error, "the server rejected the credentials (401), and they cannot be renewed");
            return Ok(response);
        }
    }
    response.into_body().drain().await;
    set_authorization(&mut copy, credentials.current().await?.header);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(copy).await
}

/// Sets the `Authorization` header, if there is a value.
fn set_authorization(request: &mut Request<Body>, value: Option<HeaderValue>) {
    if let Some(value) = value {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
}
