//! `Storable`: the key, the uid and the resource version of an object, which watchers and stores read.

use kube_client::Resource;
use kube_client::core::ObjectMeta;

/// An object that a watcher emits and a [`Writer`](crate::reflector::Writer) can store.
pub trait Storable {
    /// Namespace and name. The namespace of a cluster-scoped object is empty.
    fn key(&self) -> (&str, &str);

    /// The uid. A different uid means a different object, even with the same key.
    fn uid(&self) -> Option<&str>;

    /// The resource version.
    fn version(&self) -> Option<&str>;
}

impl<K: Resource> Storable for K {
    fn key(&self) -> (&str, &str) {
        key(self.meta())
    }

    fn uid(&self) -> Option<&str> {
        self.meta().uid.as_deref()
    }

    fn version(&self) -> Option<&str> {
        self.meta().resource_version.as_deref()
    }
}

/// Namespace and name; see [`Storable::key`].
fn key(meta: &ObjectMeta) -> (&str, &str) {
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// Whether two objects with the same key are different objects: the second one was created after the deletion of the
/// first one. If one of the objects has no uid, both count as the same object; servers send every object with a uid.
pub(crate) fn are_different_objects<K: Storable>(one: &K, other: &K) -> bool {
    matches!((one.uid(), other.uid()), (Some(one), Some(other)) if one != other)
}
