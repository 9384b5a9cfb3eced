//! The verb watch. `EventStream` is one watch request; it must not relist, resume or retry.

use super::body_decoder::BodyDecoder;
use super::filter::{self, PieceFilter, Verdict};
use super::negotiation::{ReadVerb, response_format};
use super::pipeline::ValueSize;
use super::{Api, PartialObjectMeta, WatchEvent, WatchParams};
use crate::client::Body;
use crate::core::{FieldSet, ObjectOrigin, Request};
use crate::wire::{EventBodySplitter, FilterDepth, ObjectDecoder, WireError};
use crate::{Client, Error, Result, Wait};
use futures::Stream;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;

/// The time that the server has to end a watch after the requested timeout. If the server does not end the watch
/// within this time, the client ends it.
const TIMEOUT_GRACE: Duration = Duration::from_secs(10);

impl<K: DeserializeOwned + Send + 'static> Api<K> {
    /// Watches the objects from a resource version on. When the watch has ended or failed, the stream sends no new request.
    ///
    /// `version` is the resource version of a list, an object or a bookmark. `"0"` starts with a snapshot from the
    /// server's cache, which may be outdated; `""` starts with the most recent snapshot. Programs usually need
    /// `kube_runtime::watcher`, which lists, resumes and retries.
    ///
    /// # Errors
    ///
    /// If the request fails. [`Error::is_gone`](crate::Error::is_gone) if the version has expired (410): relist.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future or the stream ends the request.
    pub async fn watch(&self, wp: &WatchParams, version: &str) -> Result<EventStream<K>> {
        self.open_watch(&self.request, wp, version).await
    }
}

impl<K: 'static> Api<K> {
    /// Watches the metadata of the objects; see [`watch`](Api::watch).
    ///
    /// # Errors
    ///
    /// As [`watch`](Api::watch).
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future or the stream ends the request.
    pub async fn watch_metadata(
        &self,
        wp: &WatchParams,
        version: &str,
    ) -> Result<EventStream<PartialObjectMeta<K>>> {
        self.open_watch(&self.metadata_request(), wp, version).await
    }

    /// Sends a watch request, and returns the events of the response as a stream.
    async fn open_watch<T: DeserializeOwned + Send + 'static>(
        &self,
        request: &Request,
        wp: &WatchParams,
        version: &str,
    ) -> Result<EventStream<T>> {
        let (response, decoder) =
            self.send_read_request(request, ReadVerb::Watch, request.watch(wp, version)?).await?;
        Ok(EventStream::new(&self.client, response.into_body(), decoder, wp.effective_timeout()))
    }
}

impl Client {
    /// Sends a watch request and returns its events, as [`Api::watch`] does. The query must contain `watch=true`.
    ///
    /// If the query has no `timeoutSeconds`, the server ends the watch after 30 to 60 minutes, and the client sets no
    /// limit.
    ///
    /// # Errors
    ///
    /// If the request fails.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future or the stream ends the request.
    pub async fn request_events<T: DeserializeOwned + Send + 'static>(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<EventStream<T>> {
        let kind = format!("object of {}", request.uri().path());
        let timeout = requested_timeout(request.uri()).unwrap_or(Duration::MAX);
        let response = self.open(request).await?;
        let format = response_format(response.headers(), || None);
        let decoder = ObjectDecoder::new(&kind, &FieldSet::none()).with_format(format);
        Ok(EventStream::new(self, response.into_body(), decoder, timeout))
    }
}

