//! `Store`: the readers' side of a reflector.

pub use super::handle::store_shared;
pub use super::writer::{Writer, store};

use super::ObjectRef;
use super::activity::Activity;
use super::codec::Codec;
use super::object_map::{Keyed, ObjectMap};
use super::observers::Observers;
use super::stored_object::StoredObject;
use kube_client::Resource;
use kube_client::api::{FilterDepth, ObjectMeta};
use kube_client::core::{Selector, SelectorExt};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};
use tokio::sync::watch;

/// The data shared by a [`Writer`](super::Writer) and its readers.
pub(super) struct Shared<K> {
    /// The readers' map: the current content of the store.
    objects: RwLock<ObjectMap<StoredObject<K>>>,
    /// `Some` for compact storage.
    codec: Option<Arc<Codec<K>>>,
    /// The subscribers and the indexes. Locked before `objects`.
    pub(super) observers: Mutex<Observers<K>>,
    pub(super) activity: Mutex<Activity>,
}

impl<K> Shared<K> {
    pub(super) fn new(codec: Option<Codec<K>>) -> Self {
        Self {
            objects: RwLock::new(ObjectMap::default()),
            codec: codec.map(Arc::new),
            observers: Mutex::new(Observers::default()),
            activity: Mutex::default(),
        }
    }

    /// The codec; `None` for typed storage.
    pub(super) fn codec(&self) -> Option<&Arc<Codec<K>>> {
        self.codec.as_ref()
    }

    /// Returns the object, decoded if it is packed.
    pub(super) fn unpack(&self, stored: &StoredObject<K>) -> Option<Arc<K>> {
        stored.unpack(self.codec.as_deref())
    }

    /// Calls `f` with each object until `f` returns `Some`. Packed objects are decoded without holding the lock.
    fn find_map<T>(&self, mut f: impl FnMut(&Arc<K>) -> Option<T>) -> Option<T> {
        if self.codec.is_none() {
            let objects = self.read();
            return objects.iter().find_map(|stored| match stored {
                StoredObject::Typed(object) => f(object),
                StoredObject::Packed(_) => None,
            });
        }
        let stored: Vec<_> = self.read().iter().cloned().collect();
        stored.into_iter().filter_map(|stored| self.unpack(&stored)).find_map(|object| f(&object))
    }

    /// Locks the map for reading. Ignores poisoning: no code that holds the lock can leave the map inconsistent, so a
    /// panic in a reader's closure is harmless.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, ObjectMap<StoredObject<K>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `f` with the map, under the write lock.
    pub(super) fn write<T>(&self, f: impl FnOnce(&mut ObjectMap<StoredObject<K>>) -> T) -> T {
        f(&mut self.objects.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The writer was dropped before the store was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writer of the store was dropped before the store was ready")]
pub struct WriterDropped;

/// A reader of the cached objects of a collection. Cheap to clone.
///
/// Reads are consistent: during a relist the store keeps the previous state until the snapshot is complete. Objects are
/// shared, not copied. Readers do not block each other, and no lock is held after a call.
///
/// With [compact storage](super::Storage::compact), a read decodes the objects that are not in the cache of recent reads:
/// `get` decodes one object, and methods that iterate over all objects decode one object at a time.
pub struct Store<K> {
    pub(super) shared: Arc<Shared<K>>,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) settled: watch::Receiver<bool>,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), ready: self.ready.clone(), settled: self.settled.clone() }
    }
}

impl<K> fmt::Debug for Store<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("len", &self.len()).field("ready", &self.is_ready()).finish()
    }
}

