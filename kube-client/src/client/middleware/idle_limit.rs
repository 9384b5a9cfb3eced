//! The read deadline of response bodies, and the request extension that overrides it.

use bytes::Bytes;
use http::{Extensions, Method, Request, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    client::{body::Body, clock, long_running::default_limit},
    error::{Error, Result, Wait},
};

/// The read deadline of the response body of one request: the longest time that a read waits for the next frame. Insert
/// an `IdleLimit` into the extensions of the request.
///
/// Without an `IdleLimit`, the limit is `Config::read_timeout`, and requests with `watch=true` or `follow=true` in their
/// query have no limit.
///
/// ```
/// use kube_client::client::IdleLimit;
///
/// let mut request = http::Request::get("/api/v1/pods?watch=true").body(Vec::<u8>::new())?;
/// request.extensions_mut().insert(IdleLimit::after(std::time::Duration::from_secs(300)));
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleLimit(Option<Duration>);

impl IdleLimit {
    /// No limit on the wait for a frame.
    pub const NONE: Self = Self(None);

    /// The body fails with [`Error::Timeout`] after a read has waited this long for a frame.
    #[must_use]
    pub const fn after(limit: Duration) -> Self {
        Self(Some(limit))
    }

    /// The read deadline for a request. Without an `IdleLimit` in the extensions, it is `default`, or `None` for a watch
    /// or a followed log.
    pub(super) fn for_request(
        extensions: &Extensions,
        uri: &Uri,
        default: Option<Duration>,
    ) -> Option<Duration> {
        match extensions.get::<Self>() {
            Some(limit) => limit.0,
            None => default_limit(uri, default),
        }
    }
}

/// A response body that fails if the server sends no frame for `limit` while the reader waits.
pub(super) struct IdleLimitBody {
    inner: Body,
    limit: Duration,
    /// The timer of the wait for a frame; `None` before the first wait. Each wait restarts the timer, so that the time
    /// between two reads does not count as a pause of the server.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the reader waits for a frame. The first poll of each wait restarts the timer.
    waiting: bool,
    request: RequestDescription,
}

impl IdleLimitBody {
    pub(super) fn new(inner: Body, limit: Duration, request: RequestDescription) -> Self {
        Self { inner, limit, timer: None, waiting: false, request }
    }
}

/// The method and the URI of a request, for error texts. `Display` omits the scheme and the query.
#[derive(Debug)]
pub(super) struct RequestDescription {
    method: Method,
    uri: Uri,
}

impl RequestDescription {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone() }
    }
}

impl fmt::Display for RequestDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.uri.authority().map_or("", |host| host.as_str());
        write!(f, "{} {host}{}", self.method, self.uri.path())
    }
}

impl HttpBody for IdleLimitBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = false;
            return Poll::Ready(frame);
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(this.limit)));
        if !this.waiting {
            this.waiting = true;
            timer.as_mut().reset(clock::add_or_far_future(Instant::now(), this.limit));
        }
        timer.as_mut().poll(cx).map(|()| {
            this.waiting = false;
            let (after, what) = (this.limit, this.request.to_string());
            Some(Err(Error::Timeout { wait: Wait::Body, after, what }))
        })
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
    use futures::{StreamExt, stream};
    use http_body_util::BodyExt;

    /// The read deadline in seconds for this URI and extension, with a default of 60 seconds.
    fn limit_seconds(uri: &'static str, extension: Option<IdleLimit>) -> Option<u64> {
        let mut extensions = Extensions::new();
        if let Some(extension) = extension {
            extensions.insert(extension);
        }
        let limit =
            IdleLimit::for_request(&extensions, &Uri::from_static(uri), Some(Duration::from_secs(60)));
        limit.map(|limit| limit.as_secs())
    }

    #[test]
    fn watches_and_followed_logs_have_no_limit_unless_the_request_sets_one() {
        assert_eq!(limit_seconds("/api/v1/pods", None), Some(60));
        assert_eq!(limit_seconds("/api/v1/pods?limit=1&watch=true", None), None);
        assert_eq!(limit_seconds("/api/v1/pods?watch=1", None), None);
        assert_eq!(limit_seconds("/log?follow=true", None), None);
        assert_eq!(limit_seconds("/api/v1/pods?watch=false&labelSelector=watch", None), Some(60));
        assert_eq!(limit_seconds("/x?watch=true", Some(IdleLimit::after(Duration::from_secs(5)))), Some(5));
        assert_eq!(limit_seconds("/x", Some(IdleLimit::NONE)), None);
    }

    fn request_description() -> RequestDescription {
        RequestDescription { method: Method::GET, uri: Uri::from_static("/x") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_range_of_the_clock_never_ends_a_body() {
        let pieces = stream::iter([5u64]).then(|pause| async move {
            sleep(Duration::from_secs(pause)).await;
            Ok::<_, Error>("x")
        });
        let mut body = IdleLimitBody::new(Body::wrap_stream(pieces), Duration::MAX, request_description());
        assert!(body.frame().await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_measured_only_while_the_reader_waits_for_a_frame() {
        let pieces = stream::iter([5u64, 9, 11]).then(|pause| async move {
            sleep(Duration::from_secs(pause)).await;
            Ok::<_, Error>("x")
        });
        let mut body =
            IdleLimitBody::new(Body::wrap_stream(pieces), Duration::from_secs(10), request_description());
        assert!(body.frame().await.unwrap().is_ok());
        sleep(Duration::from_secs(100)).await;
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "timed out after 10s waiting for more of the response body (GET /x)");
    }
}
