//! `HttpService`: a type-erased tower service behind an `Arc`. Unlike `tower::buffer`, the service must not use a
//! worker task.

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Service, util::ServiceExt};

use super::body::Body;
use crate::error::BoxError;

/// The type-erased HTTP service of a client.
///
/// Each call clones the inner service and waits until the clone is ready. A clone of the default stack only increments
/// reference counts.
#[derive(Clone)]
pub struct HttpService(Arc<dyn DynService>);

/// An object-safe service: unlike with a tower service, `call` itself waits until the service is ready.
trait DynService: Send + Sync {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>>;
}

/// Implements [`DynService`] for a service, so that its type can be erased.
struct Erased<S>(S);

impl<S, B> DynService for Erased<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        let response = self.0.clone().oneshot(request);
        Box::pin(async move { Ok(response.await.map_err(Into::into)?.map(Body::wrap_body)) })
    }
}

impl HttpService {
    /// Erases the type of a service.
    pub fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(Erased(service)))
    }

    pub(super) fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        self.0.call(request)
    }
}

impl Service<Request<Body>> for HttpService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.send(request)
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpService")
    }
}
