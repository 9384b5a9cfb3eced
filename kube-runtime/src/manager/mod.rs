//! `Manager`: runs the controllers, caches and tasks of a program, its leader election and its HTTP server.
//!
//! `run` starts and stops the parts in order, `server` answers requests, `page` renders the status page, and
//! `metrics_recorder` installs the recorder of metrics. `access` authenticates and authorizes requests. Only `run` may
//! start tasks. The exception is the task of the election, which waits until `run` calls `Candidacy::begin`.

mod access;
mod checks;
mod error;
mod metrics_recorder;
mod page;
mod parts;
mod review;
mod run;
mod server;
#[cfg(test)]
mod tests;
mod webhooks;

pub use crate::serving::CertificateError;
pub use error::Error;

use crate::controller::{Action, Controller};
use crate::informer::{SharedInformer, SharedInformers};
use crate::leader::{InvalidConfig, LeaderElector};
use crate::watcher;
use access::AccessFilter;
use checks::Checks;
use futures::future::{BoxFuture, FutureExt};
use kube_client::{Api, Client, Resource};
use parts::{Candidacy, ManagedController, ManagedStore, Task};
use serde::de::DeserializeOwned;
use server::Listeners;
use std::{fmt, hash::Hash, net::SocketAddr, path::Path, sync::Arc};
use webhooks::Webhooks;

/// Runs the controllers of a program, like controller-runtime's manager.
///
/// The manager owns the controllers, the shared informers, the leader election and an HTTP server, and handles signals.
/// The paths of the server:
///
/// | path | content |
/// |---|---|
/// | `/metrics` | metrics in the text format of Prometheus |
/// | `/healthz` | 200 while the program works; see [`health_check`](Manager::health_check) |
/// | `/readyz` | 200 when all caches are complete; see [`ready_check`](Manager::ready_check) |
/// | `/` | a status page: caches, queues, running reconciles, stuck objects, and the lease |
///
/// If a check fails, the path answers 503 and lists all checks. With `?verbose`, each answer lists all checks.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, ResourceExt};
/// use kube_runtime::controller::{self, Action};
/// use kube_runtime::leader::LeaderElector;
/// use kube_runtime::{Controller, Manager, watcher};
/// use std::{convert::Infallible, sync::Arc, time::Duration};
///
/// async fn reconcile(namespace: Arc<Namespace>, _: Arc<Client>) -> Result<Action, Infallible> {
///     println!("reconciling {}", namespace.name_any());
///     Ok(Action::await_change())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let elector = LeaderElector::new(client.clone(), "default", "my-operator", "my-pod");
/// let mut manager = Manager::elected(elector)?.listen("127.0.0.1:0")?;
/// // This client refuses writes after the leadership is lost.
/// let context = Arc::new(manager.client());
/// let namespaces = Controller::new(Api::<Namespace>::all(client), watcher::Config::default());
/// manager.controller(namespaces, reconcile, controller::backoff_on_error, context);
/// // Without `shutdown_on`, the manager runs until SIGINT or SIGTERM.
/// manager.shutdown_on(tokio::time::sleep(Duration::from_secs(1))).run().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Order
///
/// Start: the HTTP server; the webhooks (the API server may call the conversion webhook before it answers a list); the
/// [shared informers](Manager::informer), until their first lists are complete; the [tasks](Manager::task); the
/// controllers, which fill their stores and queues; then the leader election. A controller starts reconciles when its
/// stores are complete and this process is the leader. A standby fills its stores in advance, and then takes over at once.
///
/// Stop, at SIGINT or SIGTERM: the tasks; the controllers, whose in-flight reconciles may end within
/// [`Config::drain_timeout`](crate::controller::Config::drain_timeout); the informers; the webhooks; the HTTP server;
/// finally the release of the lease. A second signal cancels in-flight reconciles. A loss of the leadership cancels
/// in-flight reconciles at once, even during the shutdown.
///
/// # Security
///
/// The server listens on 127.0.0.1:8080 by default, so that only processes of the pod and `kubectl port-forward` can
/// connect. Kubelets need the probes on another address: [`listen_for_probes`](Manager::listen_for_probes) serves only
/// the probes, without TLS. The page and the metrics contain names of objects and collections. To serve them to
/// Prometheus on an address of the pod, use [`listen`](Manager::listen) with
/// [`with_certificate_files`](Manager::with_certificate_files) and
/// [`with_authentication_and_authorization`](Manager::with_authentication_and_authorization).
#[must_use = "a manager does nothing before `run`"]
pub struct Manager {
    client: Client,
    /// The client with which the HTTP server sends reviews (`TokenReview` and `SubjectAccessReview`). The
    /// fence does not apply to this client: each replica sends reviews.
    reviewer: Client,
    candidacy: Option<Candidacy>,
    informers: SharedInformers,
    caches: Vec<ManagedStore>,
    controllers: Vec<ManagedController>,
    tasks: Vec<Task>,
    checks: Checks,
    listeners: Listeners,
    webhooks: Webhooks,
    /// The manager shuts down when this future completes. With `None`, it shuts down at SIGINT or SIGTERM.
    shutdown: Option<BoxFuture<'static, ()>>,
}

