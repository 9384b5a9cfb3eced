//! `Informer`: a queue of the changes to a collection. `SharedInformer`: one watch for several consumers.

mod backlog;
mod shared;

#[cfg(feature = "manager")]
pub(crate) use shared::Health;
pub use shared::{InformerEnd, SharedInformer, SharedInformers};

use crate::reflector::{Delta, DeltaIter, Storage, Store, StoreCycle, StoredObject, Writer, store_with};
use crate::watcher::{Config, Error, Event, Result};
use backlog::Backlog;
use futures::Stream;
use kube_client::core::WatchEvent;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// A queue of the changes to a collection.
///
/// [`poll`](Informer::poll) fills the queue. The first call lists the objects, and queues a [`WatchEvent::Added`] for
/// each object. Every call watches for ten seconds, or for [`timeout`](Informer::timeout). [`pop`](Informer::pop) removes
/// the events in order. As a [`Stream`], the informer emits events without end, and each watch lasts for
/// [`Config::timeout`].
///
/// The informer stores the last state of every object. When it relists, for instance after an expired version (410), it
/// queues only the differences from the stored states, including deletions.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, ResourceExt, api::WatchEvent};
/// use kube_runtime::Informer;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let mut informer = Informer::new(namespaces).timeout(Duration::from_secs(1));
/// informer.poll().await?;
/// while let Some(event) = informer.pop() {
///     match event {
///         WatchEvent::Added(namespace) => println!("added {}", namespace.name_any()),
///         WatchEvent::Modified(namespace) => println!("modified {}", namespace.name_any()),
///         WatchEvent::Deleted(namespace) => println!("deleted {}", namespace.name_any()),
///         WatchEvent::Bookmark(bookmark) => println!("at {}", bookmark.metadata.resource_version),
///         WatchEvent::Error(status) => println!("error {status}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Backlog
///
/// The queue holds up to 1024 events unchanged. Beyond that limit it coalesces the events of each object to the
/// latest state. It never loses the current state of an object. If the consumer has received an object, the
/// queue never loses the deletion of this object. Objects that are deleted and created again with the same
/// name add at most three events for each name.
pub struct Informer<K> {
    cycle: StoreCycle<K>,
    writer: Writer<K>,
    store: Store<K>,
    backlog: Backlog<K>,
    /// The remaining changes of the last watcher event. The stream emits them before the backlog.
    pending: Option<DeltaIter<K>>,
}

