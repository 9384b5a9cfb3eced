//! `Controller`: reconciles the current state of objects with their desired state.
//!
//! `source` maps changes to keys; the `dispatcher` owns all state and the work queue; the `executor` runs reconciles.
//! Only the dispatcher may use the work queue.

mod action;
mod attempt;
mod config;
mod deletion;
mod dispatcher;
mod error;
mod executor;
mod failure;
mod filter;
mod gate;
mod guarded_limiter;
mod handler;
mod hot_loop;
#[cfg(feature = "manager")]
mod inspect;
mod key;
mod monitor;
mod owned_object;
mod panic;
mod settled_triggers;
mod shutdown;
mod source;
mod streams;
mod sync_timer;
mod targets;
mod trigger;
mod triggers;

pub use crate::queue::{FailureBackoff, MaxOf, Priority, RateLimiter, TokenBucket};
pub use action::{Action, backoff_on_error};
pub use attempt::attempt;
pub use config::Config;
pub use error::{Error, SourceError};
pub(crate) use failure::ConcurrentChange;
pub use failure::TerminalError;
pub use filter::{And, Filter, Not, Or, changes_of};
pub use gate::{Gate, GateHandle};
pub use handler::{Handler, Requests, mapped, own, owners};
#[cfg(feature = "manager")]
pub(crate) use inspect::{Inspection, Inspector, RunningKey};
pub use key::Key;
#[cfg(feature = "manager")]
pub(crate) use shutdown::wait_for_signal;
pub use source::{Changes, Source, TriggerStream, Triggers};
pub use trigger::{ReconcileReason, RelatedObject, Trigger};

use crate::queue::Limiter;
use crate::reflector::{ObjectRef, Storage, Store};
use crate::watcher;
use deletion::{DeletionHandler, Deletions};
use dispatcher::Dispatcher;
use executor::Executor;
use futures::Stream;
use gate::Gates;
use guarded_limiter::GuardedLimiter;
use handler::stored_owners;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use shutdown::Shutdown;
use std::{fmt, hash::Hash, sync::Arc};

/// Watches objects of one kind and their owned objects, and calls a reconciler for each object that may need work.
///
/// The *reconciler* receives the latest state of the object and compares the current with the desired state. It does
/// not receive the change that triggered it. It returns an [`Action`], which sets when the object is requeued if the
/// object does not change earlier.
///
/// Guarantees:
///
/// - At most one reconcile runs per object. Changes during a reconcile are coalesced into one further reconcile.
/// - At most [`Config::concurrency`] reconciles run at once.
/// - Changes are reconciled before the objects of the initial list. Within a [`Priority`], objects are reconciled in
///   the order of their changes. Every 16th reconcile is that of the object that has waited longest, regardless of its
///   priority, so that each object is reconciled in the end, even during a continuous flow of changes.
/// - No reconcile starts before the stores of the controller's kind, and of the owned and watched kinds, contain their
///   first snapshots: a reconciler that reads these stores finds all objects. If the first snapshots take longer than
///   [`Config::sync_timeout`], the stream of [`run`](Controller::run) yields an error for each store that is not
///   complete. See also [`with_gate`](Controller::with_gate).
/// - After a relist, only the objects that changed are reconciled.
/// - The controller's task polls a reconcile until its first wait; then the reconcile continues as a task of its own.
///   If reconciles compute for long before their first wait, the controller spawns them directly, so that they run in
///   parallel.
/// - A panic in the reconciler is a failure: the object is requeued, and no other object is affected. A reconcile that
///   takes longer than [`Config::reconcile_timeout`] is a failure, too.
/// - If the reconciler returns an error because it wrote an outdated object (409), the outcome is a *conflict*: the stream
///   of [`run`](Controller::run) yields `Ok`, and [`Action::requeue_with_backoff`] requeues the object at once, or after
///   the backoff if the previous attempt was a failure or a conflict, too.
/// - After a [`TerminalError`], [`Action::requeue_with_backoff`] does not requeue the object.
/// - [`attempt`] returns the number of the current attempt.
/// - Dropping the stream of [`run`](Controller::run) cancels all in-flight reconciles.
///
/// ```
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::{Api, Client, ResourceExt, api::PostParams};
/// use kube_runtime::{Controller, controller::{self, Action}, watcher};
/// use std::{convert::Infallible, sync::Arc};
///
/// async fn reconcile(map: Arc<ConfigMap>, _: Arc<()>) -> Result<Action, Infallible> {
///     println!("reconciling {}", map.name_any());
///     Ok(Action::await_change())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let maps: Api<ConfigMap> = Api::default_namespaced(client);
/// # let mut map = ConfigMap::default();
/// # map.metadata.name = Some("settings".into());
/// # maps.create(&PostParams::default(), &map).await?;
/// let controller = Controller::new(maps, watcher::Config::default());
/// let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
/// let (object, _) = results.next().await.expect("a controller runs until it is shut down")?;
/// assert_eq!(object.name, "settings");
/// # Ok(())
/// # }
/// ```
pub struct Controller<K: Resource> {
    sources: Vec<TriggerStream>,
    gates: Gates,
    reader: Store<K>,
    dyntype: K::DynamicType,
    /// The limiter that [`rate_limiter`](Controller::rate_limiter) sets. If it is `None`, the controller uses
    /// [`Config::failure_backoff`].
    limiter: Option<Limiter<Key>>,
    on_deletion: Option<DeletionHandler>,
    config: Config,
    /// The name in metrics and warnings; the kind in lower case if `None`.
    name: Option<String>,
    #[cfg(feature = "manager")]
    inspection_requests: Option<tokio::sync::mpsc::Receiver<inspect::InspectionRequest>>,
    shutdown: Shutdown,
}

