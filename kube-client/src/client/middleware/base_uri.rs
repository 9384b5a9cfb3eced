//! Prepends the API server's address to the path of each request.

use futures::{
    TryFutureExt,
    future::{Either, ErrInto, Ready, ready},
};
use http::{
    Request, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

use crate::error::{BoxError, Error};

/// Prepends an address to the path of each request: see [`BaseUri`].
///
/// ```
/// use http::{Request, Response};
/// use kube_client::{BoxError, client::{Body, middleware::BaseUriLayer}};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let echo = service_fn(async |request: Request<Body>| Ok::<_, BoxError>(Response::new(request.uri().to_string())));
/// let service = BaseUriLayer::new("https://10.0.0.1:6443/base".parse()?).layer(echo);
/// let response = service.oneshot(Request::get("/api/v1/pods").body(Body::empty())?).await?;
/// assert_eq!(response.body(), "https://10.0.0.1:6443/base/api/v1/pods");
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BaseUriLayer {
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    /// The path of the address without trailing slashes; empty for most clusters.
    prefix: Arc<str>,
}

impl BaseUriLayer {
    /// A layer for this address, which may have a path. If the address has no scheme or no host, each request fails.
    #[expect(clippy::needless_pass_by_value, reason = "kube's signature")]
    pub fn new(base_uri: Uri) -> Self {
        let prefix = base_uri.path().trim_end_matches('/').into();
        Self { scheme: base_uri.scheme().cloned(), authority: base_uri.authority().cloned(), prefix }
    }

    /// The full URI of a request. `None` if the address has no scheme or no host, or if the prefix and the path do not
    /// form a valid URI.
    ///
    /// Replaces the scheme and host of the request: credentials must not reach another server.
    fn join(&self, uri: &Uri) -> Option<Uri> {
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(self.scheme.clone()?);
        parts.authority = Some(self.authority.clone()?);
        let path = parts.path_and_query.take().unwrap_or(PathAndQuery::from_static("/"));
        parts.path_and_query = Some(if self.prefix.is_empty() {
            path
        } else {
            format!("{}{path}", self.prefix).parse().ok()?
        });
        Uri::from_parts(parts).ok()
    }
}

impl<S> Layer<S> for BaseUriLayer {
    type Service = BaseUri<S>;

    fn layer(&self, inner: S) -> BaseUri<S> {
        BaseUri { inner, base: self.clone() }
    }
}

/// Prepends the API server's address to the path of each request; the service of [`BaseUriLayer`].
///
/// Replaces the scheme and host of a request, so that credentials never reach another server.
#[derive(Clone, Debug)]
pub struct BaseUri<S> {
    inner: S,
    base: BaseUriLayer,
}

impl<S, B> Service<Request<B>> for BaseUri<S>
where
    S: Service<Request<B>, Error: Into<BoxError>>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<ErrInto<S::Future, BoxError>, Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(uri) = self.base.join(request.uri()) else {
            let what = format!(
                "cannot append the path {} to the cluster's address; correct the path, and give the address with scheme and host",
                request.uri().path()
            );
            return Either::Right(ready(Err(Error::Request { what, source: None }.into())));
        };
        *request.uri_mut() = uri;
        Either::Left(self.inner.call(request).err_into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_join(base: &str, path: &str, expected: &str) {
        let base = BaseUriLayer::new(base.parse().unwrap());
        let path: Uri = path.parse().unwrap();
        assert_eq!(base.join(&path).unwrap().to_string(), expected);
    }

    #[test]
    fn join_prepends_the_address_and_replaces_scheme_and_host() {
        assert_join("https://h:6443", "/api/v1/pods?limit=1", "https://h:6443/api/v1/pods?limit=1");
        assert_join("https://h:6443/", "/", "https://h:6443/");
        assert_join("https://h/k8s/c-1/", "/api?x=y", "https://h/k8s/c-1/api?x=y");
        assert_join("http://[::1]:80/k8s", "/api", "http://[::1]:80/k8s/api");
        assert_join("https://h", "https://other/api", "https://h/api");
        assert_join("https://h/k8s", "http://u:p@other:80/api?x=y", "https://h/k8s/api?x=y");
        assert_join("https://h", "http://other", "https://h/");
    }
}
