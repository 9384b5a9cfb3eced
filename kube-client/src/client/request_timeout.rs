//! The time limit on a whole request: retries, the wait for the response, and its body.
//!
//! The client applies this limit outside of its stack, so that stacks that are composed by hand have the limit, too.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::{body::Body, clock, long_running::default_limit, request_line::RequestLine};
use crate::error::{BoxError, Error, Result, Wait};

/// The time limit on one request, from its start to the end of its response body. The limit includes retries, and the
/// time that the program takes to read the body. Insert a `RequestTimeout` into the extensions of the request.
///
/// A request without this extension has the limit [`Config::request_timeout`](crate::Config::request_timeout), or the
/// limit that replaces it in [`Client::with_request_timeout`](crate::Client::with_request_timeout). These two limits do
/// not apply to watches and followed logs: requests with `watch=true` or `follow=true` in their query.
///
/// ```
/// use kube_client::client::RequestTimeout;
///
/// let mut request = http::Request::get("/api/v1/pods").body(Vec::<u8>::new())?;
/// request.extensions_mut().insert(RequestTimeout::after(std::time::Duration::from_secs(5)));
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTimeout(Option<Duration>);

impl RequestTimeout {
    /// No limit.
    pub const NONE: Self = Self(None);

    /// The request fails with [`Error::Timeout`] if it is not complete after this time.
    #[must_use]
    pub const fn after(limit: Duration) -> Self {
        Self(Some(limit))
    }

    /// The limit on a request. Without a `RequestTimeout` in the extensions, it is `default`, or `None` for a watch or a
    /// followed log.
    pub(super) fn of<B>(request: &Request<B>, default: Option<Duration>) -> Option<Duration> {
        match request.extensions().get::<Self>() {
            Some(limit) => limit.0,
            None => default_limit(request.uri(), default),
        }
    }
}

/// Waits for a response until `limit` expires, and limits its body to the remaining time. After an upgrade (101) the
/// connection has no limit.
pub(super) async fn limit_response(
    request_line: &RequestLine,
    limit: Duration,
    response: impl Future<Output = Result<Response<Body>, BoxError>>,
) -> Result<Response<Body>, BoxError> {
    let expired = Error::Timeout { wait: Wait::Request, after: limit, what: request_line.to_string() };
    let at = clock::add_or_far_future(Instant::now(), limit);
    let Ok(response) = timeout_at(at, response).await else { return Err(expired.into()) };
    let response = response?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let limited =
        |inner| BodyWithDeadline { inner, timer: Box::pin(sleep_until(at)), expired: Some(expired) };
    Ok(response.map(|body| Body::wrap_body(limited(body))))
}

/// A response body that fails at its deadline.
struct BodyWithDeadline {
    inner: Body,
    timer: Pin<Box<Sleep>>,
    /// The error that the body returns at its deadline; `None` after the body has returned it.
    expired: Option<Error>,
}

impl HttpBody for BodyWithDeadline {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        // Check the timer before the body: a body that always has data must time out, too.
        if this.expired.is_some() && !this.inner.is_end_stream() && this.timer.as_mut().poll(cx).is_ready() {
            this.inner = Body::empty();
            return Poll::Ready(this.expired.take().map(Err));
        }
        Pin::new(&mut this.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Client,
        api::Api,
        client::ClientBuilder,
        config::{Config, RetryPolicy},
        core::ListParams,
    };
    use futures::{StreamExt, stream};
    use k8s_openapi::api::core::v1::ConfigMap;
    use tower::service_fn;

    /// A client of a server that sends the head of a response after `head` seconds, and then one piece of the body per
    /// second.
    fn client(head: u64, code: u16) -> Client {
        let server = service_fn(move |_: Request<Body>| async move {
            tokio::time::sleep(Duration::from_secs(head)).await;
            let pieces = stream::repeat(" ").then(|piece| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok::<_, Error>(piece)
            });
            Ok::<_, BoxError>(Response::builder().status(code).body(Body::wrap_stream(pieces))?)
        });
        let mut config = Config::new("http://localhost".parse().unwrap());
        config.retry = RetryPolicy::default().tries(u32::MAX).total(Duration::MAX);
        config.request_timeout = Some(Duration::from_secs(1000));
        ClientBuilder::over(server, &config).unwrap().build()
    }

    fn assert_expired(error: &Error, seconds: u64, started: Instant) {
        let text =
            format!("timed out after {seconds}s waiting for the end of the request (GET /api/v1/configmaps)");
        assert_eq!(error.to_string(), text);
        assert_eq!(started.elapsed().as_secs(), seconds);
    }

    #[tokio::test(start_paused = true)]
    async fn the_request_timeout_limits_the_head_the_body_and_the_retries_of_a_call() {
        for (head, code) in [(50, 200), (0, 200), (0, 503)] {
            for limit in [None, Some(Duration::from_secs(9))] {
                let client = client(head, code);
                let client = if limit.is_some() { client.with_request_timeout(limit) } else { client };
                let started = Instant::now();
                let error = Api::<ConfigMap>::all(client).list(&ListParams::default()).await.unwrap_err();
                assert_expired(&error, if limit.is_some() { 9 } else { 1000 }, started);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn watches_have_only_the_limit_that_their_request_sets() {
        let client = client(0, 200).with_request_timeout(Some(Duration::from_secs(5)));
        let watch = |limit: Option<RequestTimeout>| {
            let mut request = Request::get("/api/v1/configmaps?watch=true").body(Vec::new()).unwrap();
            if let Some(limit) = limit {
                request.extensions_mut().insert(limit);
            }
            client.open(request)
        };
        let started = Instant::now();
        let pieces = watch(None).await.unwrap().into_body().into_data_stream();
        assert!(Box::pin(pieces.take(20)).all(|piece| async move { piece.is_ok() }).await);
        assert_eq!(started.elapsed().as_secs(), 20);
        let started = Instant::now();
        let body = watch(Some(RequestTimeout::after(Duration::from_secs(7)))).await.unwrap().into_body();
        assert_expired(&body.collect_bytes().await.unwrap_err(), 7, started);
        assert_eq!(RequestTimeout::of(&Request::new(()), None), None);
        let mut request = Request::new(());
        request.extensions_mut().insert(RequestTimeout::NONE);
        assert_eq!(RequestTimeout::of(&request, Some(Duration::ZERO)), None);
    }

    #[tokio::test]
    async fn a_complete_body_can_be_read_after_the_limit() {
        let request_line = RequestLine::of(&Request::new(()));
        let response = async { Ok(Response::new(Body::empty())) };
        let response = limit_response(&request_line, Duration::from_millis(1), response).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(response.into_body().collect_bytes().await.unwrap(), "");
    }
}