impl<K> Controller<K>
where
    K: Resource + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// A controller for the objects of `main_api` that `wc` selects.
    pub fn new(main_api: Api<K>, wc: watcher::Config) -> Self
    where
        K::DynamicType: Default,
    {
        Self::new_with(main_api, wc, K::DynamicType::default())
    }

    /// Like [`new`](Controller::new), for kinds that are known only at run time.
    pub fn new_with(main_api: Api<K>, wc: watcher::Config, dyntype: K::DynamicType) -> Self {
        Self::merged([(main_api, wc)], Storage::typed(), dyntype)
    }

    /// A controller for the objects of several collections of one kind, for instance of several namespaces, or of
    /// several selectors. One store contains all these objects; see [`merged`](crate::reflector::merged()).
    ///
    /// `storage` is the format of the store: [`Storage::compact`] saves memory, and [`Storage::modify`] changes each
    /// object before it is stored. To set the format for a single collection, call this function with one part.
    /// `dyntype` is `()` for kinds that are known at compile time.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::{Api, Client, api::PostParams};
    /// use kube_runtime::controller::{self, Action};
    /// use kube_runtime::{Controller, reflector::Storage, watcher};
    /// use std::{convert::Infallible, sync::Arc};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let parts = ["default", "kube-public"].map(|namespace| {
    ///     (Api::<ConfigMap>::namespaced(client.clone(), namespace), watcher::Config::default())
    /// });
    /// # let mut map = ConfigMap::default();
    /// # map.metadata.name = Some("settings".into());
    /// # parts[1].0.create(&PostParams::default(), &map).await?;
    /// let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
    /// let controller = Controller::merged(parts, Storage::compact(), ());
    /// let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    /// let (object, _) = results.next().await.expect("a controller runs until it is shut down")?;
    /// assert_eq!(object.namespace.as_deref(), Some("kube-public"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merged(
        parts: impl IntoIterator<Item = (Api<K>, watcher::Config)>,
        storage: Storage<K>,
        dyntype: K::DynamicType,
    ) -> Self {
        let (reader, changes) = Changes::watch_merged(parts, storage);
        Self::from_source_with(reader, changes.handle(own()), dyntype)
    }
}

