//! `merged`: keeps several collections of one kind in one store.

mod parts;

use super::{DeltaIter, Deltas, StoreEvent, Writer};
use crate::watcher::{Config, Error, Event, Result, Watcher, watcher};
use futures::stream::SelectAll;
use futures::{Stream, StreamExt, stream::BoxStream};
use kube_client::{Api, Resource};
use parts::{Arrival, ObjectVersion, Parts, WriterAction};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// Watches several collections of one kind, for example in several namespaces or with several selectors. Stores the
/// objects of all collections in one store. Emits the changes of the store.
///
/// A part is a collection with its options. Each of the `parts` has a watch of its own. The store contains the
/// objects that at least one part selects. The parts may overlap: an object that several parts select is in the
/// store once. The first snapshot of the store is complete when each part has listed its objects. A relist of a
/// part removes only objects that no other part selects. The deltas have the guarantees of
/// [`Delta`](super::Delta).
///
/// Each part costs the server a watch: for many namespaces, prefer a cluster-wide watch if all its objects fit into
/// memory.
///
/// [`SharedInformer::merged`](crate::SharedInformer::merged) and [`Controller::merged`](crate::Controller::merged) use
/// this function.
///
/// ```
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::{Api, Client, api::PostParams};
/// use kube_runtime::reflector::{self, StoreEvent};
/// use kube_runtime::watcher::Config;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let parts = ["default", "kube-public"].map(|namespace| {
///     let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
///     (maps, Config::default())
/// });
/// # let mut map = ConfigMap::default();
/// # map.metadata.name = Some("settings".into());
/// # parts[0].0.create(&PostParams::default(), &map).await?;
/// # parts[1].0.create(&PostParams::default(), &map).await?;
/// let (reader, writer) = reflector::store();
/// let mut changes = reflector::merged(writer, parts);
/// while !matches!(changes.next().await.transpose()?, Some(StoreEvent::Synced(_))) {}
/// assert_eq!(reader.len(), 2);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no change is lost when another branch completes first.
pub fn merged<K>(writer: Writer<K>, parts: impl IntoIterator<Item = (Api<K>, Config)>) -> MergedDeltas<K>
where
    K: Resource + DeserializeOwned + Send + Sync + 'static,
{
    let watches: Vec<_> = parts
        .into_iter()
        .map(|(api, config)| {
            let namespace = api.namespace().map(ToOwned::to_owned);
            let convert = writer.text_packer_for(&api);
            let watcher = watcher(api, config);
            let events = match convert.and_then(|convert| watcher.converting_driver(convert)) {
                Some(driver) => driver.map(|item| item.map(|event| event.map(Arrival::from_wire))).boxed(),
                None => typed_events(&writer, watcher),
            };
            (namespace, events)
        })
        .collect();
    MergedDeltas::new(writer, watches)
}

/// Applies the function of [`Storage::modify`](super::Storage::modify), if any, to the object of each event, and wraps
/// the object in an [`Arrival`].
fn typed_events<K: Resource + Send + Sync + 'static>(
    writer: &Writer<K>,
    events: impl Stream<Item = Result<Event<K>>> + Send + 'static,
) -> BoxStream<'static, WatchItem<K>> {
    let modify = writer.modifier();
    let modified = events.map(move |mut item| {
        modify.apply_to_item(&mut item);
        item.map(|event| event.map(Arrival::from_typed))
    });
    modified.boxed()
}

/// The stream that [`merged`] returns.
#[must_use = "a store changes only while its stream is polled"]
pub struct MergedDeltas<K> {
    watches: SelectAll<BoxStream<'static, (usize, WatchItem<K>)>>,
    parts: Parts<K>,
    writer: Writer<K>,
    /// The remaining deltas of the last event.
    pending: Option<DeltaIter<K>>,
    /// Whether [`StoreEvent::Synced`] follows `pending`.
    synced: bool,
}