impl Manager {
    /// A manager without a leader election: each replica of the program reconciles.
    pub fn new(client: Client) -> Self {
        Self {
            reviewer: client.clone(),
            client,
            candidacy: None,
            informers: SharedInformers::default(),
            caches: Vec::new(),
            controllers: Vec::new(),
            tasks: Vec::new(),
            checks: Checks::default(),
            listeners: Listeners::default(),
            webhooks: Webhooks::default(),
            shutdown: None,
        }
    }

    /// A manager whose controllers reconcile only while this process is the leader.
    ///
    /// # Errors
    ///
    /// If the timings of the election are invalid; see [`Config::validate`](crate::leader::Config::validate).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn elected(elector: LeaderElector) -> Result<Self, InvalidConfig> {
        let reviewer = elector.client();
        let candidacy = Candidacy::new(elector)?;
        let client = candidacy.client();
        Ok(Self { reviewer, candidacy: Some(candidacy), ..Self::new(client) })
    }

    /// The client for reconciles. With an election, the client sends writes only while this process is the leader; see
    /// [`Leadership::client`](crate::leader::Leadership::client).
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Serves all paths on `address`, instead of 127.0.0.1:8080. Port 0 selects a free port. This method binds the
    /// address; [`run`](Manager::run) accepts the connections.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the address is invalid or in use.
    pub fn listen(mut self, address: &str) -> Result<Self, Error> {
        self.listeners.bind_for_all_paths(address)?;
        Ok(self)
    }

    /// Serves `/healthz` and `/readyz` on a further address, such as `0.0.0.0:8081` for the probes of a kubelet.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the address is invalid or in use.
    pub fn listen_for_probes(mut self, address: &str) -> Result<Self, Error> {
        self.listeners.bind_for_probes(address)?;
        Ok(self)
    }

    /// Uses TLS (1.2 and 1.3) on the address that serves all paths; see [`listen`](Manager::listen). `certificate` is a
    /// PEM file with the certificate and its chain, and `key` is a PEM file with the private key, such as `tls.crt` and
    /// `tls.key` of a mounted secret. This method reads the files, and blocks the thread meanwhile. New connections read
    /// the files again, at most every 10 s. While the files cannot be used, the previous certificate stays in use, and a
    /// warning names the reason.
    ///
    /// The cryptography is that of [`crypto_provider`](kube_client::client::crypto_provider).
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`] if a file cannot be read or used, or the key does not belong to the certificate.
    pub fn with_certificate_files(
        mut self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        self.listeners.load_certificate(certificate.as_ref(), key.as_ref())?;
        Ok(self)
    }

    /// Serves the content only to users with permission, like controller-runtime's
    /// `filters.WithAuthenticationAndAuthorization`. Applies to the address that serves all paths; see
    /// [`listen`](Manager::listen). The probes need no permission.
    ///
    /// A `TokenReview` authenticates the bearer token of the request. A `SubjectAccessReview` decides whether the user of
    /// the token may use the verb, such as `get`, on the path as a non-resource URL:
    ///
    /// ```yaml
    /// apiVersion: rbac.authorization.k8s.io/v1
    /// kind: ClusterRole
    /// metadata: {name: metrics-reader}
    /// rules: [{nonResourceURLs: [/metrics], verbs: [get]}]
    /// ```
    ///
    /// | answer | reason |
    /// |---|---|
    /// | 401 | no bearer token, or a token that the API server rejects (controller-runtime answers 500 to such a token) |
    /// | 403 | the user does not have the permission |
    /// | 500 | a review failed, or took longer than 10 s |
    ///
    /// Verdicts on tokens are cached for a minute, permissions for five minutes, and denials for 30 s, as in
    /// controller-runtime. A failed review is not cached. The cache is bounded, and contains digests instead of tokens.
    ///
    /// The reviews use the client of [`new`](Manager::new) or of the elector, and need the verb `create` for
    /// `tokenreviews` and `subjectaccessreviews` (the cluster role `system:auth-delegator`). Use TLS, too: without it,
    /// the tokens are readable on the network.
    pub fn with_authentication_and_authorization(mut self) -> Self {
        self.listeners.access = Some(AccessFilter::new(self.reviewer.clone()));
        self
    }

    /// Serves neither on 127.0.0.1:8080 nor on the address of an earlier [`listen`](Manager::listen).
    /// [`listen_for_probes`](Manager::listen_for_probes) still applies.
    pub fn without_server(mut self) -> Self {
        self.listeners.disable_except_probes();
        self
    }

    /// The address that [`listen`](Manager::listen) has bound; `None` before that call, and after
    /// [`without_server`](Manager::without_server).
    pub fn address(&self) -> Option<SocketAddr> {
        self.listeners.address()
    }

    /// The address that [`listen_for_probes`](Manager::listen_for_probes) has bound; `None` before that call.
    pub fn probe_address(&self) -> Option<SocketAddr> {
        self.listeners.probe_address()
    }

    /// Answers `/metrics` with the text that `render` returns. Call this method in a program that installs its own
    /// recorder of metrics. Without this call, a manager that serves `/metrics` installs a recorder, and all managers of
    /// the process share that recorder.
    pub fn render_metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.listeners.render = Some(Arc::new(render));
        self
    }

    /// Shuts down when `trigger` completes, instead of at SIGINT or SIGTERM.
    pub fn shutdown_on(mut self, trigger: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Some(trigger.boxed());
        self
    }

    /// The shared informer of a collection; see [`SharedInformers::informer`]. The manager starts the informer's watch
    /// and keeps the watch running.
    pub fn informer<K>(&mut self, api: Api<K>, config: watcher::Config) -> SharedInformer<K>
    where
        K: Resource + DeserializeOwned + Send + Sync + 'static,
    {
        let informer = self.informers.informer(api, config);
        self.add_cache(ManagedStore::of_informer(&informer));
        informer
    }

    /// Adds a controller; the arguments are those of [`Controller::run`]. The manager logs the failures of the
    /// controller. With an election, the controller reconciles only while this process is the leader.
    pub fn controller<K, Ctx, E, ReconcilerFut>(
        &mut self,
        controller: Controller<K>,
        reconciler: impl FnMut(Arc<K>, Arc<Ctx>) -> ReconcilerFut + Send + 'static,
        error_policy: impl Fn(Arc<K>, &E, Arc<Ctx>) -> Action + Send + 'static,
        context: Arc<Ctx>,
    ) where
        K: Resource + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Send,
        Ctx: Send + Sync + 'static,
        E: std::error::Error + Send + 'static,
        ReconcilerFut: Future<Output = Result<Action, E>> + Send + 'static,
    {
        let controller = match &self.candidacy {
            Some(candidacy) => controller.with_gate(candidacy.gate()),
            None => controller,
        };
        self.controller_on_every_replica(controller, reconciler, error_policy, context);
    }

    /// Like [`controller`](Manager::controller), for a controller that also reconciles while this process is not the
    /// leader. Its reconciler must not use [`Manager::client`] for writes.
    pub fn controller_on_every_replica<K, Ctx, E, ReconcilerFut>(
        &mut self,
        controller: Controller<K>,
        reconciler: impl FnMut(Arc<K>, Arc<Ctx>) -> ReconcilerFut + Send + 'static,
        error_policy: impl Fn(Arc<K>, &E, Arc<Ctx>) -> Action + Send + 'static,
        context: Arc<Ctx>,
    ) where
        K: Resource + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Send,
        Ctx: Send + Sync + 'static,
        E: std::error::Error + Send + 'static,
        ReconcilerFut: Future<Output = Result<Action, E>> + Send + 'static,
    {
        self.add_cache(ManagedStore::of_controller(&controller));
        self.controllers.push(ManagedController::new(controller, reconciler, error_policy, context));
    }

    /// Adds a task that starts on each replica when the first lists of the shared informers are complete. The manager
    /// cancels the task at the shutdown. If the task ends earlier, the manager continues; a panic is logged.
    pub fn task(&mut self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(Task { name: name.to_owned(), future: task.boxed() });
    }

    /// Adds a server of webhooks. Each replica of the program serves the webhooks: the manager starts the server before
    /// the first lists, and stops it after the last reconcile.
    #[cfg(feature = "webhook")]
    pub fn webhooks(&mut self, server: crate::webhook::Server) {
        self.webhooks.servers.push(server);
    }

    /// Adds a check to `/healthz`. The kubelet restarts a container whose liveness probe fails: check only what a
    /// restart repairs. The error of `check` is the reason in the answer. The check must not block. If
    /// the check panics, it fails.
    pub fn health_check(
        &mut self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.checks.add_health_check(name, check);
    }

    /// Adds a check to `/readyz`. The error of `check` is the reason in the answer. The check must not block.
    /// If the check panics, it fails.
    pub fn ready_check(
        &mut self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.checks.add_ready_check(name, check);
    }

    /// Adds a cache, or merges it into the cache with the same store.
    fn add_cache(&mut self, cache: ManagedStore) {
        match self.caches.iter_mut().find(|known| known.has_same_store_as(&cache)) {
            Some(known) => known.merge(cache),
            None => self.caches.push(cache),
        }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let controllers: Vec<_> = self.controllers.iter().map(ManagedController::name).collect();
        f.debug_struct("Manager")
            .field("controllers", &controllers)
            .field("caches", &self.caches.len())
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}
