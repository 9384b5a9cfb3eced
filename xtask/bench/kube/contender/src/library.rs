//! Re-exports items of `kube` under the names that `shared/` uses, and implements the operations whose API differs
//! between kube and this project.

use crate::shared::store::CompactOptions;
use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use std::hash::Hash;

pub(crate) use crate::informers::{SharedPods, index_by_node, priority_queue, start_manager};
pub(crate) use kube::api::{AttachParams, ListParams, Object, WatchParams};
pub(crate) use kube::client::Body;
pub(crate) use kube::core::{ApiResource, Selector, SelectorExt};
pub(crate) use kube::runtime::controller::Action;
pub(crate) use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
pub(crate) use kube::runtime::watcher::Event;
pub(crate) use kube::runtime::{Controller, PredicateConfig, WatchStreamExt, predicates, reflector, watcher};
pub(crate) use kube::{Api, Client, Config, CustomResource, Resource, ResourceExt};

/// The reason in `Report::Absent` for the rows whose names start with `store-compact`.
pub(crate) const COMPACT_STORE_ABSENCE_REASON: &str = "kube has no compact store";

/// `None`: kube has no compact store.
pub(crate) fn compact_store(
    _: Api<Pod>,
    _: watcher::Config,
    _: CompactOptions,
) -> Option<(Store<Pod>, std::future::Ready<()>)> {
    None
}

/// Returns `config` unchanged: kube uses only HTTP/1.1.
pub(crate) fn with_http1_only(config: Config) -> Config {
    config
}

/// Whether this contender has the rows whose names end with `-protobuf`.
pub(crate) const HAS_PROTOBUF_ROWS: bool = false;

/// Returns `config` unchanged: kube reads only JSON.
pub(crate) fn with_protobuf(config: Config) -> Config {
    config
}

/// Always fails. kube has no rows whose names end with `-hyper-util`, because hyper-util's client is kube's only
/// transport. So nothing calls this function.
pub(crate) fn hyper_util_client(_: &Config) -> anyhow::Result<Client> {
    anyhow::bail!("kube has one transport")
}

/// Whether this contender has the rows whose names end with `-hyper-util`.
pub(crate) const HAS_HYPER_UTIL_ROWS: bool = false;

pub(crate) fn store<K>(dyntype: K::DynamicType) -> (Store<K>, Writer<K>)
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let writer = Writer::new(dyntype);
    (writer.as_reader(), writer)
}

/// A watcher configuration with a paginated initial list and defaults for everything else.
pub(crate) fn list_config() -> watcher::Config {
    watcher::Config::default()
}

/// Returns `config` unchanged: a kube watcher cannot skip metadata fields.
pub(crate) fn skip_unused_metadata_if_supported(config: watcher::Config) -> anyhow::Result<watcher::Config> {
    Ok(config)
}

/// The stream of the pods that are new or whose generation has changed.
pub(crate) fn pods_with_new_generation(
    pods: Api<Pod>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Pod, watcher::Error>> + Send {
    watcher(pods, config)
        .default_backoff()
        .applied_objects()
        .predicate_filter(predicates::generation, PredicateConfig::default())
}

/// The stream of the pods that have `label`. The client filters them.
pub(crate) fn pods_with_label(
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
