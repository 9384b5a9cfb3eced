//! `SharedInformer`: one watch and one store for any number of subscribers.

use crate::reflector::{Storage, Store, Subscription, WatchedDeltas, Writer, store_with};
use crate::watcher::{Config, Error};
use futures::StreamExt;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};
use tokio::task::AbortHandle;

/// One watch of a collection and one store, for any number of subscribers, like client-go's `SharedInformer`. Cheap to
/// clone.
///
/// The first [`subscribe`](SharedInformer::subscribe) starts a task that watches the collection, and dropping the last
/// subscription ends the task. The stream of a later subscriber begins with the content of the store. A subscriber that
/// does not poll does not delay other subscribers; see [`Subscription`]. After all subscriptions are dropped, the store
/// keeps its content, but receives no updates. The next subscription starts the watch again: the informer lists the
/// collection, and the stream of the subscription emits the differences.
///
/// [`SharedInformers`] returns the same informer to each caller that names the same collection and options.
///
/// ```
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client};
/// use kube_runtime::controller::{self, Action, Changes, own};
/// use kube_runtime::informer::SharedInformer;
/// use kube_runtime::{Controller, reflector::StoreEvent};
/// use std::{convert::Infallible, sync::Arc};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces = SharedInformer::new(Api::<Namespace>::all(client));
/// let mut changes = namespaces.subscribe();
/// let (reader, source) = Changes::shared(&namespaces);
/// let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
/// let controller = Controller::from_source(reader, source.handle(own()));
/// let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
/// // The controller and `changes` share one watch.
/// assert!(results.next().await.is_some_and(|result| result.is_ok()));
/// assert!(matches!(changes.next().await, Some(Ok(StoreEvent::Delta(_)))));
/// # }
/// ```
pub struct SharedInformer<K> {
    inner: Arc<Inner<K>>,
}

/// The data that the clones of a [`SharedInformer`] share.
struct Inner<K> {
    /// The collections; usually one.
    parts: Vec<(Api<K>, Config)>,
    /// The paths of the collections, separated by commas.
    resource: String,
    store: Store<K>,
    /// The writer of the store; `None` while a task feeds the store. The task holds the lock until it returns the writer.
    writer: Arc<AsyncMutex<Option<Writer<K>>>>,
    /// The task that feeds the store; its handle is alive while a subscription exists.
    task: Mutex<Weak<TaskHandle>>,
    health: Arc<watch::Sender<Health>>,
}

/// Whether the watch of an informer works.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    /// The last failure; `None` before the first failure, and after the watch has recovered.
    pub(crate) failure: Option<Arc<Error>>,
    /// The reason that the watch ended although it had subscribers; `None` if the watch did not end in this way.
    pub(crate) ended: Option<InformerEnd>,
}

/// The reason that the watch of a [`SharedInformer`] ended although it had subscribers. No response of a server ends
/// the watch. The next subscription starts the watch again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InformerEnd {
    /// The task of the watch panicked, for instance in a layer of the client. The panic hook of the program has
    /// reported the panic.
    #[error("its task panicked")]
    Panic,
    /// The runtime of the subscriber that started the watch was shut down.
    #[error("the runtime of its first subscriber was shut down")]
    RuntimeShutDown,
}

/// The handle of the task that feeds the store. Each subscription, and each value that [`SharedInformer::hold_watch`]
/// returned, shares the handle. Dropping the last of these owners drops the handle, which aborts the task.
struct TaskHandle {
    abort_handle: AbortHandle,
    state: Arc<TaskState>,
    /// Keeps the informer alive while a subscription exists.
    _informer: Arc<dyn Any + Send + Sync>,
}

/// The flags that the spawned task shares with its [`TaskHandle`].
#[derive(Default)]
struct TaskState {
    /// Whether the [`TaskHandle`] was dropped.
    stopping: AtomicBool,
    /// Whether the task ended before the [`TaskHandle`] was dropped. The flag is set before the streams of
    /// the subscribers end.
    ended: AtomicBool,
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        self.abort_handle.abort();
    }
}