/// The namespace of a part and the events of the part. The namespace is `None` if the part selects objects of all
/// namespaces.
type Part<K> = (Option<String>, BoxStream<'static, WatchItem<K>>);

/// An item of the watch of a part.
type WatchItem<K> = Result<Event<Arrival<K>>>;

impl<K: Resource + Send + Sync + 'static> MergedDeltas<K> {
    fn new(mut writer: Writer<K>, watches: Vec<Part<K>>) -> Self {
        let (namespaces, streams): (Vec<_>, Vec<_>) = watches.into_iter().unzip();
        let tagged =
            |(part, events): (usize, BoxStream<'static, _>)| events.map(move |event| (part, event)).boxed();
        let watches: SelectAll<_> = streams.into_iter().enumerate().map(tagged).collect();
        let synced = namespaces.is_empty();
        if synced {
            drop(writer.apply_stored(Event::Init, None));
            drop(writer.apply_stored(Event::InitDone, None));
        }
        Self { watches, parts: Parts::new(&namespaces), writer, pending: None, synced }
    }

    pub(crate) fn writer_mut(&mut self) -> &mut Writer<K> {
        &mut self.writer
    }

    /// Drops the watches and returns the writer.
    pub(crate) fn into_writer(self) -> Writer<K> {
        self.writer
    }

    /// Applies an event of a part.
    fn apply_event(&mut self, part: usize, event: Event<Arrival<K>>) {
        match self.parts.record_event(part, event) {
            WriterAction::Nothing => {}
            WriterAction::Apply(event) => {
                self.pending = Some(self.writer.apply_stored(event.map(Arrival::into_stored), None));
            }
            WriterAction::Listed { vanished, is_complete } => {
                for object in &vanished {
                    self.writer.remove_from_snapshot(object.key());
                }
                if is_complete {
                    self.pending = Some(self.writer.apply_stored(Event::InitDone, None));
                    self.synced = true;
                    self.writer.set_settled(self.parts.is_settled());
                }
            }
            WriterAction::Relisting => self.writer.set_settled(false),
            WriterAction::Relisted { changed, vanished } => {
                let changed = changed.into_iter().map(Arrival::into_stored).collect();
                let deltas = self.writer.apply_relist(changed, vanished.iter().map(ObjectVersion::key));
                self.pending = Some(deltas.into_iter().collect());
                self.synced = true;
                self.writer.set_settled(self.parts.is_settled());
            }
        }
    }
}

impl<K: Resource + Send + Sync + 'static> Stream for MergedDeltas<K> {
    type Item = Result<StoreEvent<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(delta) = this.pending.as_mut().and_then(Iterator::next) {
                return Poll::Ready(Some(Ok(StoreEvent::Delta(delta))));
            }
            this.pending = None;
            if std::mem::take(&mut this.synced) {
                return Poll::Ready(Some(Ok(StoreEvent::Synced(None))));
            }
            let Poll::Ready(item) = this.watches.poll_next_unpin(cx) else {
                // No event is available: store the packed batches.
                let _ = this.writer.poll_packing(cx);
                return Poll::Pending;
            };
            let Some((part, event)) = item else { return Poll::Ready(None) };
            match event {
                Ok(event) => this.apply_event(part, event),
                Err(error) => {
                    if let Error::Object(object) = &error
                        && this.parts.record_undecodable(part, object)
                    {
                        this.pending = this.writer.apply_undecodable_for_deltas(object);
                    }
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<K> Unpin for MergedDeltas<K> {}

impl<K> fmt::Debug for MergedDeltas<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergedDeltas")
            .field("parts", &self.watches.len())
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

/// The stream of a store's changes. One watch or several watches feed the store.
pub(crate) enum WatchedDeltas<K> {
    One(Box<Deltas<Watcher<K>, K>>),
    Merged(Box<MergedDeltas<K>>),
}

impl<K: Resource + DeserializeOwned + Send + Sync + 'static> WatchedDeltas<K> {
    /// The stream watches the collection of each of the `parts`, and stores the objects with `writer`.
    pub(crate) fn new(writer: Writer<K>, mut parts: Vec<(Api<K>, Config)>) -> Self {
        match parts.pop() {
            Some((api, config)) if parts.is_empty() => {
                Self::One(Box::new(watcher(api, config).deltas(writer)))
            }
            last => Self::Merged(Box::new(merged(writer, parts.into_iter().chain(last)))),
        }
    }

    pub(crate) fn writer_mut(&mut self) -> &mut Writer<K> {
        match self {
            Self::One(deltas) => deltas.writer_mut(),
            Self::Merged(deltas) => deltas.writer_mut(),
        }
    }
}

impl<K: Resource + Send + Sync + 'static> WatchedDeltas<K> {
    /// Drops the watches and returns the writer.
    pub(crate) fn into_writer(self) -> Writer<K> {
        match self {
            Self::One(deltas) => deltas.into_writer(),
            Self::Merged(deltas) => deltas.into_writer(),
        }
    }
}

impl<K: Resource + DeserializeOwned + Send + Sync + 'static> Stream for WatchedDeltas<K> {
    type Item = Result<StoreEvent<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Self::One(deltas) => deltas.poll_next_unpin(cx),
            Self::Merged(deltas) => deltas.poll_next_unpin(cx),
        }
    }
}

#[cfg(test)]
mod tests;
