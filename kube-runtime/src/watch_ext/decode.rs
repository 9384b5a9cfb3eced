//! Combinators that convert events to objects, or modify the objects of events.

use super::predicate::{Predicate, PredicateConfig, PredicateFilter, Shared};
use crate::reflector::{Reflect, modify_item};
use crate::watcher::{Event, Result};
use futures::Stream;
use kube_client::Resource;
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

pin_project! {
    /// The stream of [`applied_objects`](super::WatchStreamExt::applied_objects) and
    /// [`touched_objects`](super::WatchStreamExt::touched_objects).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct EventDecode<S> {
        #[pin]
        stream: S,
        deletions: Deletions,
    }
}

/// Whether the stream emits deleted objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletions {
    Skipped,
    Passed,
}

impl<S> EventDecode<S> {
    /// A stream that emits no deleted objects.
    pub(super) fn without_deletions(stream: S) -> Self {
        Self { stream, deletions: Deletions::Skipped }
    }

    /// A stream that also emits deleted objects.
    pub(super) fn with_deletions(stream: S) -> Self {
        Self { stream, deletions: Deletions::Passed }
    }
}

impl<S, K: Resource> EventDecode<Reflect<S, K>>
where
    Reflect<S, K>: Stream<Item = Result<Event<Arc<K>>>>,
{
    /// Like [`WatchStreamExt::predicate_filter`](super::WatchStreamExt::predicate_filter), for objects that the stream
    /// shares with the store.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_client::Api;
    /// use kube_runtime::{PredicateConfig, WatchStreamExt, predicates, reflector, watcher};
    ///
    /// # fn changes(pods: Api<Pod>) {
    /// let (reader, writer) = reflector::store();
    /// let changes = watcher(pods, watcher::Config::default())
    ///     .reflect(writer)
    ///     .applied_objects()
    ///     .predicate_filter(predicates::generation, PredicateConfig::default());
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "the method of the trait has this signature")]
    pub fn predicate_filter<P: Predicate<K>>(
        self,
        predicate: P,
        config: PredicateConfig,
    ) -> PredicateFilter<Self, P, Shared> {
        PredicateFilter::new(self, predicate, &config, Shared)
    }
}

impl<S: Stream<Item = Result<Event<K>>>, K> Stream for EventDecode<S> {
    type Item = Result<K>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            return Poll::Ready(match ready!(this.stream.as_mut().poll_next(cx)) {
                Some(Ok(Event::Apply(object) | Event::InitApply(object))) => Some(Ok(object)),
                Some(Ok(Event::Delete(object))) if *this.deletions == Deletions::Passed => Some(Ok(object)),
                Some(Ok(_)) => continue,
                Some(Err(error)) => Some(Err(error)),
                None => None,
            });
        }
    }
}

pin_project! {
    /// The stream of [`modify`](super::WatchStreamExt::modify).
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct EventModify<S, F> {
        #[pin]
        stream: S,
        f: F,
    }
}

impl<S, F> EventModify<S, F> {
    pub(super) fn new(stream: S, f: F) -> Self {
        Self { stream, f }
    }
}

impl<S, F, K> Stream for EventModify<S, F>
where
    S: Stream<Item = Result<Event<K>>>,
    F: FnMut(&mut K),
    K: Resource,
{
    type Item = Result<Event<K>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        let mut item = ready!(this.stream.poll_next(cx));
        if let Some(item) = &mut item {
            modify_item(item, this.f);
        }
        Poll::Ready(item)
    }
}

#[cfg(test)]
mod tests {
    use crate::WatchStreamExt;
    use crate::watcher::Event;
    use futures::{StreamExt, stream};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube_client::ResourceExt;

    /// The events of two objects: object 1 is listed and then deleted, and object 2 is added.
    fn events() -> impl futures::Stream<Item = crate::watcher::Result<Event<u8>>> {
        stream::iter(
            [Event::Init, Event::InitApply(1), Event::InitDone, Event::Delete(1), Event::Apply(2)].map(Ok),
        )
    }

    #[tokio::test]
    async fn deleted_objects_are_in_touched_objects_but_not_in_applied_objects() {
        let applied: Vec<u8> = events().applied_objects().map(Result::unwrap).collect().await;
        assert_eq!(applied, [1, 2]);
        let touched: Vec<u8> = events().touched_objects().map(Result::unwrap).collect().await;
        assert_eq!(touched, [1, 1, 2]);
    }

    #[tokio::test]
    async fn modify_changes_every_object_and_a_panic_results_in_an_error_that_names_the_object() {
        let named = |name: &str| {
            let mut map = ConfigMap::default();
            map.metadata.name = Some(name.to_owned());
            map
        };
        let events = events().map(|event| event.map(|event| event.map(|number| named(&number.to_string()))));
        let modified = events.modify(|map| {
            assert!(map.name_any() != "2", "a test");
            let name = map.name_any();
            map.labels_mut().insert("l".into(), name);
        });
        let modified = modified.touched_objects().map(|item| match item {
            Ok(map) => map.labels()["l"].clone(),
            Err(error) => error.to_string(),
        });
        let modified = modified.collect::<Vec<_>>().await;
        assert_eq!(modified[..2], ["1", "1"]);
        assert!(modified[2].contains("ConfigMap 2"), "{modified:?}");
    }
}