impl<K> Store<K> {
    /// Waits until the first snapshot is complete.
    ///
    /// # Errors
    ///
    /// Fails if the writer is dropped before the first snapshot is complete.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn wait_until_ready(&self) -> Result<(), WriterDropped> {
        let waited = self.ready.clone().wait_for(|ready| *ready).await.map(drop);
        waited.map_err(|_| WriterDropped)
    }

    /// Whether the first snapshot is complete.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// A receiver of the value of [`is_ready`](Self::is_ready). The receiver can wait for a change of the value.
    pub(crate) fn readiness(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// Whether the first snapshot is complete and no further one is in progress: the store contains all objects that
    /// its writer has received.
    pub(crate) fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Waits until the store [is settled](Self::is_settled), or its writer is dropped.
    pub(crate) async fn wait_until_settled(mut self) {
        let _ = self.settled.wait_for(|settled| *settled).await;
    }

    /// All objects, in no particular order.
    pub fn state(&self) -> Vec<Arc<K>> {
        self.state_filter(|_| true)
    }

    /// Returns an object for which `predicate` returns `true`, if there is one. `predicate` must not access the store:
    /// that may deadlock.
    pub fn find(&self, predicate: impl Fn(&K) -> bool) -> Option<Arc<K>> {
        self.shared.find_map(|object| predicate(object).then(|| object.clone()))
    }

    /// All objects for which `predicate` returns `true`. `predicate` must not access the store: that may deadlock.
    pub fn state_filter(&self, predicate: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let mut found = Vec::new();
        self.shared.find_map(|object| {
            if predicate(object) {
                found.push(object.clone());
            }
            None::<()>
        });
        found
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.shared.read().len()
    }

    /// Whether the store is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Resource> Store<K> {
    /// The object with this key. The key's namespace is ignored for a cluster-scoped object.
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        self.get_by_key((key.namespace.as_deref().unwrap_or_default(), &key.name))
    }

    /// Like [`get`](Self::get), by namespace and name.
    pub(crate) fn get_by_key(&self, (namespace, name): (&str, &str)) -> Option<Arc<K>> {
        let stored = {
            let objects = self.shared.read();
            // A kind is either namespaced or cluster-scoped, so at most one of the two look-ups finds an object.
            let stored = objects.get((namespace, name)).or_else(|| objects.get(("", name)));
            stored.cloned()?
        };
        self.shared.unpack(&stored)
    }

    /// Whether the store contains an object with this namespace and name; the namespace is ignored for cluster-scoped
    /// objects. Does not decode.
    pub(crate) fn contains(&self, (namespace, name): (&str, &str)) -> bool {
        let objects = self.shared.read();
        objects.get((namespace, name)).or_else(|| objects.get(("", name))).is_some()
    }

    /// Calls `f` with the namespace and the name of each object, and returns the results. Does not decode. `f` must not
    /// access the store: that may deadlock.
    pub(crate) fn map_keys<T>(&self, f: impl Fn(&str, &str) -> T) -> Vec<T> {
        let objects = self.shared.read();
        objects.iter().map(Keyed::key).map(|(namespace, name)| f(namespace, name)).collect()
    }

    /// All objects whose labels match `selector`. With compact storage, decodes an object completely only if the labels
    /// match.
    pub fn state_filter_selector(&self, selector: &Selector) -> Vec<Arc<K>> {
        let none = std::collections::BTreeMap::new();
        let is_selected = |meta: &ObjectMeta| selector.matches(meta.labels.as_ref().unwrap_or(&none));
        let Some(codec) = self.shared.codec() else {
            return self.state_filter(|object| is_selected(object.meta()));
        };
        let stored: Vec<_> = self.shared.read().iter().cloned().collect();
        let selected = stored.into_iter().filter(|stored| {
            stored.metadata(Some(codec), FilterDepth::Labels).as_ref().is_some_and(is_selected)
        });
        selected.filter_map(|stored| self.shared.unpack(&stored)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::reflector::{ObjectRef, store};
    use crate::watcher::Event;
    use k8s_openapi::api::core::v1::{ConfigMap, Node};
    use kube_client::Resource;

    /// The object `x`.
    fn object_x<K: Resource + Default>(namespace: Option<&str>) -> K {
        let mut object = K::default();
        object.meta_mut().name = Some("x".into());
        object.meta_mut().namespace = namespace.map(Into::into);
        object
    }

    #[test]
    fn the_store_ignores_the_namespace_of_a_key_for_cluster_scoped_objects() {
        let (nodes, mut writer) = store();
        writer.apply_watcher_event(Event::Apply(object_x::<Node>(None)));
        assert!(nodes.get(&ObjectRef::new("x")).is_some());
        assert!(nodes.get(&ObjectRef::new("x").within("ns")).is_some());
        assert!(nodes.get(&ObjectRef::new("y").within("ns")).is_none());
        let (maps, mut writer) = store();
        writer.apply_watcher_event(Event::Apply(object_x::<ConfigMap>(Some("ns"))));
        assert!(maps.get(&ObjectRef::new("x").within("ns")).is_some());
        assert!(maps.get(&ObjectRef::new("x").within("other")).is_none());
        assert!(maps.get(&ObjectRef::new("x")).is_none());
    }
}
