//! `Informer`: a queue of the changes to a collection.

mod backlog;

use crate::cycle::Cycle;
use crate::reflector::{Change, Store, Writer, object_key, store};
use crate::watcher::{Config, Error, Event, Result};
use backlog::Backlog;
use futures::Stream;
use kube_client::core::WatchEvent;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{
    collections::{HashSet, VecDeque},
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A queue of the changes to a collection.
///
/// [`poll`](Informer::poll) fills the queue: the first call lists and queues a [`WatchEvent::Added`] for each object;
/// every call watches for ten seconds, or for [`timeout`](Informer::timeout). [`pop`](Informer::pop) removes the events
/// in order. As a [`Stream`] the informer emits events without end, and each watch lasts for [`Config::timeout`].
///
/// The informer stores the last state of every object. After an expired version (410) it relists and queues only the
/// differences from the stored states, including deletions.
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
/// latest state. It never loses the last state, or the deletion of an object that the consumer has received. The
/// events of one name exceed the limit by at most three entries.
pub struct Informer<K> {
    cycle: Cycle<K>,
    writer: Writer<K>,
    store: Store<K>,
    backlog: Backlog<K>,
    /// The events of the snapshot in progress. They are emitted at `InitDone`, because a list that fails restarts.
    listed: Option<Vec<WatchEvent<Arc<K>>>>,
    /// Objects whose deletion was emitted since the last complete snapshot. The store still holds them until the
    /// relist is complete. If a restarted list contains such an object, it is a new object.
    emitted_deletions: HashSet<(String, String)>,
    /// For the stream: the remaining informer events of the last watcher event. They are emitted before the
    /// backlog.
    pending: VecDeque<WatchEvent<Arc<K>>>,
}

impl<K: Resource + DeserializeOwned + Send + 'static> Informer<K> {
    /// An informer for the collection of `api`. Sends no request before the first poll.
    pub fn new(api: Api<K>) -> Self {
        Self::with_config(api, Config::default())
    }

    /// As [`new`](Informer::new), with a watcher's options.
    ///
    /// The watch of a poll lasts for the configured timeout, ten seconds by default. As a stream, the informer keeps
    /// each watch open for as long as a watcher with this configuration does.
    pub fn with_config(api: Api<K>, config: Config) -> Self {
        let (store, writer) = store();
        Self {
            cycle: Cycle::new(api, config),
            writer,
            store,
            backlog: Backlog::default(),
            listed: None,
            emitted_deletions: HashSet::default(),
            pending: VecDeque::new(),
        }
    }

    /// Sets the duration of the watch of each poll.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.cycle.set_timeout(timeout);
        self
    }

    /// Fills the queue: lists once, then watches for the full timeout.
    ///
    /// # Errors
    ///
    /// The first failure ends the call. The queue keeps the received events, and the next call resumes after the
    /// backoff. An object that cannot be decoded is an error with its name ([`Error::undecodable`]), without backoff;
    /// other objects are not affected. An ERROR event of the watch is also queued, as [`WatchEvent::Error`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the queue keeps the received events, and the next call resumes.
    pub async fn poll(&mut self) -> Result<()> {
        self.cycle.begin();
        while let Some(event) = self.cycle.next().await {
            let (events, result) = self.convert_event(event);
            for event in events {
                self.backlog.push(event);
            }
            result?;
        }
        Ok(())
    }

    /// Removes the next event from the queue.
    pub fn pop(&mut self) -> Option<WatchEvent<Arc<K>>> {
        // The events in `pending` are older than the backlog.
        self.pending.pop_front().or_else(|| self.backlog.pop())
    }

    /// The number of queued events.
    pub fn len(&self) -> usize {
        self.pending.len() + self.backlog.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The store with the last state of every object. It already contains the changes whose events are queued.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// The resource version of the last received change; `None` until the first list is complete. During a relist,
    /// this is the version from before the relist.
    pub fn resource_version(&self) -> Option<&str> {
        self.cycle.resource_version()
    }

    /// Converts a watcher event to informer events, by comparing it with the store.
    fn convert_event(&mut self, event: Result<Event<K>>) -> (Vec<WatchEvent<Arc<K>>>, Result<()>) {
        match event {
            Ok(event) => {
                let change = self.writer.apply_watcher_event(event);
                (self.events_for_store_change(change), Ok(()))
            }
            Err(Error::Object(object)) => {
                let change = self.writer.apply_undecodable(&object);
                let events = change.map(|change| self.events_for_store_change(change));
                (events.unwrap_or_default(), Err(Error::Object(object)))
            }
            Err(error) => {
                let sent =
                    if let Error::WatchError { status, .. } = &error { Some(status.clone()) } else { None };
                (sent.map(WatchEvent::Error).into_iter().collect(), Err(error))
            }
        }
    }

    /// The informer events for a change of the store.
    fn events_for_store_change(&mut self, change: Change<K>) -> Vec<WatchEvent<Arc<K>>> {
        let mut previous = change.previous();
        let Change { event, vanished, deletes_known, .. } = change;
        if let (Event::InitApply(object), Some(listed)) = (&event, &self.listed)
            && !self.emitted_deletions.is_empty()
            && self.emitted_deletions.contains(&owned_key(&**object))
        {
            let is_listed = |event: &WatchEvent<Arc<K>>| {
                event.object().is_some_and(|listed| key(&**listed) == key(&**object))
            };
            previous = previous.filter(|_| listed.iter().any(is_listed));
        }
        match (event, &mut self.listed, previous) {
            (Event::Init, listed, _) => *listed = Some(Vec::new()),
            // The listed object is unchanged: emit nothing.
            (Event::InitApply(object), _, Some(previous)) if Arc::ptr_eq(&object, &previous) => {}
            (Event::InitApply(object), listed, previous) => {
                listed.get_or_insert_default().extend(events_for_change(object, previous));
            }
            (Event::InitDone, listed, _) => {
                let mut events = listed.take().unwrap_or_default();
                let emitted = std::mem::take(&mut self.emitted_deletions);
                let vanished = vanished
                    .into_iter()
                    .filter(|object| emitted.is_empty() || !emitted.contains(&owned_key(&**object)));
                events.extend(vanished.map(WatchEvent::Deleted));
                return events;
            }
            // The object was deleted during the snapshot: discard its listed events. If the store had the object
            // before the relist, emit the deletion immediately.
            (Event::Delete(object), Some(listed), _) => {
                let deleted = key(&*object);
                listed.retain(|event| event.object().is_none_or(|listed| key(&**listed) != deleted));
                if deletes_known && self.emitted_deletions.insert(owned_key(&*object)) {
                    return vec![WatchEvent::Deleted(object)];
                }
            }
            (Event::Apply(object), _, previous) => return events_for_change(object, previous),
            (Event::Delete(object), None, _) => return vec![WatchEvent::Deleted(object)],
        }
        Vec::new()
    }
}

