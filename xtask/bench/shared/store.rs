//! The rows (measurements) of stores. Most rows measure the filling of empty stores with the initial list.
//! One row measures the reads of the objects of a compact store.

use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::digest::five_fields;
use super::widget::Widget;
use super::{Control, Digest, Job, Measure, Outcome};
use crate::library::{
    Api, ApiResource, Client, Event, Object, ObjectRef, Resource, Store, WatchStreamExt, Writer, reflector,
    watcher,
};

/// The way in which the watcher requests the initial list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ListStrategy {
    /// A paginated list.
    List,
    /// A streaming list (WatchList, KEP-3157).
    WatchList,
}

impl ListStrategy {
    /// The watcher's configuration with this strategy, and defaults for everything else.
    pub(crate) fn config(self) -> watcher::Config {
        match self {
            Self::List => crate::library::list_config(),
            Self::WatchList => watcher::Config::default().streaming_lists(),
        }
    }
}

/// A store and the task that updates the store. Dropping a `StoreAndTask` aborts the task.
pub(crate) struct StoreAndTask<S> {
    pub(crate) store: S,
    task: JoinHandle<()>,
}

impl<S> Drop for StoreAndTask<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a task that fills a new store. After the store has applied a watcher event, the task calls `on_event` if there
/// is a [`StoreEvent`] for this watcher event.
pub(crate) fn start_filling_new_store<K>(
    api: Api<K>,
    dyntype: K::DynamicType,
    config: watcher::Config,
    on_event: impl FnMut(StoreEvent<'_, K>) + Send + 'static,
) -> StoreAndTask<Store<K>>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone + Send + Sync + Unpin + 'static,
{
    start_filling_store(crate::library::store(dyntype), api, config, on_event)
}

/// Like [`start_filling_new_store`], but fills the given store.
pub(crate) fn start_filling_store<K>(
    (store, writer): (Store<K>, Writer<K>),
    api: Api<K>,
    config: watcher::Config,
    mut on_event: impl FnMut(StoreEvent<'_, K>) + Send + 'static,
) -> StoreAndTask<Store<K>>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone + Send + Sync + Unpin + 'static,
{
    let events = reflector(writer, watcher(api, config)).default_backoff();
    let task = tokio::spawn(async move {
        let mut events = std::pin::pin!(events);
        loop {
            match events.try_next().await {
                Ok(Some(Event::InitDone)) => on_event(StoreEvent::Complete),
                Ok(Some(Event::Apply(object))) => on_event(StoreEvent::Applied(&object)),
                Ok(Some(_)) => {}
                Ok(None) => break,
                // The row `relist` expires the watch on purpose. After any other error, the digest shows whether the
                // store has recovered.
                Err(error) => eprintln!("note: {error:?}"),
            }
        }
    });
    StoreAndTask { store, task }
}

/// The watcher events that the rows need.
pub(crate) enum StoreEvent<'a, K> {
    /// The initial list is complete, or a relist is complete.
    Complete,
    /// An object was added or modified.
    Applied(&'a K),
}

/// The digest of the objects in a store.
pub(crate) fn digest_of_store<K: Resource + Clone + Serialize + 'static>(
    store: &Store<K>,
) -> anyhow::Result<Digest>
where
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    let mut digest = Digest::default();
    for object in store.state() {
        digest.add_object(serde_json::to_value(&*object)?);
    }
    Ok(digest)
}

/// Measures the cost of filling a store that holds each pod as a [`Pod`].
pub(crate) async fn measure_typed_store(job: &Job, strategy: ListStrategy) -> anyhow::Result<Outcome> {
    measure_filling_with_pods(job, strategy, crate::library::store(())).await
}

/// The options of a compact store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompactOptions {
    /// The default options of the contender.
    Default,
    /// Each object is decoded before it is stored.
    Decoded,
    /// zstd instead of the default compression.
    Zstd,
    /// No cache of decoded objects.
    Uncached,
}

/// Measures the cost of filling a store that holds each pod in a compact encoding. Returns `None` if the contender has
/// no compact store.
pub(crate) async fn measure_compact_store(
    job: &Job,
    options: CompactOptions,
) -> anyhow::Result<Option<Outcome>> {
    let pods: Api<Pod> = Api::all(job.client()?);
    let running = Measure::start()?;
    let Some(filled) = start_filling_compact_store(pods, options) else { return Ok(None) };
    filled.store.wait_until_ready().await?;
    let measure = running.stop()?;
    Ok(Some(Outcome::new(filled.store.state().len(), &measure).digest(digest_of_store(&filled.store)?)))
}

