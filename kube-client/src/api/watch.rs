//! Watching: `EventStream`, one watch request as it runs.

use super::list_stream::from_wire;
use super::{Api, PartialObjectMeta, WatchEvent, WatchParams};
use crate::client::Body;
use crate::core::Request;
use crate::wire::{EventDecoder, WireError};
use crate::{Error, Result, Wait};
use futures::Stream;
use http_body::Body as _;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// How much longer than asked for a server may keep a watch open before the client gives it up.
const GRACE: Duration = Duration::from_secs(10);

impl<K: DeserializeOwned> Api<K> {
    /// Watches the objects from a resource version on: one request, without any healing.
    ///
    /// `version` is that of a list, an object or a bookmark; `"0"` starts with whatever the server has at hand, `""` with
    /// the most recent state. Programs usually want `kube_runtime::watcher`, which lists, resumes and recovers.
    ///
    /// # Errors
    ///
    /// If the request fails. [`Error::is_gone`](crate::Error::is_gone) if the version is too old: list again.
    pub async fn watch(&self, wp: &WatchParams, version: &str) -> Result<EventStream<K>> {
        self.open_watch(&self.request, wp, version).await
    }
}

impl<K> Api<K> {
    /// Watches the metadata of the objects; see [`watch`](Api::watch).
    ///
    /// # Errors
    ///
    /// As [`watch`](Api::watch).
    pub async fn watch_metadata(
        &self,
        wp: &WatchParams,
        version: &str,
    ) -> Result<EventStream<PartialObjectMeta<K>>> {
        self.open_watch(&self.metadata_request(), wp, version).await
    }

    async fn open_watch<T: DeserializeOwned>(
        &self,
        request: &Request,
        wp: &WatchParams,
        version: &str,
    ) -> Result<EventStream<T>> {
        let response = self.client.open(request.watch(wp, version)?).await?;
        let limit = wp.effective_timeout() + GRACE;
        Ok(EventStream {
            body: response.into_body(),
            kind: self.kind().to_owned(),
            decoder: Some(EventDecoder::new(self.kind())),
            limit,
            deadline: Box::pin(tokio::time::sleep(limit)),
        })
    }
}

/// The events of one watch request.
///
/// An object that does not decode comes out as an error that names it ([`Error::undecodable`]), and the next event follows.
/// Any other error ends the stream, as does the server when the watch's time is over. A server that keeps the watch open for
/// longer than it was asked to is given up with [`Error::Timeout`](crate::Error::Timeout).
///
/// Dropping the stream cancels the request.
pub struct EventStream<K> {
    body: Body,
    kind: String,
    decoder: Option<EventDecoder<K>>,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl<K: DeserializeOwned> EventStream<K> {
    fn item(&mut self, item: Result<WatchEvent<K>, WireError>) -> Result<WatchEvent<K>> {
        item.map_err(|error| {
            if !matches!(error, WireError::Object(_)) {
                self.decoder = None;
            }
            from_wire(error, &self.kind)
        })
    }
}

impl<K: DeserializeOwned> Stream for EventStream<K> {
    type Item = Result<WatchEvent<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Some(decoder) = &mut this.decoder else { return Poll::Ready(None) };
            if let Some(event) = decoder.next() {
                return Poll::Ready(Some(this.item(event)));
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(data) = frame.data_ref() {
                        decoder.push(data);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.decoder = None;
                    return Poll::Ready(Some(Err(Error::from_box(error.into()))));
                }
                Poll::Ready(None) => {
                    let last = decoder.finish();
                    let last = last.map(|event| this.item(event));
                    this.decoder = None;
                    return Poll::Ready(last);
                }
                Poll::Pending => {
                    if this.deadline.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.decoder = None;
                    let what = format!("a watch of {} objects that the server does not end", this.kind);
                    return Poll::Ready(Some(Err(Error::Timeout {
                        wait: Wait::Body,
                        after: this.limit,
                        what,
                    })));
                }
            }
        }
    }
}

impl<K> fmt::Debug for EventStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("kind", &self.kind)
            .field("ended", &self.decoder.is_none())
            .finish_non_exhaustive()
    }
}