impl<K> Controller<K>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// A controller for the objects of `store`, with a source of triggers. Reconciles start when the store is complete.
    ///
    /// This is the long form of [`new`](Controller::new): a store, the [`Changes`] of the store, and a [`Handler`] that
    /// maps each change to triggers. Each part can be replaced:
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    /// use kube_client::{Api, Client, ResourceExt, api::PostParams};
    /// use kube_runtime::controller::{self, Action, Changes, FailureBackoff, MaxOf, TokenBucket};
    /// use kube_runtime::controller::{changes_of, mapped, own};
    /// use kube_runtime::reflector::{self, ObjectRef};
    /// use kube_runtime::{Controller, predicates, watcher};
    /// use std::{convert::Infallible, sync::Arc, time::Duration};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    /// let secrets: Api<Secret> = Api::default_namespaced(client);
    /// # let mut map = ConfigMap::default();
    /// # map.metadata.name = Some("settings".into());
    /// # maps.create(&PostParams::default(), &map).await?;
    ///
    /// // The controller's own kind: a store, its deltas, a filter and a handler.
    /// let (reader, writer) = reflector::store();
    /// let deltas = watcher(maps, watcher::Config::default()).deltas(writer);
    /// let own_maps = Changes::of_store("config maps", &reader, deltas)
    ///     .filter(changes_of(predicates::labels))
    ///     .handle(own());
    ///
    /// // A watched kind. `Changes::watch` creates the store and the deltas.
    /// let (secret_reader, secrets) = Changes::watch(secrets, watcher::Config::default());
    /// let related = secrets.handle(mapped(|secret: Secret| {
    ///     Some(ObjectRef::<ConfigMap>::new(&secret.name_any()).within("default"))
    /// }));
    ///
    /// let per_object = FailureBackoff::new(Duration::from_millis(5), Duration::from_secs(60));
    /// let reconcile = move |map: Arc<ConfigMap>, _| {
    ///     println!("{} and {} secrets", map.name_any(), secret_reader.len());
    ///     std::future::ready(Ok::<_, Infallible>(Action::await_change()))
    /// };
    /// let mut results = Controller::from_source(reader, own_maps)
    ///     .with_source(related)
    ///     .rate_limiter(MaxOf(per_object, TokenBucket::new(10.0, 100)))
    ///     .run(reconcile, controller::backoff_on_error, Arc::new(()))
    ///     .boxed();
    /// let (object, _) = results.next().await.expect("a controller runs until it is shut down")?;
    /// assert_eq!(object.name, "settings");
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_source(store: Store<K>, source: impl Source) -> Self
    where
        K::DynamicType: Default,
    {
        Self::from_source_with(store, source, K::DynamicType::default())
    }

    /// Like [`from_source`](Self::from_source), for kinds that are known only at run time.
    pub fn from_source_with(store: Store<K>, source: impl Source, dyntype: K::DynamicType) -> Self {
        let controller = Self {
            sources: Vec::new(),
            gates: Gates::default(),
            dyntype,
            limiter: None,
            on_deletion: None,
            config: Config::default(),
            name: None,
            #[cfg(feature = "manager")]
            inspection_requests: None,
            shutdown: Shutdown::default(),
            reader: store,
        };
        let gate = Gate::of_store(&K::kind(&controller.dyntype), &controller.reader);
        controller.with_gate(gate).with_source(source)
    }

    /// Adds a source of triggers. If the source has a gate, reconciles start only while this gate is open.
    #[must_use]
    pub fn with_source(mut self, source: impl Source) -> Self {
        self.gates.extend(source.gate());
        self.sources.push(source.into_triggers());
        self
    }

    /// Sets the limiter that returns the delay of [`Action::requeue_with_backoff`], and therefore of [`backoff_on_error`].
    /// It replaces [`Config::failure_backoff`]. Changes of the object and other actions do not wait for the limiter.
    ///
    /// If the limiter panics for an object, the panic is logged, and the object waits for a backoff of 5 ms to 1000 s.
    #[must_use]
    pub fn rate_limiter(mut self, limiter: impl RateLimiter<Key> + 'static) -> Self {
        self.limiter = Some(Box::new(GuardedLimiter::new(limiter, Config::default().failures)));
        self
    }

    /// Sets the controller's options.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the name of the controller in metrics and warnings. By default, it is the kind in lower case, such as
    /// `configmap`. Give two controllers of one kind different names.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The name of the controller in metrics and warnings; see [`named`](Self::named).
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| K::kind(&self.dyntype).to_ascii_lowercase())
    }

    /// The store of the controller's own kind.
    pub fn store(&self) -> Store<K> {
        self.reader.clone()
    }

    /// When an object of kind `Child` changes, also reconciles its owners of kind `K`. The owner references of the changed
    /// object identify the owners.
    ///
    /// The controller requests only the metadata of the owned objects, and stores only their names, uids, versions and
    /// owners. The previous owner is also reconciled when an owner reference is removed, and when an owned object was
    /// deleted while the watch was interrupted. An owner has the namespace of the owned object, or is cluster-scoped.
    #[must_use]
    pub fn owns<Child>(self, api: Api<Child>, wc: watcher::Config) -> Self
    where
        Child: Resource + 'static,
        Child::DynamicType: Send,
    {
        let changes = Changes::watch_owned::<K, Child>(api.into_metadata(), wc, self.dyntype.clone());
        self.with_source(changes.handle(stored_owners()))
    }

    /// When an object of kind `Other` is added, modified or deleted, calls `mapper` with the object, and reconciles the
    /// objects that `mapper` returns.
    ///
    /// The controller stores the last state of each object of kind `Other`. When the object is modified or
    /// deleted, the controller also calls `mapper` with the stored state, even if the change happened while
    /// the watch was interrupted. This call may return other objects than the earlier call with the same
    /// state, because `mapper` may read other data, such as an index. To save memory, watch only the
    /// metadata, or watch an [`Object`](kube_client::core::Object) with only the fields that the mapper
    /// needs.
    ///
    /// The controller also stores the keys that `mapper` returned for each existing object. When the object is
    /// modified or deleted, the controller reconciles these previous keys too.
    ///
    /// A panic in the mapper affects only the mapped object: the stream of [`run`](Controller::run) yields
    /// [`Error::MapperPanicked`]. If the mapper panics for the current state of an existing object, the previous keys of
    /// the object stay stored until the object changes again or is deleted.
    #[must_use]
    pub fn watches<Other, I>(
        self,
        api: Api<Other>,
        wc: watcher::Config,
        mapper: impl Fn(Other) -> I + Send + 'static,
    ) -> Self
    where
        Other: Resource + DeserializeOwned + Clone + Send + Sync + 'static,
        I: IntoIterator<Item = ObjectRef<K>> + 'static,
        I::IntoIter: Send,
    {
        self.with_source(Changes::watch(api, wc).1.handle(mapped(mapper)))
    }

    /// Adds a gate. The controller starts reconciles only while all its gates are open: the gates that this method adds,
    /// and the gates of the sources and stores. While a gate is closed, the controller continues to watch and to queue, and
    /// in-flight reconciles continue.
    ///
    /// Dropping the handle of the gate closes the gate permanently, even if it was open: the stream of
    /// [`run`](Controller::run) yields [`Error::GateDropped`] and the controller shuts down gracefully. Keep the handle
    /// as long as the controller.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::controller::{self, Action, Gate};
    /// use kube_runtime::{Controller, watcher};
    /// use std::{convert::Infallible, sync::Arc, time::Duration};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let (leadership, gate) = Gate::new("leadership");
    /// let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
    /// let controller = Controller::new(Api::<Namespace>::all(client), watcher::Config::default()).with_gate(gate);
    /// let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    /// let waited = tokio::time::timeout(Duration::from_secs(1), results.next()).await;
    /// assert!(waited.is_err(), "the gate is closed");
    /// leadership.open();
    /// assert!(results.next().await.is_some_and(|result| result.is_ok()));
    /// # }
    /// ```
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.gates.extend([gate]);
        self
    }

    /// Shuts down gracefully when `trigger` completes: the watches end, the queue is dropped, and in-flight
    /// reconciles may finish within [`Config::drain_timeout`]; then the stream of [`run`](Controller::run) ends.
    #[must_use]
    pub fn graceful_shutdown_on(mut self, trigger: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        self.shutdown.add_trigger(trigger);
        self
    }

    /// Shuts down gracefully at the first SIGINT or SIGTERM; the second signal cancels in-flight reconciles.
    #[must_use]
    pub fn shutdown_on_signal(mut self) -> Self {
        self.shutdown.add_signals();
        self
    }

    /// Runs the controller while the stream is polled. The stream has an item for each finished reconcile, for each
    /// finished call of the deletion handler, and for each other failure in [`Error`]. The items are for logs and
    /// metrics: the controller handles failures without the caller.
    ///
    /// `error_policy` returns the action for an object whose reconciler returned an error; [`backoff_on_error`]
    /// requeues the object with a wait that increases with each failure. After a panic or a timeout, the controller
    /// requeues the object in the same way and does not call `error_policy`.
    ///
    /// A reconcile ends with a conflict if [`kube_client::Error::is_conflict`] is true for the reconciler's error, or
    /// for one of the error's [sources](std::error::Error::source). A conflict is not a failure: the stream yields
    /// `Ok`. If `error_policy` returns [`Action::requeue_with_backoff`] for a conflict, the controller requeues the
    /// object at once. If the previous attempt was a failure or a conflict, the controller requeues the object
    /// after the backoff instead. See also [`TerminalError`].
    ///
    /// `reconciler` and `error_policy` may borrow. The stream then also borrows, and cannot be spawned as a task. The
    /// futures of the reconciler must be `'static`, because the controller spawns them as tasks.
    ///
    /// The stream ends after a shutdown. If all sources end, as finite streams of objects do, the controller reconciles
    /// the queued objects, yields [`Error::SourcesEnded`] and shuts down. The stream must be polled inside a tokio
    /// runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream cancels all in-flight reconciles.
    pub fn run<'a, ReconcilerFut, Ctx, E>(
        self,
        reconciler: impl FnMut(Arc<K>, Arc<Ctx>) -> ReconcilerFut + Send + 'a,
        error_policy: impl Fn(Arc<K>, &E, Arc<Ctx>) -> Action + Send + 'a,
        context: Arc<Ctx>,
    ) -> impl Stream<Item = Result<(ObjectRef<K>, Action), Error<E>>> + Send
    where
        ReconcilerFut: Future<Output = Result<Action, E>> + Send + 'static,
        Ctx: Send + Sync + 'a,
        E: std::error::Error + Send + 'static,
    {
        let name = self.name();
        let timeout = self.config.reconcile_timeout;
        let executor = Executor::new(reconciler, error_policy, context, self.dyntype).with_timeout(timeout);
        let limiter = self.limiter.unwrap_or_else(|| Box::new(self.config.failures));
        let dispatcher = Dispatcher::new(
            self.sources,
            self.gates,
            self.reader,
            executor,
            limiter,
            (&name, self.config),
            self.shutdown,
        )
        .with_deletions(Deletions::new(self.on_deletion));
        #[cfg(feature = "manager")]
        let dispatcher = dispatcher.with_inspection_requests(self.inspection_requests);
        dispatcher
    }
}

impl<K: Resource> fmt::Debug for Controller<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("kind", &K::kind(&self.dyntype))
            .field("sources", &self.sources.len())
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
