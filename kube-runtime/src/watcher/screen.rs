//! `Screens`: what a watcher looks at before it decodes an object.
//!
//! The state lives here, across the watches and lists of one watcher; what is looked at is for the layers above.

use kube_client::api::{Look, PartialObjectMeta};
use kube_client::core::ObjectOrigin;
use std::sync::{Arc, Mutex, PoisonError};

/// Decides about objects by their metadata.
pub(crate) trait Screen<K>: Send {
    /// The present state comes anew: whatever is known of objects is void.
    fn start_over(&mut self);
    /// What becomes of an object. Those of the present state come from a list or as added, as new ones do: they must not be
    /// dropped for being known.
    fn look(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Look;
}

/// All screens of a watcher, one behind the other. Clones share them.
pub(crate) struct Screens<K>(Arc<Mutex<Vec<Box<dyn Screen<K>>>>>);

impl<K> Clone for Screens<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Screens<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> Screens<K> {
    pub(crate) fn add(&self, screen: Box<dyn Screen<K>>) {
        self.with(|screens| screens.push(screen));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.with(|screens| screens.is_empty())
    }

    pub(super) fn start_over(&self) {
        self.with(|screens| screens.iter_mut().for_each(|screen| screen.start_over()));
    }

    /// What all of them together make of an object.
    pub(super) fn look(&self, mut origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Look {
        self.with(|screens| {
            let mut result = Look::Keep;
            for screen in screens {
                match screen.look(origin, object) {
                    Look::Keep => {}
                    Look::Drop => return Look::Drop,
                    // For those behind it, it is gone; whether they knew of it is for them to say.
                    Look::Gone => (result, origin) = (Look::Gone, ObjectOrigin::Deleted),
                }
            }
            result
        })
    }

    /// A panic of a user's predicate leaves them as they were.
    fn with<T>(&self, f: impl FnOnce(&mut Vec<Box<dyn Screen<K>>>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
