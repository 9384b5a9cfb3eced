//! `Source`: a source of triggers for a controller. Sources must not access the work queue.

use super::error::SourceError;
use super::filter::Filter;
use super::gate::Gate;
use super::handler::{Handler, Requests, key_of};
use super::key::{Key, SharedKeys};
use super::owned_object::OwnedObject;
use super::panic;
use super::settled_triggers::SettledTriggers;
use super::trigger::{ReconcileReason, Trigger};
use crate::informer::SharedInformer;
use crate::queue::Priority;
use crate::reflector::{Delta, Deltas, Storage, Store, StoreEvent, WatchedDeltas, store, store_with};
use crate::watcher::{self, Storable, watcher};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube_client::api::PartialObjectMeta;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{
    fmt, future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// The triggers of a controller's source. Errors are items and do not end the stream.
pub type TriggerStream = BoxStream<'static, Result<Trigger, SourceError>>;

/// A source of triggers for a controller; see [`Controller::with_source`](crate::Controller::with_source).
///
/// [`Changes`] builds a source from the changes of a store. Each stream of [`Trigger`]s is a source, too.
pub trait Source: Send {
    /// The gate that must be open before the controller starts reconciles, such as the gate of the source's store.
    /// `None` if the controller does not wait for the source.
    fn gate(&self) -> Option<Gate> {
        None
    }

    /// Converts the source into the stream of its triggers.
    fn into_triggers(self) -> TriggerStream;
}

impl<S: Stream<Item = Trigger> + Send + 'static> Source for S {
    fn into_triggers(self) -> TriggerStream {
        self.map(Ok).boxed()
    }
}

/// Changes of objects, before a [`Handler`] maps them to triggers: the deltas of a store, or the objects of a stream.
///
/// ```
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, ResourceExt};
/// use kube_runtime::controller::{Changes, Source, changes_of, own};
/// use kube_runtime::{predicates, watcher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let (reader, changes) = Changes::watch(namespaces, watcher::Config::default());
/// let mut triggers = changes.filter(changes_of(predicates::labels)).handle(own()).into_triggers();
/// let trigger = triggers.next().await.expect("the stream of a watcher does not end")?;
/// assert!(reader.find(|namespace| namespace.name_any() == trigger.key.name()).is_some());
/// # Ok(())
/// # }
/// ```
#[must_use = "changes do nothing before a handler maps them"]
pub struct Changes<T> {
    items: BoxStream<'static, watcher::Result<T>>,
    filters: Vec<Box<dyn Filter<T>>>,
    resource: Arc<str>,
    /// Returns the name of the changed object, for errors.
    name: fn(&T) -> String,
    gate: Option<Gate>,
}

impl<K: Resource + Send + Sync + 'static> Changes<Delta<K>> {
    /// Watches a collection, and stores its objects in a new store. The gate of the source is open when the store is
    /// complete.
    pub fn watch(api: Api<K>, wc: watcher::Config) -> (Store<K>, Self)
    where
        K: DeserializeOwned,
    {
        Self::watch_merged([(api, wc)], Storage::typed())
    }

    /// Like [`watch`](Self::watch), for several collections, for instance of several namespaces, or of several selectors.
    /// One store contains the objects of all collections; see [`merged`](crate::reflector::merged()). `storage` is the
    /// format of the store.
    pub fn watch_merged(
        parts: impl IntoIterator<Item = (Api<K>, watcher::Config)>,
        storage: Storage<K>,
    ) -> (Store<K>, Self)
    where
        K: DeserializeOwned,
    {
        let parts: Vec<_> = parts.into_iter().collect();
        let resource = parts.iter().map(|(api, _)| api.resource_url()).collect::<Vec<_>>().join(", ");
        let (reader, writer) = store_with(storage);
        let changes = Self::of_store(&resource, &reader, WatchedDeltas::new(writer, parts));
        (reader, changes)
    }

    /// Returns the store of a [`SharedInformer`], and the changes of this store. Several controllers and sources share the
    /// watch and the store. Call this function inside a tokio runtime; see [`SharedInformer`] for an example.
    pub fn shared(informer: &SharedInformer<K>) -> (Store<K>, Self)
    where
        K: DeserializeOwned,
    {
        let store = informer.store();
        let changes = Self::of_store(informer.resource_url(), &store, informer.subscribe());
        (store, changes)
    }

    /// The deltas of a store. `events` is the stream that feeds the store. `resource` is the name of the store in
    /// errors, such as the path of its collection. The gate of the source is open when the store is complete.
    pub fn of_store(
        resource: &str,
        store: &Store<K>,
        events: impl Stream<Item = watcher::Result<StoreEvent<K>>> + Send + 'static,
    ) -> Self {
        Self::of_store_events(resource, store, events)
    }
}

impl<K: Storable + Send + Sync + 'static> Changes<Delta<K>> {
    /// Like [`of_store`](Self::of_store), but the type of the objects need not implement [`Resource`].
    fn of_store_events(
        resource: &str,
        store: &Store<K>,
        events: impl Stream<Item = watcher::Result<StoreEvent<K>>> + Send + 'static,
    ) -> Self {
        let deltas = events.filter_map(|event| {
            future::ready(match event {
                Ok(StoreEvent::Delta(delta)) => Some(Ok(delta)),
                Ok(StoreEvent::Synced(_)) => None,
                Err(error) => Some(Err(error)),
            })
        });
        let changes = Self::of_stream(resource, deltas);
        let name = |delta: &Delta<K>| key_of(delta).to_string();
        Self { name, gate: Some(Gate::of_store(resource, store)), ..changes }
    }
}

