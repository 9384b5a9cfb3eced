//! `Storable`: the properties of an object that a writer reads.

use super::object_map::key;
use kube_client::Resource;

/// An object that a [`Writer`](super::Writer) can store.
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

/// Whether two objects with the same key are different objects: the second one was created after the deletion of the
/// first one. Objects without a uid, which no server sends, are never different.
pub(super) fn are_different<K: Storable>(one: &K, other: &K) -> bool {
    matches!((one.uid(), other.uid()), (Some(one), Some(other)) if one != other)
}
