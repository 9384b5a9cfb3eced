//! `Subscription`: the stream of a store's deltas for one subscriber. The queued deltas of an object are
//! coalesced into one delta.

use super::StoreEvent;
use super::delta::{Cause, Delta};
use super::object_map::{Keyed, ObjectMap};
use super::observers::lock;
use super::store::Store;
use super::stored_object::StoredObject;
use crate::watcher::Storable;
use crate::watcher::{Error, Result};
use futures::Stream;
use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    vec,
};

/// The stream of a store's changes for one subscriber; see [`Store::subscribe`]. A store can have any number of
/// subscribers.
///
/// The stream begins with a replay: an addition for each object that the store contains. The changes follow. If
/// a subscriber applies all deltas, one after the other, to an empty map, the map has the content of the store.
///
/// # Backlog
///
/// A subscriber that does not poll delays neither the writer nor other subscribers. Its backlog coalesces the changes
/// of each object into one change: from the state that the subscriber received to the current state. The subscriber gets
/// the last state of each object, and the deletion of each object that it received. If an object was created again under
/// the same name, the subscriber gets a deletion and then an addition. The subscriber does not get the states in
/// between, nor objects that were created and deleted meanwhile. So the backlog has at most one entry for each object
/// that the store contains or that the subscriber received.
///
/// An error of a watch replaces an earlier error that the subscriber has not received.
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no change is lost. Dropping the stream ends the subscription.
#[must_use = "streams do nothing unless polled"]
pub struct Subscription<K> {
    store: Store<K>,
    /// The rest of the replay.
    replay: vec::IntoIter<StoredObject<K>>,
    /// The addition of the new object, if the stream has just emitted the deletion of a replaced object with the
    /// same name. The stream emits this addition next.
    replacement: Option<Delta<K>>,
    queue: Arc<Mutex<Queue<K>>>,
    /// A value that is dropped with the subscription, such as the handle of the task that feeds the store.
    keep_alive: Option<Arc<dyn Any + Send + Sync>>,
}

impl<K: Storable> Store<K> {
    /// Subscribes to the changes of the store. The stream begins with the current content.
    ///
    /// The store changes only while its source is polled: the stream of a [`reflector`](crate::reflector()), a
    /// [`Reflector`](crate::Reflector), or the task of a [`SharedInformer`](crate::informer::SharedInformer). The
    /// stream of the subscription ends when the writer of the store is dropped.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_runtime::reflector::{self, DeltaKind, StoreEvent};
    /// use kube_runtime::watcher::Event;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let (reader, mut writer) = reflector::store::<ConfigMap>();
    /// let mut map = ConfigMap::default();
    /// map.metadata.name = Some("settings".into());
    /// writer.apply_watcher_event(Event::Apply(map.clone()));
    /// let mut changes = reader.subscribe();
    /// writer.apply_watcher_event(Event::Delete(map));
    /// drop(writer);
    /// let mut kinds = Vec::new();
    /// while let Some(Ok(StoreEvent::Delta(delta))) = changes.next().await {
    ///     kinds.push(delta.kind());
    /// }
    /// assert_eq!(kinds, [DeltaKind::Added, DeltaKind::Deleted]);
    /// # }
    /// ```
    pub fn subscribe(&self) -> Subscription<K> {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let mut observers = lock(&self.shared.observers);
        let replay: Vec<_> = self.shared.read().iter().cloned().collect();
        if self.is_ready() {
            lock(&queue).push_synced(observers.version.clone());
        }
        observers.add_subscriber(&queue);
        drop(observers);
        Subscription {
            store: self.clone(),
            replay: replay.into_iter(),
            replacement: None,
            queue,
            keep_alive: None,
        }
    }
}

impl<K> Subscription<K> {
    /// The store whose changes the stream emits.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// Keeps `value` until the subscription is dropped.
    pub(crate) fn keep_alive(mut self, value: Arc<dyn Any + Send + Sync>) -> Self {
        self.keep_alive = Some(value);
        self
    }
}