impl Changes<Delta<OwnedObject>> {
    /// Watches the metadata of owned objects. Stores only the identity of each object, and the keys of its owners of kind
    /// `K`.
    pub(super) fn watch_owned<K, Child>(
        api: Api<PartialObjectMeta<Child>>,
        wc: watcher::Config,
        dyntype: K::DynamicType,
    ) -> Self
    where
        K: Resource + 'static,
        Child: Resource + 'static,
    {
        let (resource, mut shared) = (api.resource_url().to_owned(), SharedKeys::default());
        let (reader, writer) = store();
        let owned = watcher(api, wc).map(move |event| {
            event.map(|event| event.map(|child| OwnedObject::new::<K>(child.metadata, &dyntype, &mut shared)))
        });
        Self::of_store_events(&resource, &reader, Deltas::new(writer, owned, |_| None))
    }
}

impl<T: Send + 'static> Changes<T> {
    /// The items of a stream, such as objects. `resource` is the name of the stream in errors. For a stream
    /// of objects, pass for example their kind. The source has no gate.
    pub fn of_stream(
        resource: &str,
        stream: impl Stream<Item = watcher::Result<T>> + Send + 'static,
    ) -> Self {
        let name = |_: &T| UNKNOWN_OBJECT.to_owned();
        Self { items: stream.boxed(), filters: Vec::new(), resource: resource.into(), name, gate: None }
    }

    /// Adds a filter. The handler receives the changes that all filters pass. If a filter panics, the handler receives
    /// the change, and the controller reports the panic.
    pub fn filter(mut self, filter: impl Filter<T> + 'static) -> Self {
        self.filters.push(Box::new(filter));
        self
    }

    /// Maps the changes to triggers. A panic in the handler affects only the current change. The controller reports the
    /// panic.
    pub fn handle(self, handler: impl Handler<T> + 'static) -> Triggers {
        let Self { items, filters, resource, name, gate } = self;
        let requests = Requests::new(resource);
        let stream = HandledChanges { items, filters, name, handler: Box::new(handler), requests }.boxed();
        Triggers { stream, gate }
    }
}

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes")
            .field("resource", &self.resource)
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

/// The [`Source`] that [`Changes::handle`] returns: a stream of triggers, and the gate of the source.
#[must_use = "a source does nothing before a controller polls it"]
pub struct Triggers {
    stream: TriggerStream,
    gate: Option<Gate>,
}

impl Triggers {
    /// Replaces the gate of the source. With `None`, the controller does not wait for the source.
    pub fn with_gate(self, gate: Option<Gate>) -> Self {
        Self { gate, ..self }
    }

    /// Holds the triggers back while `store` receives a snapshot; see [`SettledTriggers`].
    pub(super) fn after_snapshots_of<K: Send + Sync + 'static>(self, store: &Store<K>) -> Self {
        Self { stream: SettledTriggers::new(self.stream, store.clone()).boxed(), ..self }
    }
}

impl Source for Triggers {
    fn gate(&self) -> Option<Gate> {
        self.gate.clone()
    }

    fn into_triggers(self) -> TriggerStream {
        self.stream
    }
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Triggers").field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// The text that an error contains in place of an unknown object name.
const UNKNOWN_OBJECT: &str = "an object";

/// The stream of [`Changes::handle`].
struct HandledChanges<T> {
    items: BoxStream<'static, watcher::Result<T>>,
    filters: Vec<Box<dyn Filter<T>>>,
    name: fn(&T) -> String,
    handler: Box<dyn Handler<T>>,
    /// The requests and errors that result from the last change, without those that the stream has emitted.
    requests: Requests,
}

impl<T> Stream for HandledChanges<T> {
    type Item = Result<Trigger, SourceError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { items, filters, name, handler, requests } = &mut *self;
        loop {
            if let Some(request) = requests.pop() {
                return Poll::Ready(Some(request));
            }
            let change = match ready!(items.poll_next_unpin(cx)) {
                Some(Ok(change)) => change,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            // A filter that panics passes the change: an unnecessary reconcile is harmless, a missing one is not.
            let passes = panic::catch(|| filters.iter_mut().all(|filter| filter.passes(&change)));
            let passes = passes.unwrap_or_else(|message| {
                requests.add_panic(&name(&change), message);
                true
            });
            let handled = panic::catch(|| {
                if passes { handler.handle(change, requests) } else { handler.skip(&change, requests) }
            });
            if let Err(message) = handled {
                // The handler has consumed the change, so its object is not known.
                requests.add_panic(UNKNOWN_OBJECT, message);
            }
            requests.report_if_many();
        }
    }
}

impl<T> Unpin for HandledChanges<T> {}

/// A source that requests a reconcile of each object of a store, for each item of `trigger`.
pub(super) fn bulk_reconcile_source<K>(
    trigger: impl Stream<Item = ()> + Send + 'static,
    reader: Store<K>,
) -> impl Source
where
    K: Resource + Send + Sync + 'static,
{
    trigger.flat_map(move |()| {
        let keys = reader.map_keys(|namespace, name| Key::new(Some(namespace), name));
        stream::iter(keys)
            .map(|key| Trigger::new(key).because(ReconcileReason::BulkReconcile).priority(Priority::LOW))
    })
}
