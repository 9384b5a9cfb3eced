//! `WireObject`: an object that a watcher packed from the text of a response.

use super::page::Packed;
use super::stored_object::StoredObject;
use crate::watcher::{Event, Result, Storable};
use kube_client::api::raw::RawObject;

/// A packed object. `uid` and `version` are copies of two fields of the object: a watcher reads these copies instead of
/// decoding the object.
#[derive(Debug)]
pub(crate) struct WireObject {
    packed: Packed,
    uid: Option<Box<str>>,
    version: Option<Box<str>>,
}

impl WireObject {
    pub(super) fn new(packed: Packed, raw: &RawObject<'_>) -> Self {
        let owned = |text: &Option<_>| text.as_deref().map(Box::from);
        Self { packed, uid: owned(&raw.uid), version: owned(&raw.resource_version) }
    }
}

impl Storable for WireObject {
    fn key(&self) -> (&str, &str) {
        self.packed.key()
    }

    fn uid(&self) -> Option<&str> {
        self.uid.as_deref()
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl WireObject {
    pub(super) fn into_stored_object<K>(self) -> StoredObject<K> {
        StoredObject::Packed(self.packed)
    }
}

/// Converts the packed object of a watcher's item to a stored object. Does not change an item without an object.
pub(super) fn into_stored_item<K>(item: Result<Event<WireObject>>) -> Result<Event<StoredObject<K>>> {
    item.map(|event| event.map(WireObject::into_stored_object))
}
