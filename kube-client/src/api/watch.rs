//! Watching: `EventStream`, one watch request as it runs.

use super::filter::{self, Verdict};
use super::items::Items;
use super::{Api, PartialObjectMeta, WatchEvent, WatchParams};
use crate::core::{ObjectOrigin, Request};
use crate::wire::{EventSplitter, FilterDepth, Shape};
use crate::{Error, Result, Wait};
use futures::Stream;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;

/// How much longer than asked for a server may keep a watch open before the client gives it up.
const GRACE: Duration = Duration::from_secs(10);

impl<K: DeserializeOwned + Send + 'static> Api<K> {
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

impl<K: 'static> Api<K> {
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

    async fn open_watch<T: DeserializeOwned + Send + 'static>(
        &self,
        request: &Request,
        wp: &WatchParams,
        version: &str,
    ) -> Result<EventStream<T>> {
        let response = self.client.open(request.watch(wp, version)?).await?;
        let limit = wp.effective_timeout().saturating_add(GRACE);
        let shape = self.shape();
        let whole = shape.clone();
        let events = Items::new(response.into_body(), EventSplitter::default(), self.kind(), move |text| {
            shape.event(text)
        });
        Ok(EventStream { events, shape: whole, limit, deadline: Box::pin(tokio::time::sleep(limit)) })
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
    events: Items<EventSplitter, WatchEvent<K>>,
    shape: Shape,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl<K: DeserializeOwned + Send + 'static> EventStream<K> {
    /// Shows the metadata of each object to `look` before the object is decoded, in the order of the events. What is dropped is
    /// never decoded, which costs a small part of decoding it; in its place comes a bookmark with its version, one for several
    /// in a row.
    ///
    /// Such a bookmark has no kind. In a watch that begins with the present state (from `""`, `"0"`, or with initial events) it is
    /// nothing to resume from until the server's own bookmark or a change has come: that state is sent in any order.
    ///
    /// `depth` says what there is to look at. An object whose metadata cannot be read is not shown; decoding it fails.
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
        self.events.filter_before_decode(
            filter::of_events(self.shape.clone(), depth, filter),
            Some(filter::bookmark),
        );
        self
    }
}

impl<K> EventStream<K> {
    /// How many bytes have arrived of events that have not come out of the stream: a part of a large object, or events that are
    /// being decoded. As long as this number changes, the server is not silent.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, api::WatchParams};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let namespaces: Api<Namespace> = Api::all(Client::new(kube_sim::Sim::new().service(), "default"));
    /// let watch = namespaces.watch(&WatchParams::default(), "").await?;
    /// // Nothing is read before the stream is polled.
    /// assert_eq!(watch.buffered_bytes(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn buffered_bytes(&self) -> usize {
        self.events.splitter().map_or(0, EventSplitter::buffered) + self.events.waiting()
    }
}

impl<K: DeserializeOwned + Send + 'static> Stream for EventStream<K> {
    type Item = Result<WatchEvent<K>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { events, deadline, limit, .. } = self.get_mut();
        if let Poll::Ready(event) = events.poll_item(cx) {
            return Poll::Ready(event);
        }
        if events.splitter().is_none() {
            // The server has ended it in time, and what is left is being decoded.
            return Poll::Pending;
        }
        ready!(deadline.as_mut().poll(cx));
        let what = format!("a watch of {} objects that the server does not end", events.kind());
        // What has been looked at comes out first: a filter that has seen it would not let it pass again.
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
    use crate::client::Body;
    use crate::core::DynamicObject;
    use futures::{StreamExt, stream};

    /// Three events, and then either nothing for ever or the end.
    fn watch(ends: bool) -> EventStream<DynamicObject> {
        let event = |n: usize| {
            let object = format!(r#"{{"kind":"A","apiVersion":"v1","metadata":{{"name":"{n}"}}}}"#);
            Ok::<_, std::io::Error>(format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n"))
        };
        let events = stream::iter((0..3).map(event));
        let body =
            if ends { Body::wrap_stream(events) } else { Body::wrap_stream(events.chain(stream::pending())) };
        let shape = Shape::new("A", &crate::core::FieldSet::default());
        let whole = shape.clone();
        let events = Items::new(body, EventSplitter::default(), "A", move |text| shape.event(text));
        let deadline = Box::pin(tokio::time::sleep(Duration::ZERO));
        EventStream { events, shape: whole, limit: Duration::ZERO, deadline }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_looked_at_comes_out_although_time_is_over() {
        for ends in [false, true] {
            let looked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counter = looked.clone();
            let events = watch(ends).filter_before_decode(FilterDepth::Labels, move |_, _| {
                counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Verdict::Keep
            });
            tokio::time::sleep(Duration::from_millis(5)).await;
            let events: Vec<_> = events.collect().await;
            let (good, bad) = events.split_at(looked.load(std::sync::atomic::Ordering::Relaxed));
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
