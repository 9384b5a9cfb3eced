//! `Informer`: the changes of a collection as a queue of events.

mod queue;

use crate::cycle::Cycle;
use crate::reflector::{Change, Store, Writer, store};
use crate::watcher::{Config, Error, Event, Result};
use futures::Stream;
use kube_client::core::WatchEvent;
use kube_client::{Api, Resource};
use queue::Backlog;
use serde::de::DeserializeOwned;
use std::{
    collections::{HashSet, VecDeque},
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A queue of what happens to a collection.
///
/// [`poll`](Informer::poll) fills the queue: the first call lists, so that every object that is there comes as
/// [`WatchEvent::Added`], and every call watches for ten seconds, or as long as [`timeout`](Informer::timeout) says.
/// [`pop`](Informer::pop) takes the events out in order. As a [`Stream`] it gives events as they come, without end, and
/// watches for as long as [`Config::timeout`] says.
///
/// The last state of every object is kept, so that nothing is told twice and nothing is missed: where the server can no
/// longer tell what has happened, the state is listed anew, and only what is different comes out, deletions included.
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
/// # When nothing is popped
///
/// Up to 1024 events wait in order. Beyond that, an object that has changes waiting keeps the latest of them only; that an
/// object is gone which was told of before is never lost, nor is the last state. No name adds more than three
/// events to those that wait.
pub struct Informer<K> {
    cycle: Cycle<K>,
    writer: Writer<K>,
    store: Store<K>,
    backlog: Backlog<K>,
    /// What the state that is being listed means, told only once it is complete: a list that breaks begins anew.
    listed: Option<Vec<WatchEvent<Arc<K>>>>,
    /// Objects whose deletion was emitted since the last complete state. They stay in the state that readers see until the relist is
    /// complete, and one that comes back in a list that begins anew is known to nobody.
    emitted_deletions: HashSet<(String, String)>,
    /// What the stream has still to give, of an event that means more than one. All of it came before what is in the backlog.
    pending: VecDeque<WatchEvent<Arc<K>>>,
}

impl<K: Resource + DeserializeOwned + Send + 'static> Informer<K> {
    /// Events of the collection that `api` gives access to. Nothing is requested before the first poll.
    pub fn new(api: Api<K>) -> Self {
        Self::with_config(api, Config::default())
    }

    /// As [`new`](Informer::new), with selectors and all else that a watcher can be told.
    ///
    /// The watch of a poll lasts as long as the configuration's timeout says, ten seconds where it is not set. As a stream, the
    /// informer keeps each watch open for as long as any watcher with this configuration.
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

    /// How long the watch of one poll lasts.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.cycle.set_timeout(timeout);
        self
    }

    /// Fills the queue: lists if that has not been done yet, then watches for as long as the timeout says, whatever happens
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// The first failure ends the call. What had arrived is in the queue, and the next call goes on where this one ended,
    /// after a wait that grows with each failure. An object that does not decode is an error that names it
    /// ([`Error::undecodable`]); nothing waits after such a one, and nothing else is affected. An error that the server sent
    /// inside the watch is also in the queue, as [`WatchEvent::Error`].
    ///
    /// # Cancel safety
    ///
    /// May be cancelled: the queue holds whatever has arrived, and the next call goes on from there.
    pub async fn poll(&mut self) -> Result<()> {
        self.cycle.begin();
        while let Some(event) = self.cycle.next().await {
            let (events, result) = self.take(event);
            for event in events {
                self.backlog.push(event);
            }
            result?;
        }
        Ok(())
    }

    /// Takes the next event out of the queue.
    pub fn pop(&mut self) -> Option<WatchEvent<Arc<K>>> {
        // What the stream has not given yet came first.
        self.pending.pop_front().or_else(|| self.backlog.pop())
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.pending.len() + self.backlog.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last known state of every object. It is ahead of the events that wait.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// The version up to which every change has been seen; `None` until the first list is complete. During a relist it is that
    /// of the state before.
    pub fn resource_version(&self) -> Option<&str> {
        self.cycle.resource_version()
    }

    /// What a watcher's event means to someone who knows the state before.
    fn take(&mut self, event: Result<Event<K>>) -> (Vec<WatchEvent<Arc<K>>>, Result<()>) {
        match event {
            Ok(event) => {
                let change = self.writer.apply_watcher_event(event);
                (self.told(change), Ok(()))
            }
            Err(Error::Object(object)) => {
                let change = self.writer.apply_undecodable(&object);
                let told = change.map(|change| self.told(change));
                (told.unwrap_or_default(), Err(Error::Object(object)))
            }
            Err(error) => {
                let sent =
                    if let Error::WatchError { status, .. } = &error { Some(status.clone()) } else { None };
                (sent.map(WatchEvent::Error).into_iter().collect(), Err(error))
            }
        }
    }

    fn told(&mut self, change: Change<K>) -> Vec<WatchEvent<Arc<K>>> {
        let mut previous = change.previous();
        let Change { event, vanished, deletes_known, .. } = change;
        if let (Event::InitApply(object), Some(listed)) = (&event, &self.listed)
            && !self.emitted_deletions.is_empty()
            && self.emitted_deletions.contains(&owned_place(&**object))
        {
            let is_listed = |event: &WatchEvent<Arc<K>>| {
                event.object().is_some_and(|listed| place(&**listed) == place(&**object))
            };
            previous = previous.filter(|_| listed.iter().any(is_listed));
        }
        match (event, &mut self.listed, previous) {
            (Event::Init, listed, _) => *listed = Some(Vec::new()),
            // It has not changed while nobody watched.
            (Event::InitApply(object), _, Some(previous)) if Arc::ptr_eq(&object, &previous) => {}
            (Event::InitApply(object), listed, previous) => {
                listed.get_or_insert_default().extend(changed(object, previous));
            }
            (Event::InitDone, listed, _) => {
                let mut events = listed.take().unwrap_or_default();
                let emitted = std::mem::take(&mut self.emitted_deletions);
                let vanished = vanished
                    .into_iter()
                    .filter(|object| emitted.is_empty() || !emitted.contains(&owned_place(&**object)));
                events.extend(vanished.map(WatchEvent::Deleted));
                return events;
            }
            // What the list has said of it was not told yet. One that was there before the list is told as gone at once.
            (Event::Delete(object), Some(listed), _) => {
                let gone = place(&*object);
                listed.retain(|event| event.object().is_none_or(|listed| place(&**listed) != gone));
                if deletes_known && self.emitted_deletions.insert(owned_place(&*object)) {
                    return vec![WatchEvent::Deleted(object)];
                }
            }
            (Event::Apply(object), _, previous) => return changed(object, previous),
            (Event::Delete(object), None, _) => return vec![WatchEvent::Deleted(object)],
        }
        Vec::new()
    }
}

