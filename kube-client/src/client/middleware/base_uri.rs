//! Puts the cluster's address before the path of each request.

use http::{
    Request, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Makes [`BaseUri`].
#[derive(Clone, Debug)]
pub(crate) struct BaseUriLayer {
    scheme: Scheme,
    authority: Authority,
    /// The path of the address without its last slash; empty for most clusters.
    prefix: Arc<str>,
}

impl BaseUriLayer {
    /// From an address that has a scheme and a host; `None` if it has not.
    pub(crate) fn new(address: &Uri) -> Option<Self> {
        let prefix = address.path().trim_end_matches('/').into();
        Some(Self { scheme: address.scheme()?.clone(), authority: address.authority()?.clone(), prefix })
    }

    /// The full address of a request. One that has a host already is left alone.
    fn join(&self, uri: &Uri) -> Option<Uri> {
        if uri.authority().is_some() {
            return None;
        }
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
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

/// Puts the cluster's address before the path of each request.
#[derive(Clone, Debug)]
pub(crate) struct BaseUri<S> {
    inner: S,
    base: BaseUriLayer,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for BaseUri<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(uri) = self.base.join(request.uri()) {
            *request.uri_mut() = uri;
        }
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, path: &str, expected: &str) {
        let base = BaseUriLayer::new(&base.parse().unwrap()).unwrap();
        let path: Uri = path.parse().unwrap();
        assert_eq!(base.join(&path).unwrap_or(path).to_string(), expected);
    }

    #[test]
    fn joins_address_and_path() {
        check("https://h:6443", "/api/v1/pods?limit=1", "https://h:6443/api/v1/pods?limit=1");
        check("https://h:6443/", "/", "https://h:6443/");
        check("https://h/k8s/c-1/", "/api?x=y", "https://h/k8s/c-1/api?x=y");
        check("http://[::1]:80/k8s", "/api", "http://[::1]:80/k8s/api");
        check("https://h", "https://other/api", "https://other/api");
    }
}
