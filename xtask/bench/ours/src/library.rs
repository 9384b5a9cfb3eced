//! Re-exports this project's public items under the names that `shared/` uses, and implements the operations
//! whose API differs between kube and this project.

use crate::shared::store::CompactOptions;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube_client::core::FieldSet;

pub(crate) use kube_client::api::{ApiResource, AttachParams, ListParams, Object, WatchParams};
pub(crate) use kube_client::client::Body;

pub(crate) use crate::informers::{SharedPods, index_by_node, start_manager};
pub(crate) use crate::work_queue::priority_queue;
pub(crate) use kube_client::core::Selector;
pub(crate) use kube_client::{Api, Client, Config, Resource, ResourceExt};
pub(crate) use kube_derive::CustomResource;
pub(crate) use kube_runtime::controller::Action;
use kube_runtime::reflector::{Check, Storage};
pub(crate) use kube_runtime::reflector::{ObjectRef, Store, Writer};
pub(crate) use kube_runtime::watcher::Event;
pub(crate) use kube_runtime::{Controller, WatchStreamExt, predicates, reflector, watcher};

/// The reason in `Report::Absent` for the rows whose names start with `store-compact`. The shared code needs this constant
/// for kube only: here [`compact_store`] always returns a store.
pub(crate) const COMPACT_STORE_ABSENCE_REASON: &str = "this project has no compact store";

/// A compact store, and the future that fills it.
#[expect(clippy::unnecessary_wraps, reason = "kube's contender returns None")]
pub(crate) fn compact_store(
    pods: Api<Pod>,
    config: watcher::Config,
    options: CompactOptions,
) -> Option<(Store<Pod>, impl Future<Output = ()> + Send + 'static)> {
    let storage = Storage::compact();
    let storage = match options {
        CompactOptions::Default => storage,
        CompactOptions::Decoded => storage.check(Check::Decode),
        CompactOptions::Zstd => storage.zstd(),
        CompactOptions::Uncached => storage.cached(0),
    };
    let (store, writer) = kube_runtime::reflector::store_with(storage);
    let changes = watcher(pods, config).deltas(writer);
    let feed = changes.for_each(|change| {
        if let Err(error) = change {
            eprintln!("note: {error:?}");
        }
        std::future::ready(())
    });
    Some((store, feed))
}

/// Returns `config` with HTTP/1.1 as the only version of HTTP.
pub(crate) fn with_http1_only(mut config: Config) -> Config {
    config.http_versions = kube_client::config::HttpVersions::Http1;
    config
}

/// Whether this contender has the rows whose names end with `-protobuf`.
pub(crate) const HAS_PROTOBUF_ROWS: bool = true;

/// Selects Protobuf for the built-in kinds.
pub(crate) fn with_protobuf(mut config: Config) -> Config {
    config.wire_format = kube_client::config::WireFormat::Protobuf;
    config
}

/// A client over HTTP/1.1 whose transport is hyper-util's client.
pub(crate) fn hyper_util_client(config: &Config) -> anyhow::Result<Client> {
    crate::hyper_util_client::client(config)
}

/// Whether this contender has the rows whose names end with `-hyper-util`.
pub(crate) const HAS_HYPER_UTIL_ROWS: bool = true;

pub(crate) fn store<K: Resource>(_: K::DynamicType) -> (Store<K>, Writer<K>) {
    kube_runtime::reflector::store()
}

/// A watcher configuration with a paginated initial list and defaults for everything else.
pub(crate) fn list_config() -> watcher::Config {
    watcher::Config::default().initial_list_strategy(watcher::InitialListStrategy::ListWatch)
}

/// Configures the watcher to skip labels, annotations, owner references, `generateName` and managed fields when it
/// decodes an object.
pub(crate) fn skip_unused_metadata_if_supported(config: watcher::Config) -> anyhow::Result<watcher::Config> {
    let unwanted =
        ["metadata.labels", "metadata.annotations", "metadata.ownerReferences", "metadata.generateName"];
    let unwanted = unwanted.into_iter().map(str::parse).collect::<Result<FieldSet, _>>()?;
    Ok(config.skip_fields(FieldSet::managed_fields().and(unwanted)))
}

/// The stream of the pods that are new or whose generation has changed.
pub(crate) fn pods_with_new_generation(
    pods: Api<Pod>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Pod>> + Send {
    watcher(pods, config).only_changes_of(predicates::generation).applied_objects()
}

/// The stream of the pods that have `label`. The client filters them.
pub(crate) fn pods_with_label(
    pods: Api<Pod>,
    config: watcher::Config,
    label: (&'static str, &'static str),
) -> impl Stream<Item = watcher::Result<Pod>> + Send {
    watcher(pods, config).only_labelled(Selector::from_iter([label])).applied_objects()
}
