//! `Screens`: what a watcher looks at before it decodes an object.
//!
//! The state lives here, across the watches and lists of one watcher; what is looked at is for the layers above.

use kube_client::api::{EventStream, ListStream, Look, PartialObjectMeta, Sight};
use kube_client::core::{ObjectOrigin, UndecodableObject};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};

/// Decides about objects by their metadata.
pub(crate) trait Screen<K>: Send {
    /// What it looks at.
    fn sight(&self) -> Sight;

    /// Whether it says which objects there are, rather than which changes matter. Such ones look first: they have to see every
    /// change.
    fn selects(&self) -> bool;

    /// The present state comes anew: whatever is known of objects is void.
    fn start_over(&mut self);

    /// An object that was to pass could not be decoded, so that nobody has it.
    fn forget(&mut self, object: &UndecodableObject);

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
        self.with(|screens| {
            let at = screens.iter().position(|known| screen.selects() && !known.selects());
            screens.insert(at.unwrap_or(screens.len()), screen);
        });
    }

    /// The items of a list that pass.
    pub(super) fn over_list(self, list: ListStream<K>) -> ListStream<K>
    where
        K: DeserializeOwned + Send + 'static,
    {
        match self.sight() {
            Some(sight) => list.screened(sight, move |origin, object| self.look(origin, object)),
            None => list,
        }
    }

    /// The events of a watch that pass.
    pub(super) fn over_events(self, events: EventStream<K>) -> EventStream<K>
    where
        K: DeserializeOwned + Send + 'static,
    {
        match self.sight() {
            Some(sight) => events.screened(sight, move |origin, object| self.look(origin, object)),
            None => events,
        }
    }

    /// What all of them together look at; `None` where nobody looks.
    fn sight(&self) -> Option<Sight> {
        self.with(|screens| {
            let mut sights = screens.iter().map(|screen| screen.sight());
            let first = sights.next()?;
            Some(if sights.all(|sight| sight == first) { first } else { Sight::Metadata })
        })
    }

    pub(super) fn forget(&self, object: &UndecodableObject) {
        self.with(|screens| screens.iter_mut().for_each(|screen| screen.forget(object)));
    }

    pub(super) fn start_over(&self) {
        self.with(|screens| screens.iter_mut().for_each(|screen| screen.start_over()));
    }

    /// What all of them together make of an object.
    fn look(&self, mut origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Look {
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
