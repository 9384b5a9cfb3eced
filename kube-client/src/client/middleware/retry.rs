//! Repeats requests where that is safe and may help; see [`RetryPolicy`].
//!
//! The decision is a pure function of what was asked and what came of it. This is the only place of the client that
//! sleeps after a failure.

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service};

use crate::{
    client::{body::Body, response::retry_after_seconds},
    config::RetryPolicy,
    error::{BoxError, Error, TransportKind},
};

/// Makes [`Retry`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLayer(pub(crate) RetryPolicy);

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, policy: self.0 }
    }
}

/// Repeats requests where that is safe and may help.
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
        let Some(spare) = clone_request(&request).filter(|_| self.policy.tries > 1) else {
            return Box::pin(self.inner.call(request));
        };
        let fresh = self.inner.clone();
        let ready = std::mem::replace(&mut self.inner, fresh);
        Box::pin(run(ready, self.policy, request, spare))
    }
}

async fn run<S>(
    mut service: S,
    policy: RetryPolicy,
    request: Request<Body>,
    spare: Request<Body>,
) -> Result<Response<Body>, BoxError>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = BoxError>,
{
    let started = Instant::now();
    let mut next = request;
    let mut tries = 1;
    loop {
        let outcome = service.call(next).await;
        let reason = match reason(spare.method(), &outcome) {
            Some(reason) if tries < policy.tries => reason,
            _ => return outcome,
        };
        let wait = wait(&policy, tries, reason);
        if started.elapsed().saturating_add(wait) > policy.total {
            return outcome;
        }
        let Some(again) = clone_request(&spare) else { return outcome };
        tracing::debug!(method = %spare.method(), path = spare.uri().path(), tries, ?wait, ?reason, "trying again");
        // Nothing of the refused try is held during the wait.
        drop(outcome);
        sleep(wait).await;
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        next = again;
        tries += 1;
    }
}

/// Why a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The server asked for it, with this wait.
    RequestLine(Duration),
    /// Reading changes nothing.
    Read,
}

/// Whether the same request may be sent again: never one that may have taken effect, unless the server says it did not.
fn reason(method: &Method, outcome: &Result<Response<Body>, BoxError>) -> Option<Reason> {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match outcome {
        Ok(response) => {
            let code = response.status().as_u16();
            match retry_after_seconds(response.headers()) {
                Some(seconds) if matches!(code, 429 | 503) => {
                    Some(Reason::RequestLine(Duration::from_secs(seconds.into())))
                }
                _ => (reads && matches!(code, 429 | 502 | 503 | 504)).then_some(Reason::Read),
            }
        }
        Err(error) => (reads && may_pass(error.downcast_ref()?)).then_some(Reason::Read),
    }
}

/// Whether a failed connection may come to be.
fn may_pass(error: &Error) -> bool {
    // A limit that has passed has cost its time already.
    matches!(error, Error::Transport { kind: TransportKind::Connect | TransportKind::Broken, .. })
}

/// The wait before the next try: what the server asks for, else a doubling one; with up to a quarter more at random, so
/// that many clients do not come back at once.
fn wait(policy: &RetryPolicy, tries: u32, reason: Reason) -> Duration {
    let base = match reason {
        Reason::RequestLine(wait) => wait,
        Reason::Read => policy.initial.saturating_mul(1 << (tries - 1).min(16)),
    };
    base.saturating_add(base.mul_f64(fastrand::f64() / 4.0))
}

fn clone_request(request: &Request<Body>) -> Option<Request<Body>> {
    let body = request.body().try_clone()?;
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
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

    fn answer(code: u16, retry_after: Option<&str>) -> Result<Response<Body>, BoxError> {
        let mut response = Response::builder().status(code);
        if let Some(seconds) = retry_after {
            response = response.header("retry-after", seconds);
        }
        Ok(response.body(Body::empty())?)
    }

    fn failed(kind: TransportKind) -> Result<Response<Body>, BoxError> {
        Err(Error::Transport { kind, what: String::new(), source: None }.into())
    }

    #[test]
    fn only_what_had_no_effect_is_repeated() {
        let request_line = Some(Reason::RequestLine(Duration::from_secs(2)));
        let read = Some(Reason::Read);
        let late = || {
            Err(Error::Timeout { wait: Wait::Response, after: Duration::ZERO, what: String::new() }.into())
        };
        for (outcome, on_get, on_post) in [
            (answer(200, None), None, None),
            (answer(404, Some("2")), None, None),
            (answer(429, Some("2")), request_line, request_line),
            (answer(503, Some("2")), request_line, request_line),
            (answer(429, None), read, None),
            (answer(503, Some("0")), read, None),
            (answer(504, Some("2")), read, None),
            (answer(500, Some("2")), None, None),
            (failed(TransportKind::Connect), read, None),
            (failed(TransportKind::Broken), read, None),
            (failed(TransportKind::Tls), None, None),
            (failed(TransportKind::Resolve), None, None),
            (late(), None, None),
        ] {
            assert_eq!(reason(&Method::GET, &outcome), on_get, "GET {outcome:?}");
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(reason(&method, &outcome), on_post, "{method} {outcome:?}");
            }
        }
    }

    /// Sends one request into a service that always answers alike; returns the tries and the seconds that it took.
    async fn send(
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
                answer(code, retry_after)
            }
        });
        let request = Request::put("/x").header("x", "y").body(body).unwrap();
        let started = Instant::now();
        let response = RetryLayer(policy).layer(service).oneshot(request).await.unwrap();
        assert_eq!(response.status(), code);
        (tries.load(SeqCst), started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_wait_beyond_the_clock_ends_the_tries() {
        let policy = RetryPolicy::default().initial(Duration::MAX);
        let service = service_fn(|_: Request<Body>| async { answer(503, None) });
        let request = Request::get("/x").body(Body::empty()).unwrap();
        assert_eq!(RetryLayer(policy).layer(service).oneshot(request).await.unwrap().status(), 503);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_and_time_are_bounded() {
        let body = || Body::from(b"body".to_vec());
        let policy = RetryPolicy::default();
        let (tries, seconds) = send(policy, body(), 429, Some("2")).await;
        assert!(tries == 5 && (8..=10).contains(&seconds), "{tries} {seconds}");
        let (tries, seconds) = send(policy, body(), 429, Some("12")).await;
        assert!(tries == 3 || tries == 2, "{tries} {seconds}");
        assert!(seconds <= 30);
        assert_eq!(send(policy, body(), 503, Some("31")).await, (1, 0));
        assert_eq!(send(policy, body(), 503, None).await, (1, 0));
        assert_eq!(send(RetryPolicy::never(), body(), 429, Some("1")).await, (1, 0));
        // What cannot be sent twice is not.
        let streamed = Body::wrap_stream(stream::iter([Ok::<_, BoxError>("body")]));
        assert_eq!(send(policy, streamed, 429, Some("1")).await, (1, 0));
    }
}
