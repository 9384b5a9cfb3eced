//! Predicates: functions that hash properties of an object. The filters of this module pass an object only if the hash has
//! changed. Therefore they drop changes to properties that are not hashed.

use crate::log_limit::LogLimit;
use crate::watcher::Result;
use foldhash::{HashMap, quality::FixedState};
use futures::Stream;
use kube_client::{Resource, ResourceExt};
use pin_project_lite::pin_project;
use std::{
    any::type_name,
    hash::{BuildHasher, Hash},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// A function that hashes a property of an object. If the property changes, the hash changes. If the function panics,
/// the filters pass the change, and an error is logged.
pub trait Predicate<K> {
    /// The hash of the property; `None` if the object does not have the property. Every change to such an object
    /// passes.
    fn hash_property(&self, obj: &K) -> Option<u64>;

    /// Returns a predicate that uses the hash of `f` if this predicate returns `None`.
    fn fallback<F: Predicate<K>>(self, f: F) -> Fallback<Self, F>
    where
        Self: Sized,
    {
        Fallback(self, f)
    }

    /// Combines the hashes of both predicates: a change passes if either hash changes.
    fn combine<F: Predicate<K>>(self, f: F) -> Combine<Self, F>
    where
        Self: Sized,
    {
        Combine(self, f)
    }
}

impl<K, F: Fn(&K) -> Option<u64>> Predicate<K> for F {
    fn hash_property(&self, obj: &K) -> Option<u64> {
        self(obj)
    }
}

/// See [`Predicate::fallback`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Fallback<A, B>(A, B);

impl<A: Predicate<K>, B: Predicate<K>, K> Predicate<K> for Fallback<A, B> {
    fn hash_property(&self, obj: &K) -> Option<u64> {
        self.0.hash_property(obj).or_else(|| self.1.hash_property(obj))
    }
}

/// See [`Predicate::combine`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Combine<A, B>(A, B);

impl<A: Predicate<K>, B: Predicate<K>, K> Predicate<K> for Combine<A, B> {
    fn hash_property(&self, obj: &K) -> Option<u64> {
        match (self.0.hash_property(obj), self.1.hash_property(obj)) {
            (None, None) => None,
            both => Some(hash(&both)),
        }
    }
}

/// Calls a predicate. If the predicate panics, logs an error and returns `None`, so that the change passes: an unnecessary
/// reconcile is harmless, but a missing reconcile is not.
pub(super) fn hash_or_log_panic<K>(predicate: &impl Predicate<K>, object: &K) -> Option<u64> {
    /// Limits the number of log messages about panics, for all predicates together.
    static LOG: Mutex<LogLimit> = Mutex::new(LogLimit::new(1, Duration::from_secs(60)));
    catch_unwind(AssertUnwindSafe(|| predicate.hash_property(object))).unwrap_or_else(|_| {
        if let Some(suppressed) = LOG.lock().unwrap_or_else(PoisonError::into_inner).permit_message() {
            tracing::error!(kind = type_name::<K>(), suppressed, "a predicate panicked: the change passes");
        }
        None
    })
}

/// Predicates for common metadata fields.
pub mod predicates {
    use super::{Resource, ResourceExt, hash};

    /// Hashes the generation, which the server increments when the spec changes.
    pub fn generation<K: Resource>(obj: &K) -> Option<u64> {
        obj.meta().generation.map(|generation| hash(&generation))
    }

    /// Hashes the resource version, which changes with every update.
    pub fn resource_version<K: Resource>(obj: &K) -> Option<u64> {
        obj.meta().resource_version.as_ref().map(hash)
    }

    /// Hashes the labels.
    pub fn labels<K: Resource>(obj: &K) -> Option<u64> {
        Some(hash(obj.labels()))
    }

    /// Hashes the annotations.
    pub fn annotations<K: Resource>(obj: &K) -> Option<u64> {
        Some(hash(obj.annotations()))
    }

    /// Hashes the finalizers.
    pub fn finalizers<K: Resource>(obj: &K) -> Option<u64> {
        Some(hash(obj.finalizers()))
    }
}

/// A deterministic hash: equal content has the same hash in every thread and run.
fn hash<T: Hash + ?Sized>(content: &T) -> u64 {
    FixedState::default().hash_one(content)
}

/// The options of a predicate filter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PredicateConfig {
    /// The filter evicts the hash of an object if no state of the object arrives for this time. The next state of the
    /// object then passes. The eviction limits the memory for deleted objects.
    pub ttl: Duration,
}

impl Default for PredicateConfig {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(3600) }
    }
}

impl PredicateConfig {
    /// Sets the time after which the filter evicts the hash of an object if no further state of the object arrives.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }
}

/// The predicate's last hash of each object, and the time at which the hashed state arrived. The keys are namespace, name
/// and uid of the objects.
type LastHashes = HashMap<(Option<String>, Option<String>, Option<String>), (u64, Instant)>;

pin_project! {
    /// The stream of [`predicate_filter`](super::WatchStreamExt::predicate_filter).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct PredicateFilter<S, P, V> {
        #[pin]
        stream: S,
        predicate: P,
        ttl: Duration,
        seen: LastHashes,
        // The time of the last eviction of outdated hashes.
        last_eviction: Option<Instant>,
        view: V,
    }
}

