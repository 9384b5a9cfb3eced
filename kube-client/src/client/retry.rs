//! The retry rules of the default stack, as a policy for tower's `Retry`.

use http::{Request, Response};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};
use tower::retry::Policy;

use super::middleware::{retry_reason, retry_wait};
use crate::{
    client::body::{Body, clone_request},
    config,
    error::BoxError,
};

/// A [`Policy`] that retries a request if a retry is safe, for stacks that are composed by hand. The default stack
/// needs no policy: set [`Config::retry`](crate::Config::retry).
///
/// [`config::RetryPolicy`] documents which requests are retried. After an error of the service, a request is retried
/// only if this error is an [`Error`](crate::Error). A request whose body is a stream is not retried. tower drops a
/// response before the retry, and thereby closes an HTTP/1.1 connection. The default stack reuses the connection.
///
/// ```
/// use http::{Request, Response};
/// use kube_client::{BoxError, Client, client::{Body, retry::RetryPolicy}};
/// use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
/// use tower::{ServiceBuilder, retry::RetryLayer, service_fn};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// static CALLS: AtomicU32 = AtomicU32::new(0);
/// let busy_at_first = service_fn(async |_: Request<Body>| {
///     let code = if CALLS.fetch_add(1, Ordering::Relaxed) == 0 { 503 } else { 200 };
///     Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(b"ok".to_vec()))?)
/// });
/// let policy = RetryPolicy::new(Duration::from_millis(1), Duration::from_secs(1), 3)?;
/// let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(busy_at_first);
/// let client = Client::new(service, "default");
/// assert_eq!(client.request_text(Request::get("/healthz").body(Vec::new())?).await?, "ok");
/// # Ok::<_, BoxError>(()) })?;
/// # Ok::<_, BoxError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    limits: config::RetryPolicy,
    max_delay: Duration,
    tries: u32,
    /// The start of the first try; `None` before the first try.
    started: Option<Instant>,
}

/// The delays do not form a backoff: the first one exceeds the maximum, or the maximum is zero.
#[derive(Debug, thiserror::Error)]
#[error("invalid backoff: {0}")]
pub struct InvalidBackoff(&'static str);

impl RetryPolicy {
    /// Retries at most `max_retries` times. The first wait is `min_delay`. Each further wait is twice as long, up to
    /// `max_delay`. Random jitter adds up to 25 %. A wait that the server sets with `Retry-After` is not limited.
    ///
    /// # Errors
    /// If `min_delay` exceeds `max_delay`, or `max_delay` is zero.
    pub fn new(min_delay: Duration, max_delay: Duration, max_retries: u32) -> Result<Self, InvalidBackoff> {
        if min_delay > max_delay {
            return Err(InvalidBackoff("the first delay exceeds the maximum"));
        }
        if max_delay.is_zero() {
            return Err(InvalidBackoff("the maximum is zero"));
        }
        let limits = config::RetryPolicy::default()
            .tries(max_retries.saturating_add(1))
            .initial(min_delay)
            .total(Duration::MAX);
        Ok(Self { max_delay, ..limits.into() })
    }

    /// The policy of the default stack.
    pub fn server_retry() -> Self {
        Self::default()
    }
}

impl Default for RetryPolicy {
    /// The policy of the default stack.
    fn default() -> Self {
        config::RetryPolicy::default().into()
    }
}

impl From<config::RetryPolicy> for RetryPolicy {
    fn from(limits: config::RetryPolicy) -> Self {
        Self { limits, max_delay: Duration::MAX, tries: 0, started: None }
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for RetryPolicy {
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        outcome: &mut Result<Response<B>, BoxError>,
    ) -> Option<Sleep> {
        let reason = retry_reason(request, outcome)?;
        self.tries += 1;
        if self.tries >= self.limits.tries {
            return None;
        }
        let wait = retry_wait(&self.limits, self.tries, self.max_delay, reason);
        let elapsed = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        (elapsed.saturating_add(wait) <= self.limits.total).then(|| sleep(wait))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        self.started.get_or_insert_with(Instant::now);
        clone_request(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, TransportKind};
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    };
    use tower::{Layer, ServiceExt, retry::RetryLayer, service_fn};

    /// Sends two POST requests to a service that always returns `code` with `Retry-After`; the second one has `body`.
    /// Returns the number of tries of the second request, and the seconds that it takes.
    async fn send_post(policy: RetryPolicy, code: u16, retry_after: &'static str, body: Body) -> (u32, u64) {
        let tries = Arc::new(AtomicU32::new(0));
        let counter = tries.clone();
        let service = service_fn(move |_: Request<Body>| {
            counter.fetch_add(1, SeqCst);
            async move {
                Ok::<_, BoxError>(
                    Response::builder().status(code).header("retry-after", retry_after).body(())?,
                )
            }
        });
        let service = RetryLayer::new(policy).layer(service);
        // Each request begins with its own copy of the policy: this request has no effect on the next one.
        service.clone().oneshot(Request::post("/x").body(Body::empty()).unwrap()).await.unwrap();
        tries.store(0, SeqCst);
        let started = Instant::now();
        service.oneshot(Request::post("/x").body(body).unwrap()).await.unwrap();
        (tries.load(SeqCst), started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_bounded_in_number_and_time() {
        let body = || Body::from(b"body".to_vec());
        let policy = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(1), 2).unwrap();
        let (tries, seconds) = send_post(policy.clone(), 429, "20", body()).await;
        assert!(tries == 3 && (40..=50).contains(&seconds), "{tries} {seconds}");
        // An empty `Retry-After` counts as missing. Without `Retry-After`, the write may have had an effect.
        // Such a write is not retried.
        assert_eq!(send_post(policy.clone(), 503, "", body()).await, (1, 0));
        let streamed = Body::wrap_stream(futures::stream::iter([Ok::<_, BoxError>("body")]));
        assert_eq!(send_post(policy, 429, "1", streamed).await, (1, 0));
        assert_eq!(send_post(RetryPolicy::server_retry(), 429, "31", body()).await, (1, 0));
        assert_eq!(
            send_post(RetryPolicy::from(config::RetryPolicy::never()), 429, "1", body()).await,
            (1, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_retried_after_a_broken_connection_with_at_most_the_maximum_delay() {
        let service = service_fn(|_: Request<Body>| async {
            let broken = Error::Transport { kind: TransportKind::Broken, what: String::new(), source: None };
            Err::<Response<()>, _>(BoxError::from(broken))
        });
        let policy = RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(2), 4).unwrap();
        let started = Instant::now();
        let request = Request::get("/x").body(Body::empty()).unwrap();
        RetryLayer::new(policy).layer(service).oneshot(request).await.unwrap_err();
        // 1 + 2 + 2 + 2 seconds and up to 25 % of jitter.
        assert!((7..=9).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    }

    #[test]
    fn invalid_delays_are_an_error() {
        let second = Duration::from_secs(1);
        assert!(RetryPolicy::new(second * 2, second, 1).is_err());
        assert!(RetryPolicy::new(Duration::ZERO, Duration::ZERO, 1).is_err());
    }
}
