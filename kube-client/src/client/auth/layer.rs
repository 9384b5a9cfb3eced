//! The layer that adds credentials to requests, except to a request that already has an `Authorization` header.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, StatusCode};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

use super::{AUTHORIZATION, Credentials, credentials::RenewableCredentials};
use crate::{
    client::body::{Body, clone_request},
    error::BoxError,
};

/// Adds the credentials of a [`Config`](crate::Config) to requests: see [`Auth`]. Built by
/// [`ConfigExt::auth_layer`](crate::client::ConfigExt::auth_layer).
///
/// ```
/// use http::{Request, Response};
/// use kube_client::{BoxError, Config, client::{Body, ConfigExt}};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let mut config = Config::new("https://10.0.0.1".parse()?);
/// assert!(config.auth_layer()?.is_none());
/// config.auth_info.token = Some("abc".to_owned().into());
/// let echo = service_fn(async |request: Request<Body>| {
///     let sent = request.headers()["authorization"].as_bytes().to_vec();
///     Ok::<_, BoxError>(Response::new(Body::from(sent)))
/// });
/// let service = config.auth_layer()?.ok_or("no credentials")?.layer(echo);
/// let response = service.oneshot(Request::new(Body::empty())).await?;
/// assert_eq!(response.into_body().collect_bytes().await?, "Bearer abc");
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AuthLayer(Credentials);

impl AuthLayer {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self(credentials)
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { inner, credentials: self.0.clone() }
    }
}

/// Adds credentials to requests; the service of [`AuthLayer`]. A request with an `Authorization` header is
/// not changed.
///
/// After a 401, this service renews credentials that can change, once for all requests that used them. If
/// there are new credentials, it sends the request once more.
///
/// In the stack that [`ClientBuilder::try_from`](crate::client::ClientBuilder) builds, this service also
/// handles the rejection of a certificate in the TLS handshake. It then reads the certificate files again,
/// once for all requests that used the rejected certificates. If the certificates have changed, it sends the
/// request once more.
///
/// If the body of the rejected request is a stream, this service neither renews the credentials nor reads the
/// files, and does not send the request again.
#[derive(Clone, Debug)]
pub struct Auth<S> {
    inner: S,
    credentials: Credentials,
}

impl<S, B> Service<Request<Body>> for Auth<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match &self.credentials {
            _ if request.headers().contains_key(AUTHORIZATION) => Box::pin(self.inner.call(request)),
            Credentials::Fixed(header) => {
                set_authorization(&mut request, header.clone());
                Box::pin(self.inner.call(request))
            }
            Credentials::Renewable(credentials) => {
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                Box::pin(send_with_credentials(ready, credentials.clone(), request))
            }
        }
    }
}

/// Sends a request with credentials. If the server rejects the credentials, renews them; if there are new
/// credentials, sends the request once more. If the body of the rejected request is a stream, neither renews
/// the credentials nor sends the request again.
async fn send_with_credentials<S, B>(
    mut service: S,
    credentials: Arc<RenewableCredentials>,
    mut request: Request<Body>,
) -> Result<Response<B>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let used = credentials.current_snapshot().await?;
    let copy = clone_request(&request);
    set_authorization(&mut request, used.header.clone());
    let outcome = service.call(request).await;
    let Some(mut copy) = copy else { return outcome };
    // A request that is rejected with 401 or in the TLS handshake has no effect. It may be sent again, whatever its
    // verb.
    let newer = match outcome {
        Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
            let newer = credentials.renew(&used).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the server rejected the credentials (401), and they cannot be renewed");
                None
            });
            let Some(newer) = newer else { return Ok(response) };
            Body::wrap_body(response.into_body()).drain().await;
            newer
        }
        Ok(response) => return Ok(response),
        Err(error) => match credentials.renew_certificates(&used, &error).await {
            Some(newer) => newer,
            None => return Err(error),
        },
    };
    set_authorization(&mut copy, newer.header);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(copy).await
}

/// Sets the `Authorization` header, if there is a value.
fn set_authorization(request: &mut Request<Body>, value: Option<HeaderValue>) {
    if let Some(value) = value {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
}
