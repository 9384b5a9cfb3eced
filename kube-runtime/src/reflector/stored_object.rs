//! `StoredObject`: an object as a store contains it, either a typed object or the packed text of an object.

use super::codec::Codec;
use super::object_map::{Keyed, ObjectMap};
use super::page::Packed;
use crate::watcher::{Storable, are_different_objects};
use kube_client::Resource;
use kube_client::api::{FilterDepth, ObjectMeta};
use std::sync::Arc;

/// An object as a store contains it. A compact store packs the text of an object on a page.
#[derive(Debug)]
pub(crate) enum StoredObject<K> {
    Typed(Arc<K>),
    Packed(Packed),
}

/// For two objects with the same key: whether their uids and their resource versions are the same. Returns false if
/// `other` has no resource version.
pub(super) fn is_same_version<K: Storable>(known: &K, other: &K) -> bool {
    other.version().is_some() && known.version() == other.version() && known.uid() == other.uid()
}

impl<K> Clone for StoredObject<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Typed(object) => Self::Typed(object.clone()),
            Self::Packed(packed) => Self::Packed(packed.clone()),
        }
    }
}

impl<K: Storable> StoredObject<K> {
    /// Whether this object and `other`, which has the same key, have the same uid and the same resource version. Returns
    /// false if `other` has no resource version. Decodes neither object.
    pub(super) fn is_same_version_as(&self, other: &Self, codec: Option<&Codec<K>>) -> bool {
        if let (Self::Typed(known), Self::Typed(other)) = (self, other) {
            return is_same_version(&**known, &**other);
        }
        let identity = |stored: &Self| match stored {
            Self::Typed(object) => codec.map(|codec| codec.identity_hash_of_object(&**object)),
            Self::Packed(packed) => Some(packed.encoded().identity),
        };
        // The lowest bit of the hash is set if the object has a resource version.
        identity(other).is_some_and(|other| other & 1 == 1 && identity(self) == Some(other))
    }

    /// Whether this object and `other`, which has the same key, are different objects; see [`are_different_objects`].
    /// Decodes neither object.
    pub(super) fn is_different_from(&self, other: &Self, codec: Option<&Codec<K>>) -> bool {
        if let (Self::Typed(one), Self::Typed(other)) = (self, other) {
            return are_different_objects(&**one, &**other);
        }
        let uid = |stored: &Self| match stored {
            Self::Typed(object) => codec.and_then(|codec| codec.uid_hash_of_object(&**object)),
            Self::Packed(packed) => packed.encoded().uid,
        };
        matches!((uid(self), uid(other)), (Some(one), Some(other)) if one != other)
    }

    /// Whether the uid of this object is unknown or may be `uid`. Does not decode the object.
    pub(super) fn may_have_uid(&self, uid: &str, codec: Option<&Codec<K>>) -> bool {
        match self {
            Self::Typed(object) => object.uid().is_none_or(|known| known == uid),
            Self::Packed(packed) => packed
                .encoded()
                .uid
                .is_none_or(|known| codec.is_none_or(|codec| codec.hash_of_uid(uid) == known)),
        }
    }
}

impl<K> StoredObject<K> {
    /// Whether this is the typed object `object`. Compares the pointers.
    pub(super) fn holds_typed_object(&self, object: &Arc<K>) -> bool {
        matches!(self, Self::Typed(known) if Arc::ptr_eq(known, object))
    }

    /// Whether this and `packed` are the same entry of the same page. Returns false for a copy of the object on
    /// another page.
    pub(super) fn holds_packed_object(&self, packed: &Packed) -> bool {
        matches!(self, Self::Packed(known) if known.is_same_entry(packed))
    }

    /// Whether this and `other`, which has the same key, are the same stored object. Compares the pointers of typed
    /// objects. Compares packed objects by the hash of uid and resource version: a move to another page makes no
    /// difference.
    pub(super) fn is_identical_to(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Typed(other)) => self.holds_typed_object(other),
            (Self::Packed(packed), Self::Packed(other)) => {
                packed.encoded().identity == other.encoded().identity
            }
            (Self::Typed(_), Self::Packed(_)) => false,
        }
    }

    /// Returns the typed object. Decodes a packed object; `None` if the object does not decode, see [`Codec::unpack`].
    pub(super) fn unpack(&self, codec: Option<&Codec<K>>) -> Option<Arc<K>> {
        match self {
            Self::Typed(object) => Some(object.clone()),
            Self::Packed(packed) => codec?.unpack(packed),
        }
    }
}

impl<K: Resource> StoredObject<K> {
    /// Returns the metadata. For a packed object, decodes and returns only the fields that `depth` includes; `None` if
    /// these fields do not decode.
    pub(super) fn metadata(&self, codec: Option<&Codec<K>>, depth: FilterDepth) -> Option<ObjectMeta> {
        match self {
            Self::Typed(object) => Some(object.meta().clone()),
            Self::Packed(packed) => codec?.metadata(packed, depth),
        }
    }
}

impl<K: Storable> Keyed for StoredObject<K> {
    fn key(&self) -> (&str, &str) {
        match self {
            Self::Typed(object) => object.key(),
            Self::Packed(packed) => packed.key(),
        }
    }
}

impl<K: Storable> ObjectMap<StoredObject<K>> {
    /// Inserts `new`, and returns the previous object as the first value. If `new` and the previous object
    /// are typed and have the same version, the map keeps the previous object and drops `new`. The observers
    /// refer to the previous object, and a second copy would take memory. The second value is the object that
    /// the map kept; `None` if the map contains `new`.
    pub(super) fn put(&mut self, new: StoredObject<K>) -> (Option<StoredObject<K>>, Option<Arc<K>>) {
        if let StoredObject::Typed(new) = &new
            && let Some(StoredObject::Typed(known)) = self.get(new.key())
            && is_same_version(&**known, &**new)
        {
            return (Some(StoredObject::Typed(known.clone())), Some(known.clone()));
        }
        (self.insert(new), None)
    }
}