impl<K: Resource + DeserializeOwned + Send + Sync + 'static> SharedInformer<K> {
    /// An informer of the collection of `api`. Sends no request before the first subscription.
    pub fn new(api: Api<K>) -> Self {
        Self::with_config(api, Config::default())
    }

    /// Like [`new`](SharedInformer::new), with a watcher's options.
    pub fn with_config(api: Api<K>, config: Config) -> Self {
        Self::with_storage(api, config, Storage::typed())
    }

    /// Like [`with_config`](SharedInformer::with_config), with a storage format. To change each object before it is
    /// stored, use [`Storage::modify`].
    pub fn with_storage(api: Api<K>, config: Config, storage: Storage<K>) -> Self {
        Self::merged([(api, config)], storage)
    }

    /// An informer with one store for several collections of one kind, such as the collections of several namespaces, or
    /// of several selectors. Each collection has a watch of its own; see [`merged`](crate::reflector::merged()).
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::{SharedInformer, reflector::Storage, watcher::Config};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let parts = ["default", "kube-public"].map(|namespace| {
    ///     (Api::<ConfigMap>::namespaced(client.clone(), namespace), Config::default())
    /// });
    /// let maps = SharedInformer::merged(parts, Storage::typed());
    /// let _changes = maps.subscribe();
    /// maps.store().wait_until_ready().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn merged(parts: impl IntoIterator<Item = (Api<K>, Config)>, storage: Storage<K>) -> Self {
        let parts: Vec<_> = parts.into_iter().collect();
        let paths: Vec<_> = parts.iter().map(|(api, _)| api.resource_url()).collect();
        let resource = paths.join(", ");
        let (store, writer) = store_with(storage);
        let writer = Arc::new(AsyncMutex::new(Some(writer)));
        Self {
            inner: Arc::new(Inner {
                parts,
                resource,
                store,
                writer,
                task: Mutex::default(),
                health: Arc::default(),
            }),
        }
    }

    /// Subscribes to the changes of the collection, and starts the watch if no other subscription exists. The stream
    /// begins with the content of the store, and emits the failures of the watch as
    /// [`Error::Shared`](crate::watcher::Error::Shared).
    ///
    /// The stream ends only if the runtime of the watch shuts down, or if the watch panics. A panic in a
    /// `Deserialize` implementation does not end the stream: the stream emits it as an error.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn subscribe(&self) -> Subscription<K> {
        // Call `subscribe` before `hold_watch` checks whether the task runs. If the task ends between the two
        // calls, it ends the streams of all subscribers, including this stream. In the other order, this
        // stream would miss the end of the task.
        let changes = self.inner.store.subscribe();
        changes.keep_alive(self.hold_watch())
    }

    /// Starts the watch if it does not run. Dropping the returned value permits the watch to end.
    pub(crate) fn hold_watch(&self) -> Arc<dyn Any + Send + Sync> {
        let mut known = self.inner.lock_task();
        let running = known.upgrade().filter(|task| !task.state.ended.load(Ordering::SeqCst));
        let task = running.unwrap_or_else(|| {
            let task = Arc::new(self.inner.start());
            *known = Arc::downgrade(&task);
            task
        });
        drop(known);
        task
    }

    /// The store. It changes only while the watch runs; see [`subscribe`](SharedInformer::subscribe).
    pub fn store(&self) -> Store<K> {
        self.inner.store.clone()
    }

    /// A receiver of the state of the watch.
    #[cfg(feature = "manager")]
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.subscribe()
    }

    /// The URL path of the collection. If the informer has several collections, the result contains the path
    /// of each collection, separated by commas.
    pub fn resource_url(&self) -> &str {
        &self.inner.resource
    }
}