/// Accesses the object of a stream item.
pub trait View<T> {
    /// The type of the object.
    type Object: Resource;
    /// Returns the object.
    fn object(item: &T) -> &Self::Object;
}

/// The [`View`] of a stream whose items are objects, `K`.
#[derive(Debug, Clone, Copy)]
pub struct Owned;
impl<K: Resource> View<K> for Owned {
    type Object = K;
    fn object(item: &K) -> &K {
        item
    }
}

/// The [`View`] of a stream whose items are shared objects, `Arc<K>`.
#[derive(Debug, Clone, Copy)]
pub struct Shared;
impl<K: Resource> View<Arc<K>> for Shared {
    type Object = K;
    fn object(item: &Arc<K>) -> &K {
        item
    }
}

impl<S, P, V> PredicateFilter<S, P, V> {
    pub(super) fn new(stream: S, predicate: P, config: &PredicateConfig, view: V) -> Self {
        Self { stream, predicate, ttl: config.ttl, seen: LastHashes::default(), last_eviction: None, view }
    }
}

impl<S, P, V, T> Stream for PredicateFilter<S, P, V>
where
    S: Stream<Item = Result<T>>,
    V: View<T>,
    P: Predicate<V::Object>,
{
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            let item = match ready!(this.stream.as_mut().poll_next(cx)) {
                Some(Ok(item)) => item,
                other => return Poll::Ready(other),
            };
            let now = Instant::now();
            if this.last_eviction.is_none_or(|last_eviction| now - last_eviction >= *this.ttl) {
                this.seen.retain(|_, (_, last)| now - *last < *this.ttl);
                *this.last_eviction = Some(now);
            }
            let object = V::object(&item);
            let Some(property_hash) = hash_or_log_panic(this.predicate, object) else {
                return Poll::Ready(Some(Ok(item)));
            };
            let meta = object.meta();
            let key = (meta.namespace.clone(), meta.name.clone(), meta.uid.clone());
            let before = this.seen.insert(key, (property_hash, now));
            if before.is_none_or(|(before, last)| before != property_hash || now - last >= *this.ttl) {
                return Poll::Ready(Some(Ok(item)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WatchStreamExt;
    use futures::{StreamExt, stream};
    use k8s_openapi::api::core::v1::Pod;

    fn pod(name: &str, generation: Option<i64>, label: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.into());
        pod.metadata.generation = generation;
        pod.labels_mut().insert("l".into(), label.into());
        pod
    }

    /// The indices of the pods that pass a filter.
    async fn indices_that_pass(pods: Vec<Pod>, predicate: impl Predicate<Pod>) -> Vec<usize> {
        let numbered = pods.into_iter().enumerate().map(|(n, mut pod)| {
            pod.annotations_mut().insert("n".into(), n.to_string());
            Ok(Arc::new(pod))
        });
        let filtered = stream::iter(numbered).predicate_filter_shared(predicate, PredicateConfig::default());
        filtered.map(|pod| pod.unwrap().annotations()["n"].parse::<usize>().unwrap()).collect().await
    }

    #[tokio::test]
    async fn the_filter_passes_only_changes_of_the_property() {
        let pods = vec![
            pod("a", Some(1), "x"),
            pod("a", Some(1), "y"),
            pod("b", Some(1), "x"),
            pod("a", Some(2), "y"),
        ];
        assert_eq!(indices_that_pass(pods.clone(), predicates::generation).await, [0, 2, 3]);
        assert_eq!(indices_that_pass(pods.clone(), predicates::labels).await, [0, 1, 2]);
        assert_eq!(
            indices_that_pass(pods, predicates::generation.combine(predicates::labels)).await,
            [0, 1, 2, 3]
        );
    }

    #[tokio::test]
    async fn an_object_without_the_property_passes() {
        let pods = vec![pod("a", None, "x"), pod("a", None, "x")];
        assert_eq!(indices_that_pass(pods.clone(), predicates::generation).await, [0, 1]);
        assert_eq!(indices_that_pass(pods, predicates::generation.fallback(predicates::labels)).await, [0]);
    }

    #[tokio::test]
    async fn the_filter_passes_an_object_for_which_the_predicate_panics() {
        let predicate = |pod: &Pod| {
            assert!(pod.labels()["l"] != "poison");
            predicates::generation(pod)
        };
        let pods = [("a", "x"), ("a", "poison"), ("a", "poison"), ("a", "x")];
        let pods = pods.map(|(name, label)| pod(name, Some(1), label));
        assert_eq!(indices_that_pass(pods.to_vec(), predicate).await, [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_filter_evicts_hashes_after_the_ttl() {
        let pods = stream::iter([(0, "a"), (30, "a"), (100, "a")]).then(|(at, name)| async move {
            tokio::time::sleep(Duration::from_secs(at)).await;
            Ok(pod(name, Some(1), "x"))
        });
        let config = PredicateConfig::default().ttl(Duration::from_secs(60));
        assert_eq!(pods.predicate_filter(predicates::generation, config).count().await, 2);
    }
}