impl<K: Resource + DeserializeOwned + Send + 'static> Informer<K> {
    /// An informer for the collection of `api`. Sends no request before the first poll.
    pub fn new(api: Api<K>) -> Self {
        Self::with_config(api, Config::default())
    }

    /// Like [`new`](Informer::new), with a watcher's options.
    ///
    /// The watch of a poll lasts for [`Config::timeout`], or for ten seconds if that option is `None`. The watches of the
    /// stream last as long as those of a watcher with the same options.
    pub fn with_config(api: Api<K>, config: Config) -> Self {
        Self::with_storage(api, config, Storage::typed())
    }

    /// Like [`with_config`](Informer::with_config), with a storage format for the last states of the objects.
    pub fn with_storage(api: Api<K>, config: Config, storage: Storage<K>) -> Self {
        let (store, writer) = store_with(storage);
        let cycle = StoreCycle::new(api, config, &writer);
        Self { cycle, writer, store, backlog: Backlog::default(), pending: None }
    }

    /// Sets how long each call of [`poll`](Informer::poll) watches.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.cycle.set_timeout(timeout);
        self
    }

    /// Fills the queue. The first call lists the objects, and each call watches for the full timeout.
    ///
    /// # Errors
    ///
    /// The first failure ends the call. The queue keeps the received events, and the next call resumes after the
    /// backoff. If an object cannot be decoded, the error contains the name of the object ([`Error::undecodable`]), and
    /// the next call resumes without backoff; other objects are not affected. An ERROR event of the watch is also
    /// queued, as [`WatchEvent::Error`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the queue keeps the received events, and the next call resumes.
    pub async fn poll(&mut self) -> Result<()> {
        std::future::poll_fn(|cx| self.writer.poll_packing(cx)).await;
        self.cycle.begin();
        while let Some(event) = self.cycle.next(&self.writer).await {
            let (deltas, result) = self.apply(event);
            for event in deltas.into_iter().flatten().filter_map(Delta::into_watch_event) {
                self.backlog.push(event);
            }
            result?;
        }
        self.writer.record_version(self.cycle.resource_version());
        Ok(())
    }

    /// Removes the next event from the queue.
    pub fn pop(&mut self) -> Option<WatchEvent<Arc<K>>> {
        // The events in `pending` are older than the events in the backlog.
        let pending = self.pending.as_mut().and_then(|deltas| deltas.find_map(Delta::into_watch_event));
        pending.or_else(|| {
            self.pending = None;
            self.backlog.pop()
        })
    }

    /// The number of queued events.
    pub fn len(&self) -> usize {
        let pending = self.pending.as_ref().map_or(0, |deltas| deltas.size_hint().0);
        pending + self.backlog.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The store with the last state of every object. It already contains the changes whose events are queued.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// The resource version of the last received change, bookmark or complete snapshot; `None` until the first snapshot
    /// is complete. During a relist, this is the version from before the relist.
    pub fn resource_version(&self) -> Option<&str> {
        self.cycle.resource_version()
    }

    /// Applies a watcher event to the store. Returns the changes, and the error if `event` is an error. Queues the status
    /// of an ERROR event.
    fn apply(&mut self, event: Result<Event<StoredObject<K>>>) -> (Option<DeltaIter<K>>, Result<()>) {
        match event {
            Ok(event) => (Some(self.writer.apply_stored(event, None)), Ok(())),
            Err(error) => {
                let deltas =
                    error.undecodable().and_then(|object| self.writer.apply_undecodable_for_deltas(object));
                if let Error::WatchError { status, .. } = &error {
                    self.backlog.push(WatchEvent::Error(status.clone()));
                }
                (deltas, Err(error))
            }
        }
    }
}