/// Reads each pod of a compact store once, and measures these reads. Returns `None` if the contender has no compact store.
/// The names of the pods come from the mock API server. Reading the names from the store would decode all
/// pods before the measurement. This would fragment the heap, and could make the measured reads slower.
pub(crate) async fn measure_reads_of_compact_store(job: &Job) -> anyhow::Result<Option<Outcome>> {
    let Some(filled) = start_filling_compact_store(Api::all(job.client()?), CompactOptions::Uncached) else {
        return Ok(None);
    };
    filled.store.wait_until_ready().await?;
    let names = Control::for_job(job).pod_names(filled.store.len())?;
    anyhow::ensure!(
        names.len() == filled.store.len(),
        "the mock API server listed another number of pods than the store has"
    );
    let keys: Vec<_> =
        names.iter().map(|(namespace, name)| ObjectRef::<Pod>::new(name).within(namespace)).collect();
    let running = Measure::start()?;
    for key in &keys {
        anyhow::ensure!(filled.store.get(key).is_some(), "{key} is not in the store");
    }
    let measure = running.stop()?;
    Ok(Some(Outcome::new(keys.len(), &measure).digest(digest_of_store(&filled.store)?)))
}

/// Starts a task that fills a compact store. Returns `None` if the contender has no compact store.
fn start_filling_compact_store(pods: Api<Pod>, options: CompactOptions) -> Option<StoreAndTask<Store<Pod>>> {
    let (store, feed) = crate::library::compact_store(pods, ListStrategy::List.config(), options)?;
    Some(StoreAndTask { store, task: tokio::spawn(feed) })
}

/// Measures the filling of `store`: from the start of the watcher until the store holds the initial list.
async fn measure_filling_with_pods(
    job: &Job,
    strategy: ListStrategy,
    store: (Store<Pod>, Writer<Pod>),
) -> anyhow::Result<Outcome> {
    let pods: Api<Pod> = Api::all(job.client()?);
    let running = Measure::start()?;
    let filled = start_filling_store(store, pods, strategy.config(), |_| {});
    filled.store.wait_until_ready().await?;
    let measure = running.stop()?;
    Ok(Outcome::new(filled.store.state().len(), &measure).digest(digest_of_store(&filled.store)?))
}

/// The spec of a [`PartialPod`]: two of the fields of a pod's spec.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartialSpec {
    pub(crate) node_name: Option<String>,
    pub(crate) priority: Option<i32>,
}

/// The status of a [`PartialPod`]: three of the fields of a pod's status.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartialStatus {
    pub(crate) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    pub(crate) start_time: Option<Time>,
}

/// A pod type with five fields besides its metadata.
pub(crate) type PartialPod = Object<PartialSpec, PartialStatus>;

/// Measures the cost of filling a store of [`PartialPod`]s.
pub(crate) async fn measure_store_of_partial_pods(job: &Job) -> anyhow::Result<Outcome> {
    let resource = ApiResource::erase::<Pod>(&());
    let pods: Api<PartialPod> = Api::all_with(job.client()?, &resource);
    let config = crate::library::skip_unused_metadata_if_supported(ListStrategy::List.config())?;
    let running = Measure::start()?;
    let filled = start_filling_new_store(pods, resource, config, |_| {});
    filled.store.wait_until_ready().await?;
    let measure = running.stop()?;
    let mut digest = Digest::default();
    let objects = filled.store.state();
    for pod in &objects {
        digest.add_object(five_fields(&partial_pod_json(pod)?));
    }
    Ok(Outcome::new(objects.len(), &measure).digest(digest))
}

/// The JSON of the pod: its metadata, and the five fields that a [`PartialPod`] has besides its metadata.
fn partial_pod_json(pod: &Arc<PartialPod>) -> anyhow::Result<Value> {
    Ok(json!({
        "metadata": serde_json::to_value(&pod.metadata)?,
        "spec": serde_json::to_value(&pod.spec)?,
        "status": serde_json::to_value(&pod.status)?,
    }))
}

/// Measures the cost of filling three stores concurrently: with nodes, with config maps, and with [`Widget`]s.
pub(crate) async fn measure_stores_of_three_kinds(job: &Job) -> anyhow::Result<Outcome> {
    let client = job.client()?;
    let running = Measure::start()?;
    let nodes = start_filling_store_with_all_objects::<Node>(&client);
    let maps = start_filling_store_with_all_objects::<ConfigMap>(&client);
    let widgets = start_filling_store_with_all_objects::<Widget>(&client);
    nodes.store.wait_until_ready().await?;
    maps.store.wait_until_ready().await?;
    widgets.store.wait_until_ready().await?;
    let measure = running.stop()?;
    let mut digest = digest_of_store(&nodes.store)?;
    digest.merge(digest_of_store(&maps.store)?);
    digest.merge(digest_of_store(&widgets.store)?);
    Ok(Outcome::new(usize::try_from(digest.count)?, &measure).digest(digest))
}

/// Starts a task that fills a store with all objects of a kind.
fn start_filling_store_with_all_objects<K>(client: &Client) -> StoreAndTask<Store<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    start_filling_new_store(Api::<K>::all(client.clone()), (), ListStrategy::List.config(), |_| {})
}

/// Returns the next `Ok` item of a stream, or `None` at the end of the stream. Prints each error that the stream yields
/// before this item.
pub(crate) async fn next_ok<S, T, E>(stream: &mut S) -> Option<T>
where
    S: Stream<Item = Result<T, E>> + Unpin,
    E: std::fmt::Debug,
{
    loop {
        match stream.try_next().await {
            Ok(item) => return item,
            Err(error) => eprintln!("note: {error:?}"),
        }
    }
}
