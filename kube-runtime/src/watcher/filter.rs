//! `EarlyFilters`: filters that run before an object is decoded.
//!
//! The filters of a watcher persist across its watches and lists. The state that a filter keeps for each object persists
//! until the next snapshot begins. `watch_ext` contains the implementations of [`EarlyFilter`].

use kube_client::api::{EventStream, FilterDepth, ListStream, PartialObjectMeta, Verdict, raw::RawFilter};
use kube_client::core::{ObjectOrigin, UndecodableObject};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};

/// A filter that decides by an object's metadata whether to decode and emit the object.
pub(crate) trait EarlyFilter<K>: Send {
    /// The part of the object that the filter needs.
    fn depth(&self) -> FilterDepth;

    /// Whether the filter selects objects (`true`) or changes (`false`). Filters that select objects run first,
    /// because they must receive every change.
    fn selects_objects(&self) -> bool;

    /// Discards the state that the filter keeps for each object. The watcher calls this method when a snapshot begins.
    fn reset(&mut self);

    /// Tells the filter that the consumer does not receive `object`: the filter kept the object, but the object could not
    /// be decoded.
    fn forget(&mut self, object: &UndecodableObject);

    /// Returns the verdict for an object. Objects of a snapshot have the origin `List` or `Added`. The filter must not
    /// drop an object with one of these origins merely because the object is unchanged since an earlier event.
    fn verdict(&mut self, origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict;
}

/// The filters of a watcher, in order. Clones share the filters.
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
    /// Adds a filter. Filters that select objects precede filters that select changes.
    pub(crate) fn add(&self, filter: Box<dyn EarlyFilter<K>>) {
        self.with_filters(|filters| {
            let at = filters.iter().position(|known| filter.selects_objects() && !known.selects_objects());
            filters.insert(at.unwrap_or(filters.len()), filter);
        });
    }

    /// Filters the items of a list.
    pub(super) fn filter_list(self, list: ListStream<K>) -> ListStream<K>
    where
        K: DeserializeOwned + Send + 'static,
    {
        match self.into_raw_filter() {
            Some((depth, filter)) => list.filter_before_decode(depth, filter),
            None => list,
        }
    }

    /// Filters the events of a watch.
    pub(super) fn filter_events(self, events: EventStream<K>) -> EventStream<K>
    where
        K: DeserializeOwned + Send + 'static,
    {
        match self.into_raw_filter() {
            Some((depth, filter)) => events.filter_before_decode(depth, filter),
            None => events,
        }
    }

    /// The filters as one function, with the depth that the function needs; `None` if there are no filters.
    pub(super) fn into_raw_filter(self) -> Option<RawFilter<K>>
    where
        K: 'static,
    {
        let depth = self.depth()?;
        Some((depth, Box::new(move |origin, object| self.verdict(origin, object))))
    }

    /// A depth that suffices for all filters; `None` if there are no filters.
    fn depth(&self) -> Option<FilterDepth> {
        self.with_filters(|filters| {
            let mut depths = filters.iter().map(|filter| filter.depth());
            let first = depths.next()?;
            Some(if depths.all(|depth| depth == first) { first } else { FilterDepth::Metadata })
        })
    }

    /// Calls [`EarlyFilter::forget`] of all filters.
    pub(super) fn forget(&self, object: &UndecodableObject) {
        self.with_filters(|filters| filters.iter_mut().for_each(|filter| filter.forget(object)));
    }

    /// Calls [`EarlyFilter::reset`] of all filters.
    pub(super) fn reset(&self) {
        self.with_filters(|filters| filters.iter_mut().for_each(|filter| filter.reset()));
    }

    /// The combined verdict of all filters.
    fn verdict(&self, mut origin: ObjectOrigin, object: &PartialObjectMeta<K>) -> Verdict {
        self.with_filters(|filters| {
            let mut result = Verdict::Keep;
            for filter in filters {
                match filter.verdict(origin, object) {
                    Verdict::Keep => {}
                    Verdict::Drop => return Verdict::Drop,
                    // The following filters receive the object as deleted. A filter that never kept the object may
                    // drop it.
                    Verdict::Deselect => (result, origin) = (Verdict::Deselect, ObjectOrigin::Deleted),
                }
            }
            result
        })
    }

    /// Calls `f` with the locked filters. Ignores poisoning: a panic in a user's predicate leaves the list of filters
    /// valid.
    fn with_filters<T>(&self, f: impl FnOnce(&mut Vec<Box<dyn EarlyFilter<K>>>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
