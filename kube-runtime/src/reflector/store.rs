//! `Store`: the readers' side of a reflector.

use super::ObjectRef;
use super::objects::Objects;
use kube_client::Resource;
use kube_client::core::{Selector, SelectorExt};
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};
use tokio::sync::watch;

/// What a [`Writer`](super::Writer) and its readers share.
pub(super) struct Shared<K> {
    objects: RwLock<Objects<K>>,
}

impl<K> Shared<K> {
    pub(super) fn new() -> Self {
        Self { objects: RwLock::new(Objects::default()) }
    }

    /// Nothing that runs under the lock can leave it half-changed, so that a panic in a reader's closure does no harm.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Objects<K>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write<T>(&self, f: impl FnOnce(&mut Objects<K>) -> T) -> T {
        f(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The writer of a store was dropped before the store was complete for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writer of the store was dropped before the store was ready")]
pub struct WriterDropped;

/// The present state of a collection, for any number of readers. Cheap to clone.
///
/// What is read is consistent: during a relist the old state stays until the new one is complete. Objects are shared, never
/// copied. No reader blocks another, and no lock outlives a call.
pub struct Store<K> {
    pub(super) shared: Arc<Shared<K>>,
    pub(super) ready: watch::Receiver<bool>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), ready: self.ready.clone() }
    }
}

impl<K> fmt::Debug for Store<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("len", &self.len()).field("ready", &self.is_ready()).finish()
    }
}

impl<K> Store<K> {
    /// Waits until the store holds the whole present state for the first time.
    ///
    /// # Errors
    ///
    /// If the writer is dropped before that.
    ///
    /// # Cancel safety
    ///
    /// May be cancelled and called again.
    pub async fn wait_until_ready(&self) -> Result<(), WriterDropped> {
        let waited = self.ready.clone().wait_for(|ready| *ready).await.map(drop);
        waited.map_err(|_| WriterDropped)
    }

    /// Whether the store has held the whole present state.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// All objects, in no particular order.
    pub fn state(&self) -> Vec<Arc<K>> {
        self.shared.read().iter().cloned().collect()
    }

    /// The first object found for which `predicate` holds. It must not touch the store.
    pub fn find(&self, predicate: impl Fn(&K) -> bool) -> Option<Arc<K>> {
        self.shared.read().iter().find(|object| predicate(object)).cloned()
    }

    /// All objects for which `predicate` holds. It must not touch the store.
    pub fn state_filter(&self, predicate: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.shared.read().iter().filter(|object| predicate(object)).cloned().collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Resource> Store<K> {
    /// The object of that name.
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        let place = (key.namespace.as_deref().unwrap_or_default(), key.name.as_str());
        self.shared.read().get(place).cloned()
    }

    /// All objects whose labels are selected.
    pub fn state_filter_selector(&self, selector: &Selector) -> Vec<Arc<K>> {
        let none = std::collections::BTreeMap::new();
        self.state_filter(|object| selector.matches(object.meta().labels.as_ref().unwrap_or(&none)))
    }
}