impl<K> Inner<K> {
    fn lock_task(&self) -> MutexGuard<'_, Weak<TaskHandle>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource + DeserializeOwned + Send + Sync + 'static> Inner<K> {
    /// Starts a task that feeds the store. The new task first waits until the previous task has returned the writer.
    fn start(self: &Arc<Self>) -> TaskHandle {
        let state = Arc::new(TaskState::default());
        self.health.send_modify(|health| health.ended = None);
        let (writer, parts) = (self.writer.clone(), self.parts.clone());
        let feed = {
            // The future owns `end`, so that the streams of the subscribers end even if the runtime drops the
            // future before its first poll.
            let end =
                EndOfFeed { store: self.store.clone(), state: state.clone(), health: self.health.clone() };
            async move {
                let mut slot = writer.lock_owned().await;
                let Some(writer) = slot.take() else { return };
                end.health.send_replace(Health::default());
                StoreFeeder { deltas: Some(WatchedDeltas::new(writer, parts)), slot, end }.run().await;
            }
        };
        TaskHandle { abort_handle: tokio::spawn(feed).abort_handle(), state, _informer: self.clone() }
    }
}

/// Feeds a store. Dropping a `StoreFeeder` closes the watch, and puts the writer back into `slot`.
struct StoreFeeder<K: Resource + Send + Sync + 'static> {
    deltas: Option<WatchedDeltas<K>>,
    slot: OwnedMutexGuard<Option<Writer<K>>>,
    end: EndOfFeed<K>,
}

/// A value that is dropped when the task that feeds the store ends. If the task ends before its
/// [`TaskHandle`] is dropped, the drop of this value ends the streams of the subscribers.
struct EndOfFeed<K> {
    store: Store<K>,
    state: Arc<TaskState>,
    health: Arc<watch::Sender<Health>>,
}

impl<K: Resource + DeserializeOwned + Send + Sync + 'static> StoreFeeder<K> {
    async fn run(mut self) {
        let Some(deltas) = &mut self.deltas else { return };
        // The loop ignores the deltas, because the writer passes them to the subscribers. The loop publishes
        // errors, and updates the health.
        let mut failed = false;
        while let Some(item) = deltas.next().await {
            if let Err(error) = item {
                let error = Arc::new(error);
                deltas.writer_mut().publish_error(&error);
                self.end.health.send_modify(|health| health.failure = Some(error));
                failed = true;
            } else if failed {
                self.end.health.send_modify(|health| health.failure = None);
                failed = false;
            }
        }
        // `deltas` ends only if the informer has no collections. The store is then complete and does not change.
        std::future::pending::<()>().await;
    }
}

impl<K: Resource + Send + Sync + 'static> Drop for StoreFeeder<K> {
    fn drop(&mut self) {
        let Some(deltas) = self.deltas.take() else { return };
        *self.slot = Some(deltas.into_writer());
    }
}

impl<K> Drop for EndOfFeed<K> {
    fn drop(&mut self) {
        if self.state.stopping.load(Ordering::SeqCst) {
            return;
        }
        // Subscriptions exist, and nothing feeds the store any more: end their streams.
        let is_panic = std::thread::panicking();
        let end = if is_panic { InformerEnd::Panic } else { InformerEnd::RuntimeShutDown };
        self.health.send_modify(|health| health.ended = Some(end));
        self.state.ended.store(true, Ordering::SeqCst);
        self.store.end_subscribers();
    }
}

impl<K> Clone for SharedInformer<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<K> fmt::Debug for SharedInformer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedInformer").field("store", &self.inner.store).finish_non_exhaustive()
    }
}

