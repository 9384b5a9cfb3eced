//! kube under the names that the rows use, and what it does in a way of its own.

use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use std::hash::Hash;

pub(crate) use kube::api::{ListParams, Object};
pub(crate) use kube::client::Body;
pub(crate) use kube::core::{ApiResource, Selector, SelectorExt};
pub(crate) use kube::runtime::controller::Action;
pub(crate) use kube::runtime::reflector::{Store, store::Writer};
pub(crate) use kube::runtime::watcher::Event;
pub(crate) use kube::runtime::{Controller, PredicateConfig, WatchStreamExt, predicates, reflector, watcher};
pub(crate) use kube::{Api, Client, Config, CustomResource, Resource, ResourceExt};

/// Why there is no row on a compact store.
pub(crate) const NO_COMPACT_STORE: &str = "kube has no compact store";

/// kube has none.
pub(crate) fn compact_store() -> Option<(Store<Pod>, Writer<Pod>)> {
    None
}

/// A store and its writer.
pub(crate) fn store<K>(dyntype: K::DynamicType) -> (Store<K>, Writer<K>)
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let writer = Writer::new(dyntype);
    (writer.as_reader(), writer)
}

/// A watcher that lists by pages, all else as it comes.
pub(crate) fn list_config() -> watcher::Config {
    watcher::Config::default()
}

/// Of the metadata, who an object is and nothing else. kube has no way to say so.
pub(crate) fn only_identity(config: watcher::Config) -> anyhow::Result<watcher::Config> {
    Ok(config)
}

/// Pods whenever they have a new generation.
pub(crate) fn new_generations(
    pods: Api<Pod>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Pod, watcher::Error>> + Send {
    watcher(pods, config)
        .default_backoff()
        .applied_objects()
        .predicate_filter(predicates::generation, PredicateConfig::default())
}

/// Pods that carry a label.
pub(crate) fn labelled(
    pods: Api<Pod>,
    config: watcher::Config,
    label: (&'static str, &'static str),
) -> impl Stream<Item = Result<Pod, watcher::Error>> + Send {
    let selector = Selector::from_iter([label]);
    watcher(pods, config)
        .default_backoff()
        .applied_objects()
        .try_filter(move |pod| std::future::ready(selector.matches(pod.labels())))
}
