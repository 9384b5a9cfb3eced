//! `Sim`: the handle of a simulation.

mod builder;
mod calls;
mod control;
mod replay;
mod replica;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::controllers;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::server::service::SimService;
use crate::server::{Security, ServeError, Server, TlsFiles};
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::queue::Controller;
use crate::usage::Usage;

pub use builder::SimBuilder;
pub use control::ControlServer;
pub use replay::Difference;
pub use replica::Replica;

/// An in-process Kubernetes API server. Clones are handles of the same server.
///
/// All state is in memory. It is freed when the last handle, service and open watch are dropped.
///
/// # Examples
/// ```
/// use kube_sim::Sim;
/// use serde_json::json;
///
/// let sim = Sim::new();
/// sim.create(&json!({
///     "apiVersion": "v1", "kind": "ConfigMap",
///     "metadata": {"name": "hello"}, "data": {"a": "b"},
/// }))?;
/// let map = sim.get("v1", "ConfigMap", "default", "hello")?;
/// assert_eq!(map["data"]["a"], "b");
/// # Ok::<(), kube_sim::SimError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sim {
    inner: Arc<Inner>,
}

impl Default for Sim {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy of the storage of a simulation; see [`Sim::snapshot`].
#[derive(Clone, Debug)]
pub struct Snapshot {
    state: crate::store::snapshot::Snapshot,
}

impl Sim {
    /// A simulation with the default settings: a new cluster without nodes. It has the objects that an API server creates
    /// at its start: namespaces, priority classes, flow schemas, the service `kubernetes` with its endpoints and others;
    /// the README has the list. If a client lists the config maps or the leases of all namespaces, the response has one
    /// object of the namespace `kube-system`.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder with the default settings of a simulation.
    pub fn builder() -> SimBuilder {
        SimBuilder::new()
    }

    /// The simulation as a tower service, for use as the transport of a client. It requires no credentials.
    pub fn service(&self) -> SimService {
        SimService::new(self.inner.clone(), Arc::from([0]))
    }

    /// Listens for plain HTTP. Requests need no credentials. Port 0 selects a free port.
    ///
    /// # Errors
    /// When binding the address fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener.
    pub async fn serve_http(&self, addr: SocketAddr) -> Result<Server, ServeError> {
        Server::start(self.service(), addr, Security::Plain).await
    }

    /// Listens for HTTPS with certificates that are generated for this listener. Requests need a client certificate or
    /// the bearer token of the returned [`Server`], or the token of a service account. A request with invalid credentials
    /// gets 401. Without RBAC, a request without credentials gets 401, except at the health endpoints and `/version`. With
    /// RBAC, a request without credentials has the user `system:anonymous`. Port 0 selects a free port.
    ///
    /// Clients select HTTP/2 or HTTP/1.1 by ALPN. An HTTP/2 connection has at most 100 concurrent streams, as with
    /// kube-apiserver.
    ///
    /// # Errors
    /// When binding the address or generating the certificates fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener.
    pub async fn serve_https(&self, addr: SocketAddr) -> Result<Server, ServeError> {
        let server = Server::start(self.service(), addr, Security::Generated).await?;
        if let Some(authority) = server.ca_pem() {
            let mut state = self.inner.lock();
            controllers::client_ca::publish(&mut state, authority);
            controllers::publish_root_ca(&mut state, authority);
        }
        Ok(server)
    }

    /// Listens for HTTPS with the given certificates, for a client that cannot use generated ones. Requests need a
    /// client certificate that `files.client_ca` has signed, or the token of a service account. The responses to other
    /// requests are as with [`Self::serve_https`]. The common name of a certificate is the user, and its organizations are
    /// the groups of the user. The kubeconfig of the returned [`Server`] has no credentials.
    ///
    /// # Errors
    /// When a file has no usable certificate or key, or binding the address fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener.
    pub async fn serve_https_with(&self, addr: SocketAddr, files: &TlsFiles) -> Result<Server, ServeError> {
        let server = Server::start(self.service(), addr, Security::Files(files)).await?;
        if let Some(authorities) = &files.client_ca {
            let authorities = String::from_utf8_lossy(authorities);
            controllers::client_ca::publish(&mut self.inner.lock(), &authorities);
        }
        Ok(server)
    }

    /// Changes the delay of a controller, as [`SimBuilder::controller_delay`] sets it; `None` disables the controller.
    /// When a controller starts, it observes all existing objects.
    pub fn set_controller_delay(&self, controller: Controller, delay: Option<Duration>) {
        controllers::set_delay(&mut self.inner.lock(), controller, delay);
    }

    /// Whether a controller runs.
    pub(crate) fn runs_controller(&self, controller: Controller) -> bool {
        self.inner.lock().is_running(controller)
    }

    /// Sets the resources that a container uses, for the resource metrics API
    /// ([`SimBuilder::metrics_api`]); `None` restores the default. The pod need not exist.
    pub fn set_container_usage(&self, namespace: &str, pod: &str, container: &str, usage: Option<Usage>) {
        self.inner.lock_usages().set_container_usage([namespace, pod, container], usage);
    }

