//! `deltas`: applies a stream of events to a store and emits the changes of the store.

use super::wire_object::{self, WireObject};
use super::{Delta, DeltaIter, Writer};
use crate::watcher::Storable;
use crate::watcher::driver::Driver;
use crate::watcher::{Error, Event, Result, Watcher};
use futures::{Stream, StreamExt};
use kube_client::Resource;
use pin_project_lite::pin_project;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// An item of [`Deltas`], [`MergedDeltas`](super::MergedDeltas) or [`Subscription`](super::Subscription).
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreEvent<K> {
    /// An object of the store changed.
    Delta(Delta<K>),
    /// The store is equal to a complete snapshot. The deltas of the snapshot precede this event. The value is the
    /// resource version of the snapshot, if the source of the events reports versions; see [`Watcher::deltas`].
    Synced(Option<String>),
}

/// Applies the events of `stream` to the store of `writer`, and emits the changes of the store.
///
/// The deltas, applied in order to an empty map, result in the content of the store; see [`Delta`]. A snapshot results
/// in its differences from the previous content of the store, followed by [`StoreEvent::Synced`]: after a relist, an
/// object that did not change is not emitted.
///
/// [`Watcher::deltas`] also reports the resource versions of snapshots. For an undecodable object the error is emitted,
/// and the store keeps the last state of the object until its deletion. The store changes only while the stream is
/// polled.
///
/// ```
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, ResourceExt};
/// use kube_runtime::reflector::{self, StoreEvent, deltas};
/// use kube_runtime::{WatchStreamExt, watcher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let (reader, writer) = reflector::store();
/// let events = watcher(namespaces, watcher::Config::default())
///     .modify(|namespace| namespace.metadata.annotations = None);
/// let mut changes = deltas(writer, events).boxed();
/// while let Some(change) = changes.next().await {
///     match change? {
///         StoreEvent::Delta(delta) => println!("{:?} because of {:?}", delta.kind(), delta.cause()),
///         StoreEvent::Synced(_) => break,
///         _ => {}
///     }
/// }
/// assert!(reader.is_ready());
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no change is lost when another branch completes first.
pub fn deltas<K, W>(writer: Writer<K>, stream: W) -> Deltas<W, K>
where
    K: Resource,
    W: Stream<Item = Result<Event<K>>>,
{
    Deltas::new(writer, stream, |_| None)
}

impl<K: Resource + DeserializeOwned + Send + 'static> Watcher<K> {
    /// Applies the events to the store of `writer`, and emits the changes of the store; see
    /// [`deltas`](crate::reflector::deltas()). [`StoreEvent::Synced`] contains the resource version of the snapshot.
    ///
    /// A compact store keeps the text that the server sent, with the exceptions that
    /// [`Storage::compact`](crate::reflector::Storage::compact) describes. A further exception: if the watcher was polled
    /// before this call, the watcher decodes each object, and the store encodes the object again.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::reflector::{self, StoreEvent};
    /// use kube_runtime::watcher;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let (reader, writer) = reflector::store();
    /// let watcher = watcher(Api::<Namespace>::all(client), watcher::Config::default());
    /// let mut changes = watcher.deltas(writer).boxed();
    /// let version = loop {
    ///     if let Some(StoreEvent::Synced(version)) = changes.next().await.transpose()? {
    ///         break version;
    ///     }
    /// };
    /// assert!(version.is_some() && reader.len() >= 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// The stream may be polled inside `select!`: no change is lost when another branch completes first.
    pub fn deltas(self, writer: Writer<K>) -> Deltas<Self, K> {
        let convert = writer.text_packer_for(self.api());
        let packed = convert.and_then(|convert| self.converting_driver(convert)).map(Box::new);
        Deltas { packed, ..Deltas::new(writer, self, Self::resource_version) }
    }
}

pin_project! {
    /// The stream that [`deltas`] returns.
    #[must_use = "a store changes only while its stream is polled"]
    pub struct Deltas<W, K> {
        #[pin]
        stream: W,
        writer: Writer<K>,
        // The watcher that feeds a compact store. If it is set, `stream` is not polled.
        packed: Option<Box<Driver<WireObject>>>,
        // The remaining deltas of the last event.
        pending: Option<DeltaIter<K>>,
        // The `StoreEvent::Synced` that follows `pending`.
        synced: Option<StoreEvent<K>>,
        version: fn(&W) -> Option<&str>,
    }
}

impl<W, K> Deltas<W, K> {
    /// `version` returns the resource version that the stream has reached.
    pub(crate) fn new(writer: Writer<K>, stream: W, version: fn(&W) -> Option<&str>) -> Self {
        Self { stream, writer, packed: None, pending: None, synced: None, version }
    }

    pub(crate) fn writer_mut(&mut self) -> &mut Writer<K> {
        &mut self.writer
    }

    /// Drops the stream of events and returns the writer.
    pub(crate) fn into_writer(self) -> Writer<K> {
        self.writer
    }
}

impl<W, K> Stream for Deltas<W, K>
where
    K: Storable,
    W: Stream<Item = Result<Event<K>>>,
{
    type Item = Result<StoreEvent<K>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if let Some(delta) = this.pending.as_mut().and_then(Iterator::next) {
                return Poll::Ready(Some(Ok(StoreEvent::Delta(delta))));
            }
            *this.pending = None;
            if let Some(synced) = this.synced.take() {
                return Poll::Ready(Some(Ok(synced)));
            }
            let polled = if let Some(driver) = &mut *this.packed {
                driver.poll_next_unpin(cx).map(|item| item.map(wire_object::into_stored_item))
            } else {
                let polled = this.stream.as_mut().poll_next(cx);
                polled.map(|item| item.map(|item| this.writer.prepare_item(item)))
            };
            let version = || match &*this.packed {
                Some(driver) => driver.resource_version(),
                None => (this.version)(this.stream.as_ref().get_ref()),
            };
            let Poll::Ready(item) = polled else {
                // No event is available: store the packed batches.
                let _ = this.writer.poll_packing(cx);
                this.writer.record_version(version());
                return Poll::Pending;
            };
            match item {
                None => return Poll::Ready(None),
                Some(Ok(event)) => {
                    let is_done = matches!(event, Event::InitDone);
                    let version = version().filter(|_| is_done).map(ToOwned::to_owned);
                    *this.pending = Some(this.writer.apply_stored(event, version.as_deref()));
                    *this.synced = is_done.then_some(StoreEvent::Synced(version));
                }
                Some(Err(error)) => {
                    if let Error::Object(object) = &error {
                        *this.pending = this.writer.apply_undecodable_for_deltas(object);
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<W, K> fmt::Debug for Deltas<W, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deltas").field("writer", &self.writer).finish_non_exhaustive()
    }
}
