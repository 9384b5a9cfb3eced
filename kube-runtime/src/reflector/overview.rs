//! `Overview`: the state of a store for the status page of the manager.

use super::observers::lock;
use super::store::Store;
use super::stored_object::StoredObject;
use std::{sync::Arc, time::Duration};

/// The state of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overview {
    pub(crate) is_ready: bool,
    pub(crate) objects: usize,
    /// The size of the packed objects in bytes; `None` for typed storage, whose size is unknown.
    pub(crate) bytes: Option<usize>,
    /// The resource version that the store has reached, if its source reports it.
    pub(crate) version: Option<String>,
    /// The time since the last change of `version`; `None` before the first change.
    pub(crate) silent_for: Option<Duration>,
}

impl<K> Store<K> {
    /// The state of the store. Visits each object of a compact store.
    pub(crate) fn overview(&self) -> Overview {
        let (objects, bytes) = {
            let objects = self.shared.read();
            let size = |stored: &StoredObject<K>| match stored {
                StoredObject::Typed(_) => 0,
                StoredObject::Packed(packed) => packed.size(),
            };
            let is_compact = self.shared.codec().is_some();
            (objects.len(), is_compact.then(|| objects.iter().map(size).sum()))
        };
        let activity = lock(&self.shared.activity);
        Overview {
            is_ready: self.is_ready(),
            objects,
            bytes,
            version: activity.version.clone(),
            silent_for: activity.at.map(|at| at.elapsed()),
        }
    }

    /// The address of the store's data. It identifies the store: all readers of the store return the same address.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }
}