impl<K: Storable> Stream for Subscription<K> {
    type Item = Result<StoreEvent<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(object) = this.replay.next() {
            let delta = Delta::new(None, Some(object), Cause::Initial, this.store.shared.codec());
            return Poll::Ready(Some(Ok(StoreEvent::Delta(delta))));
        }
        if let Some(delta) = this.replacement.take() {
            return Poll::Ready(Some(Ok(StoreEvent::Delta(delta))));
        }
        let mut queue = lock(&this.queue);
        if let Some(error) = queue.error.take() {
            return Poll::Ready(Some(Err(Error::Shared(error))));
        }
        match queue.pop() {
            Some(StoreEvent::Delta(delta)) => {
                drop(queue);
                let (first, second) = delta.split_replacement();
                this.replacement = second;
                Poll::Ready(Some(Ok(StoreEvent::Delta(first))))
            }
            Some(synced) => Poll::Ready(Some(Ok(synced))),
            None if queue.ended => Poll::Ready(None),
            None => {
                if !queue.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    queue.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl<K> Unpin for Subscription<K> {}

impl<K> fmt::Debug for Subscription<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = lock(&self.queue).items.len();
        f.debug_struct("Subscription")
            .field("replay", &self.replay.len())
            .field("queued", &queued)
            .finish_non_exhaustive()
    }
}

/// The backlog of a subscription.
pub(super) struct Queue<K> {
    /// The queued items by their numbers. A later item has a greater number. A delta may replace an object by
    /// another object; see [`Delta::split_replacement`].
    items: BTreeMap<u64, StoreEvent<K>>,
    /// For each key (namespace and name) with a queued delta: the number of that delta.
    delta_positions: ObjectMap<DeltaPosition<K>>,
    /// The number for the next item that is added.
    next: u64,
    /// The number of the queued [`StoreEvent::Synced`].
    synced: Option<u64>,
    error: Option<Arc<Error>>,
    ended: bool,
    waker: Option<Waker>,
}

/// The position of a queued delta in [`Queue::items`].
struct DeltaPosition<K> {
    /// A state of the object. Only the key of the object is used.
    object: StoredObject<K>,
    number: u64,
}

impl<K: Storable> Keyed for DeltaPosition<K> {
    fn key(&self) -> (&str, &str) {
        self.object.key()
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            delta_positions: ObjectMap::default(),
            next: 0,
            synced: None,
            error: None,
            ended: false,
            waker: None,
        }
    }
}

impl<K> Queue<K> {
    /// Adds the end of a snapshot. Removes the end of an earlier snapshot from the queue.
    pub(super) fn push_synced(&mut self, version: Option<String>) {
        if let Some(earlier) = self.synced.replace(self.next) {
            self.items.remove(&earlier);
        }
        self.items.insert(self.next, StoreEvent::Synced(version));
        self.next += 1;
    }

    pub(super) fn set_error(&mut self, error: Arc<Error>) {
        self.error = Some(error);
    }

    /// Ends the stream after the queued items.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }
}

impl<K: Storable> Queue<K> {
    /// Adds a delta. If the queue contains a delta with the same key, the combination of both deltas takes the position of
    /// the queued delta. If the combination is no change, removes the queued delta.
    pub(super) fn push(&mut self, delta: Delta<K>) {
        let Some(object) = delta.new_or_old_state().cloned() else { return };
        let Some(position) = self.delta_positions.get_mut(object.key()) else {
            self.delta_positions.insert(DeltaPosition { object, number: self.next });
            self.items.insert(self.next, StoreEvent::Delta(delta));
            self.next += 1;
            return;
        };
        let Some(StoreEvent::Delta(queued)) = self.items.remove(&position.number) else { return };
        match queued.combine_with(delta) {
            Some(delta) => {
                self.items.insert(position.number, StoreEvent::Delta(delta));
                position.object = object;
            }
            None => drop(self.delta_positions.remove(object.key())),
        }
    }

    fn pop(&mut self) -> Option<StoreEvent<K>> {
        let (_, item) = self.items.pop_first()?;
        match &item {
            StoreEvent::Delta(delta) => drop(self.delta_positions.remove(delta.key())),
            StoreEvent::Synced(_) => self.synced = None,
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests;