/// What it means that there is this object where that one was known. One of another uid is another object: that the first is
/// gone was not seen, and is told now.
fn changed<K: Resource>(object: Arc<K>, previous: Option<Arc<K>>) -> Vec<WatchEvent<Arc<K>>> {
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

/// What an object is called.
fn place<K: Resource>(object: &K) -> (&str, &str) {
    let meta = object.meta();
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn owned_place<K: Resource>(object: &K) -> (String, String) {
    let (namespace, name) = place(object);
    (namespace.to_owned(), name.to_owned())
}

/// Events as they come, those that wait first. Errors are items: the stream heals itself and never ends.
impl<K: Resource + DeserializeOwned + Send + 'static> Stream for Informer<K> {
    type Item = Result<WatchEvent<Arc<K>>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.pop() {
                return Poll::Ready(Some(Ok(event)));
            }
            let Some(event) = ready!(this.cycle.poll_event(cx)) else { continue };
            let (events, result) = this.take(event);
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

    fn map(version: &str) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.name = Some("a".into());
        map.metadata.resource_version = Some(version.into());
        map
    }

    fn undecodable(origin: ObjectOrigin) -> Error {
        let source = serde_json::from_str::<u8>("{}").unwrap_err();
        let mut object = UndecodableObject::new("ConfigMap", origin, source);
        object.name = Some("a".into());
        Error::Object(object.into())
    }

    #[test]
    fn a_known_object_that_goes_during_a_relist_is_told_as_gone_once_and_as_added_if_it_comes_again() {
        let known = || vec![Ok(Event::InitApply(map("1"))), Ok(Event::InitDone), Ok(Event::Init)];
        let with = |rest: Vec<_>| told(known().into_iter().chain(rest).collect());
        let gone = ["Added event 1", "Deleted event 2"];
        assert_eq!(with(vec![Ok(Event::Delete(map("2")))]), gone);
        assert_eq!(with(vec![Ok(Event::InitApply(map("1"))), Ok(Event::Delete(map("2")))]), gone);
        assert_eq!(with(vec![Ok(Event::Delete(map("2"))), Ok(Event::Init)]), gone);
        let again = with(vec![Ok(Event::Delete(map("2"))), Ok(Event::InitApply(map("3")))]);
        assert_eq!(again, ["Added event 1", "Deleted event 2", "Added event 3"]);
        let end = || Err(undecodable(ObjectOrigin::Deleted));
        assert_eq!(with(vec![end(), end()]), ["Added event 1", "Deleted event 1"]);
    }

    #[test]
    fn an_object_that_came_again_in_a_relist_that_broke_is_not_deleted_twice() {
        let known = || vec![Ok(Event::InitApply(map("1"))), Ok(Event::InitDone), Ok(Event::Init)];
        let again = || vec![Ok(Event::Delete(map("2"))), Ok(Event::InitApply(map("3"))), Ok(Event::Init)];
        let with = |rest: Vec<_>| told(known().into_iter().chain(again()).chain(rest).collect());
        assert_eq!(with(vec![]), ["Added event 1", "Deleted event 2"]);
        let come = ["Added event 1", "Deleted event 2", "Added event 3"];
        assert_eq!(with(vec![Ok(Event::InitApply(map("3")))]), come);
        let changed = with(vec![Ok(Event::InitApply(map("3"))), Ok(Event::InitApply(map("4")))]);
        assert_eq!(changed, ["Added event 1", "Deleted event 2", "Added event 3", "Modified event 4"]);
        // The list that begins anew comes from an older cache: the object as it was known before.
        assert_eq!(
            with(vec![Ok(Event::InitApply(map("1")))]),
            ["Added event 1", "Deleted event 2", "Added event 1"]
        );
        let deleted = with(vec![Ok(Event::InitApply(map("3"))), Ok(Event::Delete(map("4")))]);
        assert_eq!(deleted, ["Added event 1", "Deleted event 2"]);
    }

    /// What is told of events in the middle of a list, at its end.
    fn told(events: Vec<Result<Event<ConfigMap>>>) -> Vec<String> {
        let client = Client::new(kube_sim::Sim::new().service(), "default");
        let mut informer = Informer::<ConfigMap>::new(Api::all(client));
        let all = [Ok(Event::Init)].into_iter().chain(events).chain([Ok(Event::InitDone)]);
        let told = all.flat_map(|event| informer.take(event).0);
        let short = |event: &WatchEvent<Arc<ConfigMap>>| {
            format!(
                "{event:?} {}",
                event.object().and_then(|map| map.meta().resource_version.clone()).unwrap()
            )
        };
        told.map(|event| short(&event)).collect()
    }

    #[test]
    fn an_object_that_comes_twice_in_a_list_is_added_once() {
        let events = vec![Ok(Event::InitApply(map("1"))), Ok(Event::InitApply(map("2")))];
        assert_eq!(told(events), ["Added event 1", "Modified event 2"]);
    }

    #[test]
    fn an_object_that_goes_during_a_list_was_never_there_even_if_its_end_does_not_decode() {
        assert!(told(vec![Ok(Event::InitApply(map("1"))), Ok(Event::Delete(map("2")))]).is_empty());
        let end = Err(undecodable(ObjectOrigin::Deleted));
        assert!(told(vec![Ok(Event::InitApply(map("1"))), end]).is_empty());
    }
}
