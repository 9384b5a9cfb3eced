//! `EarlyFilters`: what a watcher looks at before it decodes an object.
//!
//! The state lives here, across the watches and lists of one watcher; what is looked at is for the layers above.

use kube_client::api::{EventStream, FilterDepth, ListStream, PartialObjectMeta, Verdict};
use kube_client::core::{ObjectOrigin, UndecodableObject};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};

/// Decides about objects by their metadata.
pub(crate) trait EarlyFilter<K>: Send {
    /// What it looks at.
    fn depth(&self) -> FilterDepth;

    /// Whether it says which objects there are, rather than which changes matter. Such ones look first: they have to see every
    /// change.
    fn selects(&self) -> bool;

    /// The present state comes anew: whatever is known of objects is void.
    fn reset(&mut self);

    /// An object that was to pass could not be decoded, so that nobody has it.
    fn forget(&mut self, object: &UndecodableObject);

    /// What becomes of an object. Those of the present state come from a list or as added, as new ones do: they must not be
    /// dropped for being known.
    fn verdict(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict;
}

/// All filters of a watcher, one behind the other. Clones share them.
pub(crate) struct EarlyFilters<K>(Arc<Mutex<Vec<Box<dyn EarlyFilter<K>>>>>);

impl<K> Clone for EarlyFilters<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for EarlyFilters<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> EarlyFilters<K> {
    pub(crate) fn add(&self, filter: Box<dyn EarlyFilter<K>>) {
        self.with(|filters| {
            let at = filters.iter().position(|known| filter.selects() && !known.selects());
            filters.insert(at.unwrap_or(filters.len()), filter);
        });
    }

    /// The items of a list that pass.
    pub(super) fn over_list(self, list: ListStream<K>) -> ListStream<K>
    where
        K: DeserializeOwned + Send + 'static,
    {
        match self.depth() {
            Some(depth) => {
                list.filter_before_decode(depth, move |origin, object| self.verdict(origin, object))
            }
            None => list,
        }
    }

    /// The events of a watch that pass.
    pub(super) fn over_events(self, events: EventStream<K>) -> EventStream<K>
    where
        K: DeserializeOwned + Send + 'static,
    {
        match self.depth() {
            Some(depth) => {
                events.filter_before_decode(depth, move |origin, object| self.verdict(origin, object))
            }
            None => events,
        }
    }

    /// What all of them together look at; `None` where nobody looks.
    fn depth(&self) -> Option<FilterDepth> {
        self.with(|filters| {
            let mut depths = filters.iter().map(|filter| filter.depth());
            let first = depths.next()?;
            Some(if depths.all(|depth| depth == first) { first } else { FilterDepth::Metadata })
        })
    }

    pub(super) fn forget(&self, object: &UndecodableObject) {
        self.with(|filters| filters.iter_mut().for_each(|filter| filter.forget(object)));
    }

    pub(super) fn reset(&self) {
        self.with(|filters| filters.iter_mut().for_each(|filter| filter.reset()));
    }

    /// What all of them together make of an object.
    fn verdict(&self, mut origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict {
        self.with(|filters| {
            let mut result = Verdict::Keep;
            for filter in filters {
                match filter.verdict(origin, object) {
                    Verdict::Keep => {}
                    Verdict::Drop => return Verdict::Drop,
                    // For those behind it, it is gone; whether they knew of it is for them to say.
                    Verdict::Deselect => (result, origin) = (Verdict::Deselect, ObjectOrigin::Deleted),
                }
            }
            result
        })
    }

    /// A panic of a user's predicate leaves them as they were.
    fn with<T>(&self, f: impl FnOnce(&mut Vec<Box<dyn EarlyFilter<K>>>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
