//! The parts of a manager: caches, controllers, tasks and the candidacy. Before `run`, the parts send no request.

use crate::controller::{Action, Controller, Error as ControllerError, Gate, Inspector};
use crate::informer::{Health, InformerEnd, SharedInformer};
use crate::leader::{InvalidConfig, LeaderElector, Leadership};
use crate::log_limit::LogLimit;
use crate::reflector::{Overview, Store};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use kube_client::{Client, Resource};
use serde::de::DeserializeOwned;
use std::{
    any::Any,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// A value that keeps the watch of an informer running. Dropping the value permits the watch to end.
pub(super) type WatchHold = Arc<dyn Any + Send + Sync>;

/// A type-erased handle to the store of an informer or a controller.
pub(super) struct ManagedStore {
    pub(super) name: String,
    store_address: usize,
    /// Starts the watch of an informer; `None` for the store of a controller.
    pub(super) hold_watch: Option<Box<dyn Fn() -> WatchHold + Send + Sync>>,
    pub(super) overview: Arc<dyn Fn() -> Overview + Send + Sync>,
    pub(super) ready: watch::Receiver<bool>,
    /// Whether the watch of an informer works; `None` for the store of a controller.
    pub(super) health: Option<watch::Receiver<Health>>,
}

impl ManagedStore {
    fn of_store<K: Send + Sync + 'static>(name: String, store: Store<K>) -> Self {
        let (store_address, ready) = (store.address(), store.readiness());
        Self {
            name,
            store_address,
            hold_watch: None,
            overview: Arc::new(move || store.overview()),
            ready,
            health: None,
        }
    }

    /// The store of a shared informer.
    pub(super) fn of_informer<K>(informer: &SharedInformer<K>) -> Self
    where
        K: Resource + DeserializeOwned + Send + Sync + 'static,
    {
        let cache = Self::of_store(informer.resource_url().to_owned(), informer.store());
        let informer = informer.clone();
        let health = Some(informer.health());
        Self { hold_watch: Some(Box::new(move || informer.hold_watch())), health, ..cache }
    }

    /// The store of a controller's own kind.
    pub(super) fn of_controller<K>(controller: &Controller<K>) -> Self
    where
        K: Resource + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone,
    {
        Self::of_store(controller.name(), controller.store())
    }

    /// The check of this cache for `/readyz`.
    pub(super) fn ready_check(&self) -> CacheCheck {
        let check = CacheCheck::new(self.name.clone(), self.ready.clone());
        CacheCheck { health: self.health.clone(), ..check }
    }

    /// Whether this cache and `other` have the same store.
    pub(super) fn has_same_store_as(&self, other: &Self) -> bool {
        self.store_address == other.store_address
    }

    /// If this cache has no watch, takes the watch, the name and the health of `other`, which has the same store.
    pub(super) fn merge(&mut self, other: Self) {
        if self.hold_watch.is_none() && other.hold_watch.is_some() {
            (self.name, self.hold_watch, self.health) = (other.name, other.hold_watch, other.health);
        }
    }
}

/// A check of `/readyz`: whether the first snapshot of a store is complete.
pub(super) struct CacheCheck {
    name: String,
    ready: watch::Receiver<bool>,
    health: Option<watch::Receiver<Health>>,
}

impl CacheCheck {
    fn new(name: String, ready: watch::Receiver<bool>) -> Self {
        Self { name, ready, health: None }
    }

    /// Whether this check and `other` are about the same store.
    pub(super) fn has_same_store_as(&self, other: &Self) -> bool {
        self.ready.same_channel(&other.ready)
    }

    /// The name of the check.
    pub(super) fn name(&self) -> String {
        format!("cache {}", self.name)
    }

    /// Runs the check. The error is the reason of the failure.
    pub(super) fn run(&self) -> Result<(), String> {
        if *self.ready.borrow() {
            return Ok(());
        }
        let failure = self.health.as_ref().and_then(|health| health.borrow().failure.clone());
        let reason = failure.map(|error| format!(": {}", text_with_causes(&error))).unwrap_or_default();
        Err(format!("the first list is not complete{reason}"))
    }
}

/// An error with its causes, on one line.
fn text_with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    text.replace(['\r', '\n'], " ")
}

/// The maximum number of logged failures that [`log_failures`] remembers. When a further failure is logged, the earlier
/// ones are forgotten, and may be logged again.
const MAX_REMEMBERED_FAILURES: usize = 16;

