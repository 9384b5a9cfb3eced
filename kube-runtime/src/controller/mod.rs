//! `Controller`: brings what is to what is wanted, object by object.
//!
//! `source` turns changes into names of objects; the `dispatcher` owns all state and decides what runs when; the
//! `executor` runs reconciles. Only this layer uses the queue.

mod action;
mod config;
mod dispatcher;
mod error;
mod executor;
mod last;
mod named;
mod panic;
mod shutdown;
mod source;

pub use action::{Action, backoff_on_error};
pub use config::Config;
pub use error::Error;

use crate::reflector::{ObjectRef, Store, store};
use crate::watcher;
use dispatcher::Dispatcher;
use executor::Executor;
use futures::{Stream, StreamExt};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use shutdown::Shutdown;
use source::Source;
use std::{fmt, hash::Hash, sync::Arc};

/// Watches objects of one kind, and what they own, and calls a function for every one that may need work.
///
/// The function, the *reconciler*, gets the object in its latest known state and compares what is with what is wanted; it never
/// learns which change led to the call. It says with an [`Action`] when to be called again without a change.
///
/// What can be relied on:
///
/// - The reconciler never runs twice at the same time for one object. An object that changes meanwhile is reconciled once more
///   afterwards, however many changes there were.
/// - No more reconciles run at once than [`Config::concurrency`] says.
/// - Nothing runs before the present state of the kind is known.
/// - A reconciler begins on the controller's own task, and goes on as a task of its own when it first waits for something.
///   Where reconcilers compute for long before that, they are tasks from the beginning, and run in parallel.
/// - A reconciler that panics has failed: its object is tried again, and no other one is affected.
/// - Dropping the stream of [`run`](Controller::run) cancels everything that runs.
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
    sources: Vec<Source<K>>,
    reader: Store<K>,
    dyntype: K::DynamicType,
    config: Config,
    shutdown: Shutdown,
}

impl<K> Controller<K>
where
    K: Resource + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// For the objects that `main_api` gives access to, in as far as `wc` selects them.
    pub fn new(main_api: Api<K>, wc: watcher::Config) -> Self
    where
        K::DynamicType: Default,
    {
        Self::new_with(main_api, wc, K::DynamicType::default())
    }

    /// As [`new`](Controller::new), for kinds that are known only at run time.
    pub fn new_with(main_api: Api<K>, wc: watcher::Config, dyntype: K::DynamicType) -> Self {
        let (reader, writer) = store();
        Self {
            sources: vec![source::primary(main_api, wc, writer, dyntype.clone())],
            reader,
            dyntype,
            config: Config::default(),
            shutdown: Shutdown::default(),
        }
    }

    /// Sets how reconciles are run.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The present state of the controller's own kind.
    pub fn store(&self) -> Store<K> {
        self.reader.clone()
    }

    /// Reconciles an object also when something changes that it owns: an object of kind `Child` with an owner reference to it.
    ///
    /// Only the metadata of the children is asked for and kept. An owner is told, too, when it is taken off a child, and when
    /// a child vanished while the watch was interrupted. It may live in the child's namespace or in the cluster.
    #[must_use]
    pub fn owns<Child>(self, api: Api<Child>, wc: watcher::Config) -> Self
    where
        Child: Resource + 'static,
        Child::DynamicType: Send,
    {
        let dyntype = self.dyntype.clone();
        self.with_source(source::owned(api.into_metadata(), wc, dyntype))
    }

    /// Reconciles the objects that `mapper` names whenever an object of kind `Other` is new, changes or goes.
    ///
    /// The last state of every object of that kind is kept, and `mapper` is asked about it again when the object changes or
    /// vanishes, also unseen: the answer may depend on more than the object, such as an index. To keep little, watch an
    /// [`Object`](kube_client::core::Object) that names only what the mapper needs, or the metadata.
    ///
    /// The names are kept for as long as there is the object that they were given for: those are reconciled, too, whom it
    /// named before it changed, or before it vanished while the watch was interrupted.
    ///
    /// A mapper that panics fails for this object alone: the stream of [`run`](Controller::run) yields
    /// [`Error::MapperPanicked`]. The names that the mapper returned for the object before stay in force until it changes
    /// again or is deleted.
    #[must_use]
    pub fn watches<Other, I>(
        self,
        api: Api<Other>,
        wc: watcher::Config,
        mapper: impl Fn(Other) -> I + Send + 'static,
    ) -> Self
    where
        Other: Resource + DeserializeOwned + Clone + Send + 'static,
        I: IntoIterator<Item = ObjectRef<K>> + 'static,
        I::IntoIter: Send,
    {
        let dyntype = self.dyntype.clone();
        self.with_source(source::mapped(api, wc, dyntype, mapper))
    }

    /// Reconciles the objects that the stream names.
    #[must_use]
    pub fn reconcile_on(self, trigger: impl Stream<Item = ObjectRef<K>> + Send + 'static) -> Self {
        // Told with another version of the kind, an object would have a second key.
        let dyntype = self.dyntype.clone();
        let source = trigger.map(move |object| Ok(object.into_kind_unchecked(dyntype.clone())));
        self.with_source(source.boxed())
    }

    /// Reconciles all objects whenever the stream has an item.
    #[must_use]
    pub fn reconcile_all_on(self, trigger: impl Stream<Item = ()> + Send + 'static) -> Self {
        let source = source::everything(trigger, self.reader.clone(), self.dyntype.clone());
        self.with_source(source)
    }

    /// Shuts down in order when `trigger` is ready: the watches end, what waits is dropped, and what runs may finish within
    /// [`Config::drain_timeout`]; then the stream of [`run`](Controller::run) ends.
    #[must_use]
    pub fn graceful_shutdown_on(mut self, trigger: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        self.shutdown.on(trigger);
        self
    }

    /// Shuts down in order at the first interrupt or termination signal; at the second, what runs is cancelled.
    #[must_use]
    pub fn shutdown_on_signal(mut self) -> Self {
        self.shutdown.on_signal();
        self
    }

    /// Runs the controller for as long as the stream is polled: an item for every reconcile that has ended, and for every
    /// failure of a watch. All of them are only to be told; the controller goes on by itself.
    ///
    /// `error_policy` says what is next for an object whose reconcile has failed; [`backoff_on_error`] tries again after a wait
    /// that grows with each failure.
    ///
    /// The stream ends after a shutdown. It must be polled inside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the stream cancels every reconcile that runs.
    pub fn run<ReconcilerFut, Ctx, E>(
        self,
        reconciler: impl FnMut(Arc<K>, Arc<Ctx>) -> ReconcilerFut + Send + 'static,
        error_policy: impl Fn(Arc<K>, &E, Arc<Ctx>) -> Action + Send + 'static,
        context: Arc<Ctx>,
    ) -> impl Stream<Item = Result<(ObjectRef<K>, Action), Error<E>>> + Send
    where
        ReconcilerFut: Future<Output = Result<Action, E>> + Send + 'static,
        Ctx: Send + Sync + 'static,
        E: std::error::Error + Send + 'static,
    {
        let executor = Executor::new(reconciler, error_policy, context);
        Dispatcher::new(self.sources, self.reader, executor, self.config, self.shutdown)
    }

    fn with_source(mut self, source: Source<K>) -> Self {
        self.sources.push(source);
        self
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
