//! `WireObject`: an object that a watcher packed from the text of a response, without decoding it.

use super::page::Packed;
use super::stored_object::StoredObject;
use crate::watcher::{Event, Result, Storable};
use kube_client::api::raw::RawObject;

/// A packed object, and the part of its identity that a watcher reads.
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
    pub(super) fn into_stored<K>(self) -> StoredObject<K> {
        StoredObject::Packed(self.packed)
    }
}

/// Converts the packed object of a watcher's item, if any, to a stored object.
pub(super) fn stored<K>(item: Result<Event<WireObject>>) -> Result<Event<StoredObject<K>>> {
    item.map(|event| event.map(WireObject::into_stored))
}
