//! Adds headers to every request: `User-Agent`, impersonation headers, and the headers of the configuration.

use http::{HeaderMap, HeaderName, Request};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Adds the same headers to all requests: see [`ExtraHeaders`]. Built by
/// [`ConfigExt::extra_headers_layer`](crate::client::ConfigExt::extra_headers_layer).
///
/// ```
/// use http::{Request, Response};
/// use kube_client::{BoxError, Config, client::{Body, ConfigExt}};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let mut config = Config::new("https://10.0.0.1".parse()?);
/// config.auth_info.impersonate = Some("jane".into());
/// let echo = service_fn(async |request: Request<Body>| {
///     Ok::<_, BoxError>(Response::new(request.headers()["impersonate-user"].to_str()?.to_owned()))
/// });
/// let service = config.extra_headers_layer()?.layer(echo);
/// assert_eq!(service.oneshot(Request::new(Body::empty())).await?.body(), "jane");
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
#[derive(Clone)]
pub struct ExtraHeadersLayer(Arc<HeaderMap>);

impl ExtraHeadersLayer {
    pub(crate) fn new(headers: HeaderMap) -> Self {
        Self(Arc::new(headers))
    }
}

/// Shows only names: values may be secret.
impl std::fmt::Debug for ExtraHeadersLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys().map(HeaderName::as_str)).finish()
    }
}

impl<S> Layer<S> for ExtraHeadersLayer {
    type Service = ExtraHeaders<S>;

    fn layer(&self, inner: S) -> ExtraHeaders<S> {
        ExtraHeaders { inner, headers: self.clone() }
    }
}

/// Adds headers that a request does not have yet; the service of [`ExtraHeadersLayer`].
#[derive(Clone, Debug)]
pub struct ExtraHeaders<S> {
    inner: S,
    headers: ExtraHeadersLayer,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for ExtraHeaders<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let own = request.headers_mut();
        own.reserve(self.headers.0.len());
        for name in self.headers.0.keys() {
            // Do not add a value to a header that the request already has.
            if !own.contains_key(name) {
                for value in self.headers.0.get_all(name) {
                    own.append(name, value.clone());
                }
            }
        }
        self.inner.call(request)
    }
}
