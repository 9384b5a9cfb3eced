//! The requests of the driver.

use super::super::open_watch::STALL_LIMIT;
use super::super::step::{PageRequest, Request};
use super::{Body, Driver, Opening};
use futures::StreamExt;
use futures::future::BoxFuture;
use kube_client::{Error as ClientError, Resource};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::Instant;

/// The minimum `timeoutSeconds` of a streaming list, because its initial events may take long to arrive.
const MIN_STREAMING_TIMEOUT: Duration = Duration::from_secs(60);

impl<K: Resource + DeserializeOwned + Send + 'static> Driver<K> {
    /// Sends a request. The returned future completes when the response headers have arrived.
    pub(super) fn open(&self, request: Request) -> Opening<K> {
        let api = self.api.clone();
        let mut wp = self.config.watch_params();
        // Adds jitter, so that watches that start together do not reconnect together.
        if wp.timeout.is_none() {
            wp.timeout = Some(crate::random::shorten_randomly(wp.effective_timeout()));
        }
        // The age of the watch counts from the request: a paused caller may read the response long after the server
        // ended the watch.
        let requested_at = Instant::now();
        let filters = self.filters.clone();
        match request {
            Request::List(page) => self.open_list(&page),
            Request::StreamingList => Box::pin(async move {
                let timeout = wp.effective_timeout().max(MIN_STREAMING_TIMEOUT);
                let stream = api.watch(&wp.timeout(timeout).initial_events(), "").await?;
                Ok(Body::watch(filters.filter_events(stream), requested_at, Some(STALL_LIMIT)))
            }),
            Request::Watch { version } => Box::pin(async move {
                let stream = api.watch(&wp, &version).await?;
                Ok(Body::watch(filters.filter_events(stream), requested_at, None))
            }),
        }
    }

    /// Reads the storage's current resource version; `None` on failure.
    pub(super) fn read_version(&self) -> BoxFuture<'static, Option<String>> {
        let (api, config) = (self.api.clone(), self.config.clone());
        Box::pin(async move {
            let mut page = api.list_stream(&config.version_params()).await.ok()?;
            while let Some(item) = page.next().await {
                if item.is_err_and(|error| !matches!(error, ClientError::Object(_))) {
                    return None;
                }
            }
            page.metadata()?.resource_version.clone()
        })
    }

    /// Requests a page of a list. The returned future completes when the response headers have arrived.
    pub(super) fn open_list(&self, page: &PageRequest) -> Opening<K> {
        let api = self.api.clone();
        let lp = self.config.list_params(page);
        let filters = self.filters.clone();
        Box::pin(async move { Ok(Body::List(Box::new(filters.filter_list(api.list_stream(&lp).await?)))) })
    }
}