    /// Sets the resources that a node uses, as [`Self::set_container_usage`] does for a container.
    pub fn set_node_usage(&self, node: &str, usage: Option<Usage>) {
        self.inner.lock_usages().set_node_usage(node, usage);
    }

    /// Compacts the history before `version`: list requests and new watches with an earlier version get 410. Open watches
    /// continue, as they do in an API server when etcd is compacted; [`Sim::end_watches`] ends them.
    pub fn compact(&self, version: u64) {
        self.inner.lock().compact(version);
    }

    /// Compacts all changes up to the current version.
    pub fn compact_all(&self) {
        self.compact(u64::MAX);
    }

    /// Ends all open watches, as a graceful restart of an API server does. A watch can end before it has sent all
    /// events. A client that resumes its watch after [`Sim::compact_all`] gets 410.
    pub fn end_watches(&self) {
        self.inner.lock().end_watches();
    }

    /// Restarts the API server and all replicas: ends all open watches, and closes the connections of all listeners. A
    /// connection has at most one second to send the responses to its current requests. After a restart, the watch caches
    /// have no earlier changes: a watch from an earlier version gets 410, and a client has to list the objects again,
    /// although the store has kept its history.
    ///
    /// # Examples
    /// ```
    /// use http::Request;
    /// use http_body_util::{BodyExt as _, Full};
    /// use kube_sim::Sim;
    /// use serde_json::json;
    /// use tower::ServiceExt as _;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let sim = Sim::new();
    /// let version = sim.resource_version();
    /// sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}))?;
    /// sim.restart();
    /// let watch = format!("/api/v1/configmaps?watch=true&resourceVersion={version}");
    /// let response = sim.service().oneshot(Request::get(watch).body(Full::<bytes::Bytes>::default())?).await?;
    /// let event = response.into_body().collect().await?.to_bytes();
    /// assert!(event.starts_with(br#"{"type":"ERROR""#) && String::from_utf8_lossy(&event).contains("410"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restart(&self) {
        self.inner.restart();
    }

    /// Undoes the latest changes of the store, as a restore of etcd from an earlier backup does. `changes` is the number
    /// of changes to undo. Open watches behave as after [`Sim::restore`].
    ///
    /// # Errors
    /// 400 when the history no longer contains these changes ([`SimBuilder::history`]).
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    /// use serde_json::json;
    ///
    /// let sim = Sim::new();
    /// sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lost"}}))?;
    /// sim.rewind(1)?;
    /// assert!(sim.get("v1", "ConfigMap", "default", "lost").unwrap_err().is_not_found());
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn rewind(&self, changes: u64) -> Result<(), SimError> {
        self.inner.rewind(changes)?;
        // The restored CustomResourceDefinitions must be served before the next request.
        controllers::run(&mut self.inner.lock());
        Ok(())
    }

    /// Advances the clock by `time`. The simulation uses this clock for timestamps, for comparisons of
    /// timestamps with the current time, and for the age of fault rules. Controllers that wait for a time, such
    /// as the next run of a cron job, notice the change. Timers do not change, because they use tokio's
    /// clock. A timer determines when a delay of a controller ends, when a watch sends a bookmark, and when a
    /// watch ends.
    pub fn advance_clock(&self, time: Duration) {
        self.inner.clock.advance(SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX));
        controllers::reconcile_after_clock_jump(&mut self.inner.lock());
    }

    /// The current time of the simulation.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// A copy of the storage for [`Sim::restore`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { state: self.inner.lock().snapshot() }
    }

    /// Restores the objects, the history, the served CustomResourceDefinitions and the resource version from a
    /// snapshot of this simulation, as a restore of etcd from a backup does.
    ///
    /// Open watches stay open. If the version of a watch is higher than the restored resource version, the watch
    /// receives neither events nor bookmarks until the storage passes the version of the watch. It never receives the
    /// changes up to that version. A list at a version above the current resource version gets 504. A new watch that
    /// requests the initial list at a version above the current resource version ends with an `ERROR` event of code 504.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    /// use serde_json::json;
    ///
    /// let sim = Sim::new();
    /// let (backup, version) = (sim.snapshot(), sim.resource_version());
    /// sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "lost"}}))?;
    /// sim.restore(&backup);
    /// assert_eq!(sim.resource_version(), version);
    /// assert!(sim.get("v1", "ConfigMap", "default", "lost").is_err());
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn restore(&self, snapshot: &Snapshot) {
        self.inner.lock().restore(&snapshot.state);
    }

    /// The resource version of the latest change.
    pub fn resource_version(&self) -> u64 {
        self.inner.lock().version()
    }

    /// The journal of received requests.
    pub fn journal(&self) -> Journal {
        self.inner.journal.clone()
    }

    /// The fault rules of the simulation.
    pub fn faults(&self) -> Faults {
        self.inner.faults.clone()
    }

    /// The shared state, for tests of the handlers.
    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Sets whether a `WorkloadSimulator` simulates kubelets. If so, it also binds pods to nodes and removes terminating pods,
    /// and the controllers of the server do not.
    pub(crate) fn set_kubelets_simulated(&self, on: bool) {
        self.inner.lock().simulates_kubelets = on;
    }

    /// The current time of the simulation as `metav1.Time`.
    pub(crate) fn stamp(&self) -> String {
        self.inner.clock.stamp()
    }
}