/// Logs the failures of an informer. Does not log a failure whose text it remembers, and forgets all texts when the watch
/// works again. When the watch has ended, returns the name of the informer and the reason of the end.
pub(super) async fn log_failures(name: String, mut health: watch::Receiver<Health>) -> (String, InformerEnd) {
    let mut logged: Vec<String> = Vec::new();
    loop {
        let Health { failure, ended } = health.borrow_and_update().clone();
        if let Some(reason) = ended {
            return (name, reason);
        }
        match failure.map(|error| text_with_causes(&error)) {
            None => logged.clear(),
            Some(cause) if logged.contains(&cause) => {}
            Some(cause) => {
                tracing::warn!(informer = name, "{cause}");
                if logged.len() == MAX_REMEMBERED_FAILURES {
                    logged.clear();
                }
                logged.push(cause);
            }
        }
        if health.changed().await.is_err() {
            // All users have dropped the informer, which is no failure. A return would stop the manager.
            return std::future::pending().await;
        }
    }
}

/// The maximum number of failures of a controller that are logged in a minute. The metrics count all failures.
const MAX_LOGGED_FAILURES_PER_MINUTE: u32 = 120;

/// Runs a controller until it ends. The argument receives the request for the graceful shutdown.
type RunController = Box<dyn FnOnce(oneshot::Receiver<()>) -> BoxFuture<'static, ()> + Send>;

/// A type-erased controller.
pub(super) struct ManagedController {
    name: String,
    /// One check for each store that the controller's reconciles wait for.
    pub(super) awaited: Vec<CacheCheck>,
    pub(super) inspector: Inspector,
    pub(super) run: RunController,
}

impl ManagedController {
    pub(super) fn new<K, Ctx, E, ReconcilerFut>(
        mut controller: Controller<K>,
        reconciler: impl FnMut(Arc<K>, Arc<Ctx>) -> ReconcilerFut + Send + 'static,
        error_policy: impl Fn(Arc<K>, &E, Arc<Ctx>) -> Action + Send + 'static,
        context: Arc<Ctx>,
    ) -> Self
    where
        K: Resource + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Send,
        Ctx: Send + Sync + 'static,
        E: std::error::Error + Send + 'static,
        ReconcilerFut: Future<Output = Result<Action, E>> + Send + 'static,
    {
        let (name, inspector) = (controller.name(), controller.create_inspector());
        let awaited = controller.awaited_stores().map(|(name, ready)| CacheCheck::new(name, ready)).collect();
        let controller_name = name.clone();
        let run = move |stop: oneshot::Receiver<()>| {
            let controller = controller.graceful_shutdown_on(stop.map(drop));
            let results = controller.run(reconciler, error_policy, context);
            let mut limit = LogLimit::new(MAX_LOGGED_FAILURES_PER_MINUTE, Duration::from_secs(60));
            let log = move |result: Result<_, ControllerError<E>>| {
                if let Err(error) = result
                    && let Some(suppressed) = limit.permit_message()
                {
                    if suppressed > 0 {
                        tracing::warn!(
                            controller = controller_name,
                            suppressed,
                            "further failures were not logged"
                        );
                    }
                    // The text is that of the user's error, whose `Display` may panic.
                    let text = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                    let text = text.unwrap_or_else(|_| "a failure whose text panics".to_owned());
                    tracing::warn!(controller = controller_name, "{text}");
                }
                std::future::ready(())
            };
            results.for_each(log).boxed()
        };
        Self { name, awaited, inspector, run: Box::new(run) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// A task that the program adds with [`Manager::task`](super::Manager::task).
pub(super) struct Task {
    pub(super) name: String,
    pub(super) future: BoxFuture<'static, ()>,
}

/// The candidacy for the leadership.
pub(super) struct Candidacy {
    pub(super) leadership: Leadership,
    pub(super) lease: String,
    /// Tells the task of the election to start its first attempt.
    begin: oneshot::Sender<()>,
}

impl Candidacy {
    pub(super) fn new(elector: LeaderElector) -> Result<Self, InvalidConfig> {
        let lease = elector.lease_name().to_owned();
        let (begin, start) = oneshot::channel::<()>();
        // Ignore the error of `start`. It means that the candidacy was dropped without `begin`. The drop also aborts
        // the task of the election.
        let leadership = elector.start_after(async { drop(start.await) })?;
        Ok(Self { leadership, lease, begin })
    }

    pub(super) fn gate(&self) -> Gate {
        self.leadership.gate()
    }

    pub(super) fn client(&self) -> Client {
        self.leadership.client()
    }

    /// Makes this process a candidate. Returns the leadership and the name of the lease.
    pub(super) fn begin(self) -> (Leadership, String) {
        // The error means that the election has ended.
        let _ = self.begin.send(());
        (self.leadership, self.lease)
    }
}
