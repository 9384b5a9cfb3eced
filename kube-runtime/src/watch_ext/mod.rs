//! `WatchStreamExt`: combinators on the streams of watchers and reflectors.

mod backoff;
mod decode;
mod early_filters;
mod predicate;

pub use backoff::StreamBackoff;
pub use decode::{EventDecode, EventModify};
pub use predicate::{
    Combine, Fallback, Owned, Predicate, PredicateConfig, PredicateFilter, Shared, View, predicates,
};

use crate::reflector::{Reflect, Writer, reflector};
use crate::watcher::{Backoff, DefaultBackoff, Event, Result};
use futures::{Stream, TryStream};
use kube_client::Resource;
use std::sync::Arc;

/// Combinators on the streams of [`watcher`](crate::watcher()) and [`reflector`](crate::reflector()).
///
/// ```
/// use futures::{StreamExt, TryStreamExt};
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, ResourceExt};
/// use kube_runtime::{WatchStreamExt, reflector, watcher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let (reader, writer) = reflector::store();
/// let mut changes = watcher(namespaces, watcher::Config::default())
///     .modify(|namespace| namespace.metadata.annotations = None)
///     .reflect(writer)
///     .applied_objects()
///     .boxed();
/// let first = changes.try_next().await?.expect("the stream of a watcher does not end");
/// println!("{}", first.name_any());
/// # Ok(())
/// # }
/// ```
///
/// To filter by labels or metadata before objects are decoded, which is cheaper, use
/// [`Watcher::only_labelled`](crate::watcher::Watcher::only_labelled) and
/// [`only_changes_of`](crate::watcher::Watcher::only_changes_of).
pub trait WatchStreamExt: Stream {
    /// Waits after errors, with the default backoff of a watcher.
    ///
    /// Use this for streams other than the stream of [`watcher`](crate::watcher()), which already waits after errors.
    /// With the stream of a watcher, both waits run at the same time and do not add up.
    fn default_backoff(self) -> StreamBackoff<Self, DefaultBackoff>
    where
        Self: TryStream + Sized,
    {
        self.backoff(DefaultBackoff::default())
    }

    /// Waits after errors, except after an undecodable object. The stream ends after an error for which `backoff` has
    /// no further wait.
    fn backoff<B: Backoff>(self, backoff: B) -> StreamBackoff<Self, B>
    where
        Self: TryStream + Sized,
    {
        StreamBackoff::new(self, backoff)
    }

    /// Emits added and modified objects, including the objects of snapshots.
    fn applied_objects<K>(self) -> EventDecode<Self>
    where
        Self: Stream<Item = Result<Event<K>>> + Sized,
    {
        EventDecode::without_deletions(self)
    }

    /// Emits added, modified and deleted objects, including the objects of snapshots.
    fn touched_objects<K>(self) -> EventDecode<Self>
    where
        Self: Stream<Item = Result<Event<K>>> + Sized,
    {
        EventDecode::with_deletions(self)
    }

    /// Modifies every object with `f`, which can, for instance, clear unused fields before objects are stored. If `f`
    /// panics, the stream emits an error that names the object, as for an object that does not decode.
    fn modify<F, K>(self, f: F) -> EventModify<Self, F>
    where
        Self: Stream<Item = Result<Event<K>>> + Sized,
        F: FnMut(&mut K),
    {
        EventModify::new(self, f)
    }

    /// Emits the first state of each object. Emits a later state only if the predicate's hash of that state differs from
    /// the last hash of the object, or if the filter has evicted the last hash; see [`PredicateConfig`]. Always emits a
    /// state for which the predicate returns `None`.
    ///
    /// The filter receives objects, not events: it emits a deleted object only if the hash changed. Use the filter
    /// after [`applied_objects`](WatchStreamExt::applied_objects), and process deletions separately.
    fn predicate_filter<K, P>(self, predicate: P, config: PredicateConfig) -> PredicateFilter<Self, P, Owned>
    where
        Self: Stream<Item = Result<K>> + Sized,
        K: Resource,
        P: Predicate<K>,
    {
        PredicateFilter::new(self, predicate, &config, Owned)
    }

    /// Like [`predicate_filter`](WatchStreamExt::predicate_filter), for a stream of objects shared with a store.
    fn predicate_filter_shared<K, P>(
        self,
        predicate: P,
        config: PredicateConfig,
    ) -> PredicateFilter<Self, P, Shared>
    where
        Self: Stream<Item = Result<Arc<K>>> + Sized,
        K: Resource,
        P: Predicate<K>,
    {
        PredicateFilter::new(self, predicate, &config, Shared)
    }

    /// Applies every event to the store of `writer`, and then emits the event; see [`reflector`](crate::reflector()).
    fn reflect<K>(self, writer: Writer<K>) -> Reflect<Self, K>
    where
        Self: Stream<Item = Result<Event<K>>> + Sized,
        K: Resource,
    {
        reflector(writer, self)
    }

    /// Like [`reflect`](WatchStreamExt::reflect). In kube, only a store that this method fills can have subscribers;
    /// here every store can have subscribers. The stream never waits for subscribers; see
    /// [`store_shared`](crate::reflector::store_shared).
    fn reflect_shared<K>(self, writer: Writer<K>) -> Reflect<Self, K>
    where
        Self: Stream<Item = Result<Event<K>>> + Sized,
        K: Resource,
    {
        self.reflect(writer)
    }
}

impl<S: Stream + ?Sized> WatchStreamExt for S {}
