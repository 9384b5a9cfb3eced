//! Access to the observers of a writer's store: the subscribers and the indexes receive the deltas, and the subscribers
//! also receive the failures of the watch.

use super::Writer;
use crate::reflector::object_map::{Keyed, ObjectMap};
use crate::reflector::observers::{Observers, lock};
use crate::reflector::snapshot::ListedObject;
use crate::reflector::store::Store;
use crate::reflector::stored_object::StoredObject;
use crate::watcher::Error;
use crate::watcher::Storable;
use std::{sync::Arc, task::Waker};

impl<K> Writer<K> {
    /// Records the resource version that the source of the events has reached.
    pub(crate) fn record_version(&self, version: Option<&str>) {
        lock(&self.shared.activity).record_version(version);
    }

    /// Passes a failure of the watch to the subscribers.
    pub(crate) fn publish_error(&mut self, error: &Arc<Error>) {
        self.with_observers(|_, observers| ((), observers.publish_error(error)));
    }

    /// Calls `f` with the locked observers. After the lock is released, calls the wakers that `f` returned.
    pub(super) fn with_observers<T>(
        &mut self,
        f: impl FnOnce(&mut Self, &mut Observers<K>) -> (T, Vec<Waker>),
    ) -> T {
        let shared = self.shared.clone();
        let mut observers = lock(&shared.observers);
        let (value, wakers) = f(self, &mut observers);
        drop(observers);
        wakers.into_iter().for_each(Waker::wake);
        value
    }
}

impl<K> Store<K> {
    /// Ends the streams of the current subscribers, because nothing feeds the store any more.
    pub(crate) fn end_subscribers(&self) {
        let wakers = lock(&self.shared.observers).end_current_subscribers();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<K> Drop for Writer<K> {
    fn drop(&mut self) {
        let wakers = lock(&self.shared.observers).end_current_and_later_subscribers();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The objects of `new` that `old` does not contain, or contains in another state.
pub(super) fn added_and_changed_objects<K: Storable>(
    old: &ObjectMap<StoredObject<K>>,
    new: &ObjectMap<StoredObject<K>>,
) -> Vec<ListedObject<K>> {
    let is_different =
        |object: &&StoredObject<K>| !old.get(object.key()).is_some_and(|old| old.is_identical_to(object));
    new.iter().filter(is_different).map(|object| ListedObject::of(object, new)).collect()
}
