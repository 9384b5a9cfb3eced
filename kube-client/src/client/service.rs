//! `HttpService`: a type-erased tower service behind an `Arc`.
//!
//! This module must not start a worker task. (`tower::buffer` starts one.)

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use std::{
    any::Any,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::Mutex;
use tower::{Service, util::ServiceExt};

use super::body::Body;
use crate::error::BoxError;

/// The type-erased HTTP service of a client.
///
/// With [`new`](Self::new), each call clones the inner service, and waits until the clone is ready. Cloning the default
/// stack only increments reference counts. With [`locked`](Self::locked), all calls use the same inner service.
#[derive(Clone)]
pub struct HttpService(Arc<dyn DynService>);

/// An object-safe service: unlike with a tower service, `call` itself waits until the service is ready.
trait DynService: Send + Sync {
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>>;
}

/// Implements [`DynService`] for a service that can be cloned.
struct ErasedService<S>(S);

impl<S, B> DynService for ErasedService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        // `map` keeps the future small: the future of an async block reserves memory for `response` twice.
        let response = self.0.clone().oneshot(request);
        Box::pin(response.map(|outcome| Ok(outcome.map_err(Into::into)?.map(Body::wrap_body))))
    }
}

/// Implements [`DynService`] for a service that cannot be cloned or shared.
struct LockedService<S>(Arc<Mutex<S>>);

impl<S, B> DynService for LockedService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        let service = self.0.clone();
        Box::pin(async move {
            let response = {
                let mut service = service.lock().await;
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
                service.call(request)
            };
            Ok(response.await.map_err(Into::into)?.map(Body::wrap_body))
        })
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
        // Do not erase a type twice: each level allocates a future for each request.
        if let Some(erased) = (&service as &dyn Any).downcast_ref::<Self>() {
            return erased.clone();
        }
        Self(Arc::new(ErasedService(service)))
    }

    /// Erases the type of a service that cannot be cloned or shared, such as a `BoxService` or a `RateLimit`.
    ///
    /// Concurrent requests start one at a time, in the order of their arrival. A request waits until the service has
    /// accepted all earlier requests and is ready again. It does not wait for the responses to these requests. With
    /// [`new`](Self::new), requests do not wait for each other.
    ///
    /// ```
    /// use kube_client::{BoxError, Client, client::{Body, HttpService}};
    /// use tower::util::BoxService;
    ///
    /// let sim = kube_sim::Sim::new();
    /// let service = BoxService::<http::Request<Body>, _, _>::new(sim.service());
    /// let client = Client::new(HttpService::locked(service), "default");
    /// ```
    pub fn locked<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Arc::new(LockedService(Arc::new(Mutex::new(service)))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{future::join, poll};
    use std::pin::pin;
    use tokio::sync::Semaphore;

    /// A service that is neither `Clone` nor `Sync`. It sends one response for each permit of the semaphore.
    struct UnclonableService(std::cell::Cell<u32>, Arc<Semaphore>);

    impl Service<Request<Body>> for UnclonableService {
        type Response = Response<Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<'static, Result<Response<Body>, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            self.0.set(self.0.get() + 1);
            let (number, permits) = (self.0.get(), self.1.clone());
            Box::pin(async move {
                permits.acquire().await.unwrap().forget();
                Ok(Response::new(Body::from(number.to_string().into_bytes())))
            })
        }
    }

    #[test]
    fn the_type_of_a_service_is_erased_only_once() {
        let service =
            HttpService::locked(UnclonableService(std::cell::Cell::default(), Arc::new(Semaphore::new(0))));
        assert!(Arc::ptr_eq(&service.0, &HttpService::new(service.clone()).0));
    }

    #[tokio::test]
    async fn a_locked_service_starts_requests_in_order_and_does_not_wait_for_responses() {
        let permits = Arc::new(Semaphore::new(0));
        let service = HttpService::locked(UnclonableService(std::cell::Cell::default(), permits.clone()));
        let mut first = pin!(service.send(Request::new(Body::empty())));
        let mut second = pin!(service.send(Request::new(Body::empty())));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        permits.add_permits(2);
        let (first, second) = join(first, second).await;
        assert_eq!(first.unwrap().into_body().collect_bytes().await.unwrap(), "1");
        assert_eq!(second.unwrap().into_body().collect_bytes().await.unwrap(), "2");
    }
}