/// The shared informers of a program: one for each collection and configuration, like client-go's
/// `SharedInformerFactory`.
///
/// An informer lives while a clone or a subscription of it exists.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client};
/// use kube_runtime::informer::SharedInformers;
/// use kube_runtime::watcher::Config;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let informers = SharedInformers::default();
/// let one = informers.informer(Api::<Namespace>::all(client.clone()), Config::default());
/// let same = informers.informer(Api::<Namespace>::all(client), Config::default());
/// let _changes = one.subscribe();
/// same.store().wait_until_ready().await.expect("the informer is not dropped");
/// # }
/// ```
#[derive(Debug, Default)]
pub struct SharedInformers {
    entries: Mutex<Vec<InformerEntry>>,
}

/// A type-erased informer, with the path of its collection and its options.
#[derive(Debug)]
struct InformerEntry {
    resource: String,
    config: Config,
    informer: Weak<dyn Any + Send + Sync>,
}

impl SharedInformers {
    /// The informer of the collection of `api` with these options. Two calls return the same informer if the path of
    /// the collection, the type `K` and the options are equal. The informer uses the `api` of the first call.
    pub fn informer<K>(&self, api: Api<K>, config: Config) -> SharedInformer<K>
    where
        K: Resource + DeserializeOwned + Send + Sync + 'static,
    {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.informer.strong_count() > 0);
        let mut same =
            entries.iter().filter(|entry| entry.resource == api.resource_url() && entry.config == config);
        let known = same.find_map(|entry| entry.informer.upgrade()?.downcast::<Inner<K>>().ok());
        if let Some(inner) = known {
            return SharedInformer { inner };
        }
        let resource = api.resource_url().to_owned();
        let created = SharedInformer::with_config(api, config.clone());
        let informer: Weak<dyn Any + Send + Sync> = Arc::<Inner<K>>::downgrade(&created.inner) as _;
        entries.push(InformerEntry { resource, config, informer });
        created
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reflector::StoreEvent;
    use futures::FutureExt;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube_client::Client;
    use kube_sim::Sim;
    use std::time::Duration;

    fn config_maps(sim: &Sim) -> Api<ConfigMap> {
        Api::default_namespaced(Client::new(sim.service(), "default"))
    }

    #[tokio::test]
    async fn an_informer_whose_runtime_was_shut_down_starts_again_in_the_runtime_of_the_next_subscriber() {
        let sim = Sim::new();
        let informer = SharedInformer::new(config_maps(&sim));
        let other =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut first = {
            let _entered = other.enter();
            informer.subscribe()
        };
        informer.store().wait_until_ready().await.unwrap();
        other.shutdown_background();
        while first.next().await.is_some() {}
        let ended = || informer.inner.health.borrow().ended;
        assert_eq!(ended(), Some(InformerEnd::RuntimeShutDown));
        let mut second = informer.subscribe();
        assert_eq!(ended(), None, "before the task of the watch runs");
        assert!(second.next().await.is_some());
    }

    #[tokio::test]
    async fn a_subscription_ends_if_its_runtime_is_shut_down_before_the_watch_starts() {
        let sim = Sim::new();
        let informer = SharedInformer::new(config_maps(&sim));
        let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = other.handle().clone();
        let before_shutdown = {
            let _entered = handle.enter();
            informer.subscribe()
        };
        other.shutdown_background();
        let after_shutdown = {
            let _entered = handle.enter();
            informer.subscribe()
        };
        for mut changes in [before_shutdown, after_shutdown] {
            assert!(matches!(changes.next().now_or_never(), Some(None)));
        }
        assert_eq!(informer.inner.health.borrow().ended, Some(InformerEnd::RuntimeShutDown));
        assert!(informer.subscribe().next().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_of_an_informer_without_collections_does_not_end() {
        let informer = SharedInformer::<ConfigMap>::merged([], Storage::typed());
        let mut changes = informer.subscribe();
        assert!(matches!(changes.next().await, Some(Ok(StoreEvent::Synced(None)))));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(changes.next().now_or_never().is_none());
        assert!(informer.store().is_ready() && informer.inner.health.borrow().ended.is_none());
    }
}