/// The events for an object that replaces `previous`. If their uids differ, they are different objects, and the
/// deletion of `previous` was missed.
fn events_for_change<K: Resource>(object: Arc<K>, previous: Option<Arc<K>>) -> Vec<WatchEvent<Arc<K>>> {
    match previous {
        None => vec![WatchEvent::Added(object)],
        Some(previous) => match (&previous.meta().uid, &object.meta().uid) {
            (Some(before), Some(now)) if before != now => {
                vec![WatchEvent::Deleted(previous), WatchEvent::Added(object)]
            }
            _ => vec![WatchEvent::Modified(object)],
        },
    }
}

/// Namespace and name.
fn key<K: Resource>(object: &K) -> (&str, &str) {
    object_key(object.meta())
}

/// As [`key`], with owned strings.
fn owned_key<K: Resource>(object: &K) -> (String, String) {
    let (namespace, name) = key(object);
    (namespace.to_owned(), name.to_owned())
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
            let Some(event) = ready!(this.cycle.poll_event(cx)) else { continue };
            let (events, result) = this.convert_event(event);
            this.pending.extend(events);
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

    /// The config map `a` in this version.
    fn map(version: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.name = Some("a".into());
        map.metadata.resource_version = Some(version.into());
        map
    }

    /// The error for an undecodable state of the config map `a`.
    fn undecodable(origin: ObjectOrigin) -> Error {
        let source = serde_json::from_str::<u8>("{}").unwrap_err();
        let mut object = UndecodableObject::new("ConfigMap", origin, source);
        object.name = Some("a".into());
        Error::Object(object.into())
    }

    #[test]
    fn emits_one_deletion_during_a_relist_and_an_addition_if_the_object_is_created_again() {
        let known = || vec![Ok(Event::InitApply(map("1"))), Ok(Event::InitDone), Ok(Event::Init)];
        let events_after = |rest: Vec<_>| informer_events(known().into_iter().chain(rest).collect());
        let deleted = ["Added event 1", "Deleted event 2"];
        assert_eq!(events_after(vec![Ok(Event::Delete(map("2")))]), deleted);
        assert_eq!(events_after(vec![Ok(Event::InitApply(map("1"))), Ok(Event::Delete(map("2")))]), deleted);
        assert_eq!(events_after(vec![Ok(Event::Delete(map("2"))), Ok(Event::Init)]), deleted);
        let again = events_after(vec![Ok(Event::Delete(map("2"))), Ok(Event::InitApply(map("3")))]);
        assert_eq!(again, ["Added event 1", "Deleted event 2", "Added event 3"]);
        let end = || Err(undecodable(ObjectOrigin::Deleted));
        assert_eq!(events_after(vec![end(), end()]), ["Added event 1", "Deleted event 1"]);
    }

    #[test]
    fn emits_a_deletion_once_if_the_object_is_created_again_before_the_relist_restarts() {
        let known = || vec![Ok(Event::InitApply(map("1"))), Ok(Event::InitDone), Ok(Event::Init)];
        let again = || vec![Ok(Event::Delete(map("2"))), Ok(Event::InitApply(map("3"))), Ok(Event::Init)];
        let events_after =
            |rest: Vec<_>| informer_events(known().into_iter().chain(again()).chain(rest).collect());
        assert_eq!(events_after(vec![]), ["Added event 1", "Deleted event 2"]);
        let created_again = ["Added event 1", "Deleted event 2", "Added event 3"];
        assert_eq!(events_after(vec![Ok(Event::InitApply(map("3")))]), created_again);
        let changed = events_after(vec![Ok(Event::InitApply(map("3"))), Ok(Event::InitApply(map("4")))]);
        assert_eq!(changed, ["Added event 1", "Deleted event 2", "Added event 3", "Modified event 4"]);
        // The restarted list comes from an older cache, with an earlier state of the object.
        assert_eq!(
            events_after(vec![Ok(Event::InitApply(map("1")))]),
            ["Added event 1", "Deleted event 2", "Added event 1"]
        );
        let deleted = events_after(vec![Ok(Event::InitApply(map("3"))), Ok(Event::Delete(map("4")))]);
        assert_eq!(deleted, ["Added event 1", "Deleted event 2"]);
    }

    /// The informer events for these watcher events, preceded by `Init` and followed by `InitDone`.
    fn informer_events(events: Vec<Result<Event<ConfigMap>>>) -> Vec<String> {
        let client = Client::new(kube_sim::Sim::new().service(), "default");
        let mut informer = Informer::<ConfigMap>::new(Api::all(client));
        let all = [Ok(Event::Init)].into_iter().chain(events).chain([Ok(Event::InitDone)]);
        let events = all.flat_map(|event| informer.convert_event(event).0);
        let short = |event: &WatchEvent<Arc<ConfigMap>>| {
            format!(
                "{event:?} {}",
                event.object().and_then(|map| map.meta().resource_version.clone()).unwrap()
            )
        };
        events.map(|event| short(&event)).collect()
    }

    #[test]
    fn an_object_that_a_snapshot_contains_twice_is_added_once() {
        let events = vec![Ok(Event::InitApply(map("1"))), Ok(Event::InitApply(map("2")))];
        assert_eq!(informer_events(events), ["Added event 1", "Modified event 2"]);
    }

    #[test]
    fn an_object_deleted_during_the_first_snapshot_is_not_emitted_even_if_undecodable() {
        assert!(
            informer_events(vec![Ok(Event::InitApply(map("1"))), Ok(Event::Delete(map("2")))]).is_empty()
        );
        let end = Err(undecodable(ObjectOrigin::Deleted));
        assert!(informer_events(vec![Ok(Event::InitApply(map("1"))), end]).is_empty());
    }
}