/// Emits queued events first, then events as they arrive. Errors are items; the stream recovers from them and never
/// ends.
impl<K: Resource + DeserializeOwned + Send + 'static> Stream for Informer<K> {
    type Item = Result<WatchEvent<Arc<K>>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.pop() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Poll::Ready(event) = this.cycle.poll_event(cx, &this.writer) else {
                this.writer.record_version(this.cycle.resource_version());
                return Poll::Pending;
            };
            let Some(event) = event else { continue };
            let (deltas, result) = this.apply(event);
            this.pending = deltas;
            if let Err(error) = result {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl<K> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube_client::Client;
    use kube_client::core::{ObjectOrigin, UndecodableObject};

    /// The config map `a` with this uid and version.
    fn map_a(uid: &str, version: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.name = Some("a".into());
        map.metadata.uid = Some(uid.into());
        map.metadata.resource_version = Some(version.into());
        map
    }

    /// The error for an undecodable state of the config map `a`.
    fn undecodable_error(origin: ObjectOrigin) -> Error {
        let source = serde_json::from_str::<u8>("{}").unwrap_err();
        let mut object = UndecodableObject::new("ConfigMap", origin, source);
        object.name = Some("a".into());
        Error::Object(object.into())
    }

    /// Passes the watcher events `events`, between `Init` and `InitDone`, to an informer. Returns the types and versions
    /// of the events that the informer emits.
    fn emitted_events(events: Vec<Result<Event<ConfigMap>>>) -> Vec<String> {
        let client = Client::new(kube_sim::Sim::new().service(), "default");
        let mut informer = Informer::<ConfigMap>::new(Api::all(client));
        let all = [Ok(Event::Init)].into_iter().chain(events).chain([Ok(Event::InitDone)]);
        let short = |event: WatchEvent<Arc<ConfigMap>>| {
            let version = event.object().and_then(|map| map.meta().resource_version.clone()).unwrap();
            format!("{event:?} {version}")
        };
        let deltas = all.flat_map(|event| {
            let event = informer.writer.prepare_item(event);
            informer.apply(event).0.into_iter().flatten()
        });
        deltas.filter_map(Delta::into_watch_event).map(short).collect()
    }

    #[test]
    fn a_deletion_during_a_relist_is_emitted_once_even_if_the_object_is_created_again() {
        let snapshot_and_relist_start =
            || vec![Ok(Event::InitApply(map_a("u", "1"))), Ok(Event::InitDone), Ok(Event::Init)];
        let events_of_relist =
            |rest: Vec<_>| emitted_events(snapshot_and_relist_start().into_iter().chain(rest).collect());
        let deleted = ["Added event 1", "Deleted event 2"];
        assert_eq!(events_of_relist(vec![Ok(Event::Delete(map_a("u", "2")))]), deleted);
        assert_eq!(
            events_of_relist(vec![Ok(Event::InitApply(map_a("u", "1"))), Ok(Event::Delete(map_a("u", "2")))]),
            deleted
        );
        assert_eq!(events_of_relist(vec![Ok(Event::Delete(map_a("u", "2"))), Ok(Event::Init)]), deleted);
        let again =
            events_of_relist(vec![Ok(Event::Delete(map_a("u", "2"))), Ok(Event::InitApply(map_a("v", "3")))]);
        assert_eq!(again, ["Added event 1", "Deleted event 2", "Added event 3"]);
        let end = || Err(undecodable_error(ObjectOrigin::Deleted));
        assert_eq!(events_of_relist(vec![end(), end()]), ["Added event 1", "Deleted event 1"]);
    }

    #[test]
    fn at_most_one_deletion_of_a_recreated_object_is_emitted_if_the_relist_restarts() {
        let snapshot_and_relist_start =
            || vec![Ok(Event::InitApply(map_a("u", "1"))), Ok(Event::InitDone), Ok(Event::Init)];
        let again = || {
            vec![Ok(Event::Delete(map_a("u", "2"))), Ok(Event::InitApply(map_a("v", "3"))), Ok(Event::Init)]
        };
        let events_of_relist = |rest: Vec<_>| {
            emitted_events(snapshot_and_relist_start().into_iter().chain(again()).chain(rest).collect())
        };
        assert_eq!(events_of_relist(vec![]), ["Added event 1", "Deleted event 2"]);
        let added = ["Added event 1", "Deleted event 2", "Added event 3"];
        assert_eq!(events_of_relist(vec![Ok(Event::InitApply(map_a("v", "3")))]), added);
        let changed = events_of_relist(vec![
            Ok(Event::InitApply(map_a("v", "3"))),
            Ok(Event::InitApply(map_a("v", "4"))),
        ]);
        assert_eq!(changed, ["Added event 1", "Deleted event 2", "Added event 4"]);
        // The restarted list comes from an outdated cache of the server, which still contains the first object.
        assert_eq!(events_of_relist(vec![Ok(Event::InitApply(map_a("u", "1")))]), ["Added event 1"]);
        let deleted =
            events_of_relist(vec![Ok(Event::InitApply(map_a("v", "3"))), Ok(Event::Delete(map_a("v", "4")))]);
        assert_eq!(deleted, ["Added event 1", "Deleted event 2"]);
    }

    #[test]
    fn an_object_that_a_snapshot_contains_twice_is_added_once() {
        let events = vec![Ok(Event::InitApply(map_a("u", "1"))), Ok(Event::InitApply(map_a("u", "2")))];
        assert_eq!(emitted_events(events), ["Added event 2"]);
    }

    #[test]
    fn no_event_is_emitted_for_an_object_that_is_deleted_during_the_first_snapshot() {
        let listed = || Ok(Event::InitApply(map_a("u", "1")));
        assert!(emitted_events(vec![listed(), Ok(Event::Delete(map_a("u", "2")))]).is_empty());
        assert!(emitted_events(vec![listed(), Err(undecodable_error(ObjectOrigin::Deleted))]).is_empty());
    }
}
