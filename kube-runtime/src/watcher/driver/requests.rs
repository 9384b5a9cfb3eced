//! The requests of the driver.

use super::super::open_watch::STALL_LIMIT;
use super::super::step::{PageRequest, Request};
use super::{Body, Driver, PendingResponse};
use crate::watcher::Storable;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// The minimum `timeoutSeconds` of a streaming list, because its initial events may take long to arrive.
const MIN_STREAMING_TIMEOUT: Duration = Duration::from_secs(60);

impl<K: Storable + Send + 'static> Driver<K> {
    /// Sends a request. The returned future completes when the response headers have arrived.
    pub(super) fn send_request(&self, request: Request) -> PendingResponse<K> {
        let mut wp = self.config.watch_params();
        // Adds jitter, so that watches that start together do not reconnect together.
        if wp.timeout.is_none() {
            wp.timeout = Some(crate::random::shorten_randomly(wp.effective_timeout()));
        }
        // The age of the watch is the time since the request, not since the response. If the caller pauses,
        // it may read the response long after the server has ended the watch.
        let requested_at = Instant::now();
        let (opening, stall) = match request {
            Request::List(page) => return self.request_page(&page),
            Request::StreamingList => {
                let timeout = wp.effective_timeout().max(MIN_STREAMING_TIMEOUT);
                let opening = self.source.watch(wp.timeout(timeout).initial_events(), String::new());
                (opening, Some(STALL_LIMIT))
            }
            Request::Watch { version } => (self.source.watch(wp, version), None),
        };
        Box::pin(async move { Ok(Body::watch(opening.await?, requested_at, stall)) })
    }

    /// Reads the storage's current resource version; `None` on failure.
    pub(super) fn read_version(&self) -> BoxFuture<'static, Option<String>> {
        self.source.read_version(self.config.version_params())
    }

    /// Requests a page of a list. The returned future completes when the response headers have arrived.
    pub(super) fn request_page(&self, page: &PageRequest) -> PendingResponse<K> {
        let opening = self.source.list(self.config.list_params(page));
        Box::pin(async move { Ok(Body::List(Box::new(opening.await?))) })
    }
}
