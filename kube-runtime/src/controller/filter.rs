//! `Filter`: selects the changes of a source that trigger reconciles.

use crate::reflector::Delta;
use crate::watch_ext::Predicate;
use kube_client::Resource;

/// Decides which changes trigger reconciles. A closure is a filter. `and`, `or` and `not` combine filters.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::ResourceExt;
/// use kube_runtime::controller::{Filter, changes_of};
/// use kube_runtime::predicates;
/// use kube_runtime::reflector::{self, Delta};
/// use kube_runtime::watcher::Event;
///
/// let system = |delta: &Delta<ConfigMap>| delta.last().is_some_and(|map| map.name_any() == "kube-root-ca.crt");
/// let mut filter = changes_of(predicates::labels).and(system.not());
///
/// let (_reader, mut writer) = reflector::store();
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// let mut passes = |map: &ConfigMap| {
///     let mut deltas = writer.apply_watcher_event(Event::Apply(map.clone())).into_deltas();
///     deltas.any(|delta| filter.passes(&delta))
/// };
/// assert!(passes(&map));
/// map.annotations_mut().insert("a".into(), "b".into());
/// assert!(!passes(&map), "the labels did not change");
/// ```
pub trait Filter<T>: Send {
    /// Whether the change triggers a reconcile.
    fn passes(&mut self, change: &T) -> bool;

    /// Returns a filter that passes the changes that both filters pass.
    fn and<F: Filter<T>>(self, other: F) -> And<Self, F>
    where
        Self: Sized,
    {
        And(self, other)
    }

    /// Returns a filter that passes the changes that at least one of the filters passes.
    fn or<F: Filter<T>>(self, other: F) -> Or<Self, F>
    where
        Self: Sized,
    {
        Or(self, other)
    }

    /// Returns a filter that passes the changes that this filter does not pass.
    fn not(self) -> Not<Self>
    where
        Self: Sized,
    {
        Not(self)
    }
}

impl<T, F: FnMut(&T) -> bool + Send> Filter<T> for F {
    fn passes(&mut self, change: &T) -> bool {
        self(change)
    }
}

/// See [`Filter::and`].
#[derive(Debug, Clone, Copy)]
pub struct And<A, B>(A, B);

impl<T, A: Filter<T>, B: Filter<T>> Filter<T> for And<A, B> {
    fn passes(&mut self, change: &T) -> bool {
        self.0.passes(change) && self.1.passes(change)
    }
}

/// See [`Filter::or`].
#[derive(Debug, Clone, Copy)]
pub struct Or<A, B>(A, B);

impl<T, A: Filter<T>, B: Filter<T>> Filter<T> for Or<A, B> {
    fn passes(&mut self, change: &T) -> bool {
        self.0.passes(change) || self.1.passes(change)
    }
}

/// See [`Filter::not`].
#[derive(Debug, Clone, Copy)]
pub struct Not<A>(A);

impl<T, A: Filter<T>> Filter<T> for Not<A> {
    fn passes(&mut self, change: &T) -> bool {
        !self.0.passes(change)
    }
}

/// Returns a filter that passes all additions and all deletions. The filter passes a modification if the modification
/// changes the property that `predicate` hashes, or if the modified object does not have the property. Unlike
/// [`predicate_filter`](crate::WatchStreamExt::predicate_filter), the filter stores nothing: the delta contains the old
/// and the new state of the object.
///
/// With [`predicates::generation`](crate::predicates::generation), a controller's own writes of the status do not
/// trigger reconciles. See [`Filter`] for an example.
pub fn changes_of<K: Resource>(predicate: impl Predicate<K> + Send) -> impl Filter<Delta<K>> {
    move |delta: &Delta<K>| match (delta.old(), delta.current()) {
        (Some(old), Some(new)) => {
            let hash = predicate.hash_property(&new);
            hash.is_none() || hash != predicate.hash_property(&old)
        }
        _ => true,
    }
}
