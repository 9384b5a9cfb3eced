//! The limit on pauses within a response body, and how a request asks for another one.

use bytes::Bytes;
use http::{Extensions, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

use crate::{
    client::{body::Body, clock},
    error::{Error, Result, Wait},
};

/// How long the response body of one request may pause, put into the request's extensions.
///
/// Without it `Config::read_timeout` holds; requests with `watch=true` or `follow=true` in their query have no limit.
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
    /// The body may pause for as long as it likes.
    pub const NONE: Self = Self(None);

    /// The body fails with a timeout after a pause of this length.
    #[must_use]
    pub const fn after(limit: Duration) -> Self {
        Self(Some(limit))
    }

    /// The limit that a request wants.
    pub(super) fn of(extensions: &Extensions, uri: &Uri, default: Option<Duration>) -> Option<Duration> {
        match extensions.get::<Self>() {
            Some(limit) => limit.0,
            None if is_long_running(uri) => None,
            None => default,
        }
    }
}

fn is_long_running(uri: &Uri) -> bool {
    uri.query()
        .unwrap_or_default()
        .split('&')
        .any(|pair| matches!(pair.split_once('='), Some(("watch" | "follow", "true" | "1"))))
}

/// A body that fails when it pauses too long.
pub(super) struct IdleBody {
    inner: Body,
    limit: Duration,
    /// Set only while a frame is being waited for: a reader that takes its time is no pause of the server's.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    what: String,
}

impl IdleBody {
    pub(super) fn new(inner: Body, limit: Duration, what: String) -> Self {
        Self { inner, limit, timer: None, waiting: false, what }
    }
}

impl HttpBody for IdleBody {
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
            timer.as_mut().reset(clock::after(Instant::now(), this.limit));
        }
        timer.as_mut().poll(cx).map(|()| {
            this.waiting = false;
            let (after, what) = (this.limit, std::mem::take(&mut this.what));
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

    fn limit_of(uri: &'static str, extension: Option<IdleLimit>) -> Option<u64> {
        let mut extensions = Extensions::new();
        if let Some(extension) = extension {
            extensions.insert(extension);
        }
        let limit = IdleLimit::of(&extensions, &Uri::from_static(uri), Some(Duration::from_secs(60)));
        limit.map(|limit| limit.as_secs())
    }

    #[test]
    fn watches_have_no_limit_unless_they_ask_for_one() {
        assert_eq!(limit_of("/api/v1/pods", None), Some(60));
        assert_eq!(limit_of("/api/v1/pods?limit=1&watch=true", None), None);
        assert_eq!(limit_of("/api/v1/pods?watch=1", None), None);
        assert_eq!(limit_of("/log?follow=true", None), None);
        assert_eq!(limit_of("/api/v1/pods?watch=false&labelSelector=watch", None), Some(60));
        assert_eq!(limit_of("/x?watch=true", Some(IdleLimit::after(Duration::from_secs(5)))), Some(5));
        assert_eq!(limit_of("/x", Some(IdleLimit::NONE)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_clock_never_ends_a_body() {
        let pieces = stream::iter([5u64]).then(|pause| async move {
            sleep(Duration::from_secs(pause)).await;
            Ok::<_, Error>("x")
        });
        let mut body = IdleBody::new(Body::wrap_stream(pieces), Duration::MAX, "GET /x".to_owned());
        assert!(body.frame().await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_measured_from_the_last_piece_and_while_reading_only() {
        let pieces = stream::iter([5u64, 9, 11]).then(|pause| async move {
            sleep(Duration::from_secs(pause)).await;
            Ok::<_, Error>("x")
        });
        let mut body = IdleBody::new(Body::wrap_stream(pieces), Duration::from_secs(10), "GET /x".to_owned());
        assert!(body.frame().await.unwrap().is_ok());
        sleep(Duration::from_secs(100)).await;
        assert!(body.frame().await.unwrap().is_ok());
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), "timed out after 10s waiting for more of the response body (GET /x)");
    }
}
