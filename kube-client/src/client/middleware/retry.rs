//! Retries requests if a retry is safe; see [`RetryPolicy`].
//!
//! `retry_reason` decides from the request's head and the outcome alone whether a retry is safe. No other layer of the
//! default stack retries after a delay.

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service};

use crate::client::body::{Body, clone_request};
use crate::{
    client::{clock, long_running::is_upgrade, response::retry_after_seconds},
    config::RetryPolicy,
    error::{BoxError, Error, TransportKind},
};

/// Builds [`Retry`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLayer(pub(crate) RetryPolicy);

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, policy: self.0 }
    }
}

/// Retries requests if a retry is safe.
#[derive(Clone, Debug)]
pub(crate) struct Retry<S> {
    inner: S,
    policy: RetryPolicy,
}

impl<S> Service<Request<Body>> for Retry<S>
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(copy) = clone_request(&request).filter(|_| self.policy.tries > 1) else {
            return Box::pin(self.inner.call(request));
        };
        let fresh = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, fresh);
        // Call the service here and not in `retry`: the future of `retry` would store `request` in addition to `copy`.
        let first = ready.call(request);
        Box::pin(retry(ready, self.policy, copy, first))
    }
}

/// Waits for `first`. Then sends clones of `copy` while both `retry_reason` and `policy` allow another try.
async fn retry<S>(
    mut service: S,
    policy: RetryPolicy,
    copy: Request<Body>,
    first: S::Future,
) -> Result<Response<Body>, BoxError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
{
    let started = Instant::now();
    let mut outcome = first.await;
    let mut tries = 1;
    loop {
        let reason = match retry_reason(&copy, &outcome) {
            Some(reason) if tries < policy.tries => reason,
            _ => return outcome,
        };
        let wait = retry_wait(&policy, tries, Duration::MAX, reason);
        if started.elapsed().saturating_add(wait) > policy.total {
            return outcome;
        }
        #[cfg_attr(not(feature = "metrics"), expect(unused_mut, reason = "metrics mark the copy"))]
        let Some(mut next) = clone_request(&copy) else { return outcome };
        tracing::debug!(method = %copy.method(), path = copy.uri().path(), tries, ?wait, ?reason, "retrying");
        #[cfg(feature = "metrics")]
        next.extensions_mut().insert(super::metrics::PreviousOutcome::of(&outcome));
        // Boxed, so that the future of a request without retries is small.
        Box::pin(drain_and_wait(&mut service, outcome, wait)).await?;
        // The current span is that of `Trace`, if `Trace` has created one. A span without this field ignores the value.
        tracing::Span::current().record("http.request.resend_count", tries);
        tries += 1;
        outcome = service.call(next).await;
    }
}

/// Drains the response, so that its connection can be reused. Then waits until `delay` has elapsed since the
/// draining began, and until the service is ready.
async fn drain_and_wait<S>(
    service: &mut S,
    outcome: Result<Response<Body>, BoxError>,
    delay: Duration,
) -> Result<(), BoxError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
{
    let resume = clock::add_or_far_future(Instant::now(), delay);
    if let Ok(response) = outcome {
        response.into_body().drain().await;
    }
    sleep_until(resume).await;
    std::future::poll_fn(|cx| service.poll_ready(cx)).await
}

/// The reason to send a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RetryReason {
    /// The server sent `Retry-After`, with this wait.
    RetryAfter(Duration),
    /// The method is safe (RFC 9110).
    Safe,
}

/// The reason to send the request again; `None` if the outcome requires no retry, or if a retry is not safe. A write is
/// retried only if the response has both `Retry-After` and the code 429 or 503, which means that the write had no effect.
/// A GET that requests an upgrade counts as a write: it may run a command.
pub(crate) fn retry_reason<A, B>(
    request: &Request<A>,
    outcome: &Result<Response<B>, BoxError>,
) -> Option<RetryReason> {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && !is_upgrade(request.headers());
    match outcome {
        Ok(response) => {
            let code = response.status().as_u16();
            match retry_after_seconds(response.headers()) {
                Some(seconds) if matches!(code, 429 | 503) => {
                    Some(RetryReason::RetryAfter(Duration::from_secs(seconds.into())))
                }
                _ => (is_safe && matches!(code, 429 | 502 | 503 | 504)).then_some(RetryReason::Safe),
            }
        }
        Err(error) => (is_safe && is_transient(error.downcast_ref()?)).then_some(RetryReason::Safe),
    }
}

/// Whether the next try may succeed after this error.
fn is_transient(error: &Error) -> bool {
    // Timeouts are excluded: each retry could again take the whole time limit.
    matches!(error, Error::Transport { kind: TransportKind::Connect | TransportKind::Broken, .. })
}