/// The value of `timeoutSeconds` in the query of a watch; `None` if it is missing or not a number.
fn requested_timeout(uri: &http::Uri) -> Option<Duration> {
    let (_, seconds) =
        form_urlencoded::parse(uri.query()?.as_bytes()).find(|(key, _)| key == "timeoutSeconds")?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// The events of one watch request.
///
/// If an object does not decode, the stream emits an error that names the object ([`Error::undecodable`]), and
/// continues. Any other error ends the stream. The server ends the watch after the requested timeout; if it does not,
/// the stream ends with [`Error::Timeout`](crate::Error::Timeout) ten seconds later.
///
/// Dropping the stream cancels the request.
pub struct EventStream<K> {
    events: BodyDecoder<EventBodySplitter, WatchEvent<K>>,
    /// Reads the metadata of events for a filter, and decodes the events that the filter turns into deletions
    /// ([`Verdict::Deselect`]).
    decoder: ObjectDecoder,
    /// The maximum duration of the watch. After this time, the stream ends with a timeout error.
    limit: Duration,
    /// Fires when the watch has lasted for `limit`.
    deadline: Pin<Box<Sleep>>,
}

impl<K: DeserializeOwned + Send + 'static> EventStream<K> {
    /// The events in the body of a watch. `timeout` is the timeout that the request asked for (`timeoutSeconds`).
    fn new(client: &Client, body: Body, decoder: ObjectDecoder, timeout: Duration) -> Self {
        let event_decoder = decoder.clone();
        let decode = move |piece: &[u8]| event_decoder.decode_event(piece);
        Self::with_decode(client, body, decoder, timeout, decode, None)
    }

    /// Calls `filter` with the metadata of each object before the object is decoded, in the order of the events. A
    /// dropped object is not decoded: dropping an event takes far less time than decoding its object. In place of dropped
    /// events, the stream emits bookmarks. Each bookmark replaces successive dropped events, and has the resource version of
    /// the last of them.
    ///
    /// These synthetic bookmarks have an empty kind. A watch from `""` or `"0"`, or with initial events, starts with a
    /// snapshot whose events are not ordered by resource version. In such a watch, do not resume from a synthetic
    /// bookmark before the snapshot has ended. The snapshot has ended when the server sends a bookmark, or an event for
    /// a change after the snapshot.
    ///
    /// `depth` sets which metadata is read. An object whose metadata cannot be read bypasses the filter, and decoding
    /// it fails.
    ///
    /// ```
    /// use futures::TryStreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, ResourceExt, api::{Verdict, FilterDepth, WatchEvent, WatchParams}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let namespaces: Api<Namespace> = Api::all(Client::new(kube_sim::Sim::new().service(), "default"));
    /// let watch = namespaces.watch(&WatchParams::default(), "").await?;
    /// let mut watch = watch.filter_before_decode(FilterDepth::Labels, |_, namespace| match namespace.name_any().as_str() {
    ///     "kube-system" => Verdict::Keep,
    ///     _ => Verdict::Drop,
    /// });
    /// while let Some(event) = watch.try_next().await? {
    ///     if let WatchEvent::Added(namespace) = event {
    ///         assert_eq!(namespace.name_any(), "kube-system");
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn filter_before_decode(
        mut self,
        depth: FilterDepth,
        filter: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send + 'static,
    ) -> Self {
        let decoder = self.decoder.clone();
        let decode = move |piece: &[u8]| decoder.decode_event(piece);
        let filter = filter::event_filter(self.decoder.clone(), depth, filter, decode);
        self.events.filter_before_decode(filter, Some(filter::bookmark));
        self
    }
}

impl<T: Send + 'static> EventStream<T> {
    /// A stream that calls `decode` for each event that `filter` keeps, and emits the results. Without a filter, keeps all
    /// events of `body`.
    pub(super) fn with_decode(
        client: &Client,
        body: Body,
        decoder: ObjectDecoder,
        timeout: Duration,
        decode: impl Fn(&[u8]) -> Result<WatchEvent<T>, WireError> + Send + Sync + 'static,
        filter: Option<PieceFilter<WatchEvent<T>>>,
    ) -> Self {
        let limit = timeout.saturating_add(TIMEOUT_GRACE);
        let splitter = EventBodySplitter::new(decoder.format(), client.max_object_bytes());
        let mut events = BodyDecoder::new(body, splitter, decoder.expected_kind(), decode);
        if let Some(filter) = filter {
            events.filter_before_decode(filter, Some(filter::bookmark));
        }
        Self { events, decoder, limit, deadline: Box::pin(tokio::time::sleep(limit)) }
    }

    /// Sets the expected size of an event in memory, in relation to the size of its text. The default is
    /// [`ValueSize::Decoded`].
    pub(super) fn with_value_size(mut self, value_size: ValueSize) -> Self {
        self.events.set_value_size(value_size);
        self
    }
}