/// The wait before the next try: `Retry-After`, or exponential backoff up to `max`. Random jitter of up to 25 % spreads
/// the retries of many clients.
pub(crate) fn retry_wait(policy: &RetryPolicy, tries: u32, max: Duration, reason: RetryReason) -> Duration {
    let base = match reason {
        RetryReason::RetryAfter(wait) => wait,
        RetryReason::Safe => policy.initial.saturating_mul(1 << (tries - 1).min(16)).min(max),
    };
    base.saturating_add(base.mul_f64(fastrand::f64() / 4.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Wait;
    use futures::stream;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    };
    use tower::{service_fn, util::ServiceExt};

    fn response(code: u16, retry_after: Option<&str>) -> Result<Response<Body>, BoxError> {
        let mut response = Response::builder().status(code);
        if let Some(seconds) = retry_after {
            response = response.header("retry-after", seconds);
        }
        Ok(response.body(Body::empty())?)
    }

    fn transport_error(kind: TransportKind) -> Result<Response<Body>, BoxError> {
        Err(Error::Transport { kind, what: String::new(), source: None }.into())
    }

    #[test]
    fn reads_are_retried_after_transient_failures_but_writes_only_if_the_server_requests_a_retry() {
        let retry_after = Some(RetryReason::RetryAfter(Duration::from_secs(2)));
        let safe = Some(RetryReason::Safe);
        let timed_out = || {
            Err(Error::Timeout { wait: Wait::Response, after: Duration::ZERO, what: String::new() }.into())
        };
        for (outcome, on_get, on_post) in [
            (response(200, None), None, None),
            (response(404, Some("2")), None, None),
            (response(429, Some("2")), retry_after, retry_after),
            (response(503, Some("2")), retry_after, retry_after),
            (response(429, None), safe, None),
            (response(503, Some("0")), safe, None),
            (response(504, Some("2")), safe, None),
            (response(500, Some("2")), None, None),
            (transport_error(TransportKind::Connect), safe, None),
            (transport_error(TransportKind::Broken), safe, None),
            (transport_error(TransportKind::Tls), None, None),
            (transport_error(TransportKind::Resolve), None, None),
            (timed_out(), None, None),
        ] {
            let request = |method: &Method| Request::builder().method(method).body(()).unwrap();
            assert_eq!(retry_reason(&request(&Method::GET), &outcome), on_get, "GET {outcome:?}");
            let mut upgrade = request(&Method::GET);
            upgrade.headers_mut().insert("connection", "Upgrade".parse().unwrap());
            upgrade.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            assert_eq!(retry_reason(&upgrade, &outcome), on_post, "upgrade {outcome:?}");
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(retry_reason(&request(&method), &outcome), on_post, "{method} {outcome:?}");
            }
        }
    }

    /// Sends one PUT request to a service that always returns `code`. Returns the number of tries and the elapsed
    /// seconds.
    async fn send_put(
        policy: RetryPolicy,
        body: Body,
        code: u16,
        retry_after: Option<&'static str>,
    ) -> (u32, u64) {
        let tries = Arc::new(AtomicU32::new(0));
        let counter = tries.clone();
        let service = service_fn(move |request: Request<Body>| {
            counter.fetch_add(1, SeqCst);
            async move {
                assert_eq!(request.headers()["x"], "y");
                assert_eq!(request.into_body().collect_bytes().await?, "body");
                response(code, retry_after)
            }
        });
        let request = Request::put("/x").header("x", "y").body(body).unwrap();
        let started = Instant::now();
        let response = RetryLayer(policy).layer(service).oneshot(request).await.unwrap();
        assert_eq!(response.status(), code);
        (tries.load(SeqCst), started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_range_of_the_clock_exceeds_the_total_time_and_prevents_the_retry() {
        let policy = RetryPolicy::default().initial(Duration::MAX);
        let service = service_fn(|_: Request<Body>| async { response(503, None) });
        let request = Request::get("/x").body(Body::empty()).unwrap();
        assert_eq!(RetryLayer(policy).layer(service).oneshot(request).await.unwrap().status(), 503);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_beyond_the_range_of_the_clock_never_ends_without_a_total_limit() {
        let policy = RetryPolicy::default().initial(Duration::MAX).total(Duration::MAX);
        let service = service_fn(|_: Request<Body>| async { response(503, None) });
        let request = Request::get("/x").body(Body::empty()).unwrap();
        let response = RetryLayer(policy).layer(service).oneshot(request);
        assert!(tokio::time::timeout(Duration::from_secs(86_400), response).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end_at_their_limits_and_a_streamed_body_is_never_sent_twice() {
        let body = || Body::from(b"body".to_vec());
        let policy = RetryPolicy::default();
        let (tries, seconds) = send_put(policy, body(), 429, Some("2")).await;
        assert!(tries == 5 && (8..=10).contains(&seconds), "{tries} {seconds}");
        let (tries, seconds) = send_put(policy, body(), 429, Some("12")).await;
        assert!(tries == 3 || tries == 2, "{tries} {seconds}");
        assert!(seconds <= 30);
        assert_eq!(send_put(policy, body(), 503, Some("31")).await, (1, 0));
        assert_eq!(send_put(policy, body(), 503, None).await, (1, 0));
        assert_eq!(send_put(RetryPolicy::never(), body(), 429, Some("1")).await, (1, 0));
        // A streamed body cannot be sent twice.
        let streamed = Body::wrap_stream(stream::iter([Ok::<_, BoxError>("body")]));
        assert_eq!(send_put(policy, streamed, 429, Some("1")).await, (1, 0));
    }
}