impl<K> EventStream<K> {
    /// The number of bytes, after decompression, of events that the stream has received and not emitted: a part of a large
    /// object, or events that are being decoded. While the stream emits no event, a change of this number shows that the
    /// server is sending.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, api::WatchParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let namespaces: Api<Namespace> = Api::all(Client::new(kube_sim::Sim::new().service(), "default"));
    /// let watch = namespaces.watch(&WatchParams::default(), "").await?;
    /// // The stream reads only when it is polled.
    /// assert_eq!(watch.buffered_bytes(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn buffered_bytes(&self) -> usize {
        self.events.splitter().map_or(0, EventBodySplitter::buffered_bytes) + self.events.buffered_bytes()
    }

    /// The number of bytes that the last emitted event had in the body of the response, after decompression. The event may
    /// be an error about an object that does not decode. The number is 0 before the first event, and for a bookmark that
    /// replaces dropped events.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, api::WatchParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let namespaces: Api<Namespace> = Api::all(Client::new(kube_sim::Sim::new().service(), "default"));
    /// let mut watch = namespaces.watch(&WatchParams::default(), "").await?;
    /// let event = watch.next().await.transpose()?;
    /// assert!(event.is_some() && watch.last_event_bytes() > 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn last_event_bytes(&self) -> usize {
        self.events.last_item_bytes()
    }
}

impl<K: Send + 'static> Stream for EventStream<K> {
    type Item = Result<WatchEvent<K>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { events, deadline, limit, .. } = self.get_mut();
        if let Poll::Ready(event) = events.poll_item(cx) {
            return Poll::Ready(event);
        }
        if events.splitter().is_none() {
            // The body has ended or failed, and the remaining events are being decoded: the deadline no longer applies.
            return Poll::Pending;
        }
        ready!(deadline.as_mut().poll(cx));
        let what = format!("{}, a watch that the server does not end", events.response_description());
        // The stream emits the events that the filter has kept, and then the error. Without these events, a
        // change could be lost: a filter with state has recorded the change, and drops it as unchanged when a
        // resumed watch receives it again.
        events.fail(Error::Timeout { wait: Wait::Body, after: *limit, what });
        events.poll_item(cx)
    }
}

impl<K> fmt::Debug for EventStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("kind", &self.events.kind())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::DynamicObject;
    use futures::{StreamExt, stream};

    /// A watch whose time limit expires at once. The server sends three events, and then ends the watch or stays silent.
    fn watch_of_three_events(ends: bool) -> EventStream<DynamicObject> {
        let event = |n: usize| {
            let object = format!(r#"{{"kind":"A","apiVersion":"v1","metadata":{{"name":"{n}"}}}}"#);
            Ok::<_, std::io::Error>(format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n"))
        };
        let events = stream::iter((0..3).map(event));
        let body =
            if ends { Body::wrap_stream(events) } else { Body::wrap_stream(events.chain(stream::pending())) };
        let decoder = ObjectDecoder::new("A", &crate::core::FieldSet::default());
        let filter_decoder = decoder.clone();
        let splitter = EventBodySplitter::new(decoder.format(), usize::MAX);
        let events = BodyDecoder::new(body, splitter, "A", move |piece| decoder.decode_event(piece));
        let deadline = Box::pin(tokio::time::sleep(Duration::ZERO));
        EventStream { events, decoder: filter_decoder, limit: Duration::ZERO, deadline }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn kept_events_are_emitted_before_the_timeout_error() {
        for ends in [false, true] {
            let filtered = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counter = filtered.clone();
            let events =
                watch_of_three_events(ends).filter_before_decode(FilterDepth::Labels, move |_, _| {
                    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    Verdict::Keep
                });
            tokio::time::sleep(Duration::from_millis(5)).await;
            let events: Vec<_> = events.collect().await;
            let (good, bad) = events.split_at(filtered.load(std::sync::atomic::Ordering::Relaxed));
            assert_eq!(good.len(), 3);
            assert!(good.iter().all(Result::is_ok), "{good:?}");
            match bad {
                [] => assert!(ends),
                [Err(Error::Timeout { .. })] => assert!(!ends),
                other => panic!("{other:?}"),
            }
        }
    }
}
