//! `Sim`: the handle of a simulation, its builder, and direct calls of the handlers for tests and for `Workload`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::{Clock, Random};
use crate::fault::Faults;
use crate::handler;
use crate::handler::reply::{Content, Request};
use crate::journal::Journal;
use crate::server::service::SimService;
use crate::server::{ServeError, Server};
use crate::shared::{Inner, Settings, WatchList};
use crate::status::SimError;
use crate::store::State;
use crate::store::queue::Controller;
use crate::workload::objects;

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

/// Settings of a new simulation; see [`Sim::builder`].
#[derive(Clone, Debug)]
pub struct SimBuilder {
    seed: u64,
    history: usize,
    bookmark_interval: Duration,
    watch_list: WatchList,
    start: Option<Timestamp>,
    nodes: usize,
    namespaces: Vec<String>,
    delays: Vec<(Controller, Option<Duration>)>,
}

impl SimBuilder {
    /// The seed of uids, generated names and jitter; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The number of changes that the history keeps for each resource; 4096 by default. Older changes are compacted.
    pub fn history(mut self, changes: usize) -> Self {
        self.history = changes;
        self
    }

    /// The interval between the bookmarks of a watch that requests bookmarks; one minute by default, at least one
    /// millisecond.
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.bookmark_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How the server handles watches that request the initial list (`sendInitialEvents`).
    pub fn watch_list(mut self, watch_list: WatchList) -> Self {
        self.watch_list = watch_list;
        self
    }

    /// Timestamps start at this time and advance with tokio's clock, so that a run is reproducible. The default is the
    /// system clock.
    pub fn start_time(mut self, start: Timestamp) -> Self {
        self.start = Some(start);
        self
    }

    /// The number of ready nodes that exist at the start, named `node-0` and so on; none by default.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds a namespace that exists at the start.
    pub fn namespace(mut self, name: &str) -> Self {
        self.namespaces.push(name.to_owned());
        self
    }

    /// The time from a change to the reaction of this controller; zero by default. With zero, no request can see the
    /// state between a write and the changes of the controller that follow it. In a cluster, a controller lags: with a
    /// delay, a deleted namespace stays `Terminating`, and the dependents of a deleted owner exist for this time.
    ///
    /// [`Controller::Kubelet`] adds the time in which a container stops, at most one second.
    /// [`Controller::GarbageCollector`] adds one second if an object is written whose owners do not exist.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// use kube_sim::{Controller, Sim};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let lag = Duration::from_secs(5);
    /// let sim = Sim::builder().namespace("x").controller_delay(Controller::Namespace, lag).build();
    /// let deleted = sim.delete("v1", "Namespace", "", "x")?;
    /// assert_eq!(deleted["status"]["phase"], "Terminating");
    /// tokio::time::advance(lag).await;
    /// assert!(sim.get("v1", "Namespace", "", "x").unwrap_err().is_not_found());
    /// # Ok::<(), kube_sim::SimError>(())
    /// # })?;
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn controller_delay(mut self, controller: Controller, delay: Duration) -> Self {
        self.delays.push((controller, Some(delay)));
        self
    }

    /// Disables a controller. An API server without a controller manager and nodes runs only
    /// [`Controller::CustomResourceDefinition`]: the dependents of deleted owners stay, deleted namespaces stay
    /// `Terminating`, and so do deleted pods that are on a node.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::{Controller, Sim};
    ///
    /// let sim = Sim::builder().namespace("x").without_controller(Controller::Namespace).build();
    /// sim.delete("v1", "Namespace", "", "x")?;
    /// let namespace = sim.get("v1", "Namespace", "", "x")?;
    /// assert_eq!(namespace["status"]["phase"], "Terminating");
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn without_controller(mut self, controller: Controller) -> Self {
        self.delays.push((controller, None));
        self
    }

    /// Starts the simulation.
    ///
    /// # Panics
    /// When the name of a namespace is invalid.
    #[expect(
        clippy::expect_used,
        clippy::panic,
        reason = "documented for invalid names; the built-in objects are constants"
    )]
    pub fn build(self) -> Sim {
        let clock = self.start.map_or(Clock::Wall, Clock::fixed);
        let mut state = State::new(clock, self.history);
        for (controller, delay) in self.delays {
            state.set_delay(controller, delay);
        }
        let settings = Settings { watch_list: self.watch_list, bookmark_interval: self.bookmark_interval };
        let sim = Sim { inner: Arc::new(Inner::new(state, Random::seeded(self.seed), settings)) };
        for name in SYSTEM_NAMESPACES.into_iter().chain(self.namespaces.iter().map(String::as_str)) {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            match sim.create(&namespace) {
                Err(e) if !e.is_already_exists() => panic!("creating namespace {name:?}: {e}"),
                _ => {}
            }
        }
        sim.create(&kubernetes_service()).expect("the service is a valid constant");
        for i in 0..self.nodes {
            let now = clock.stamp();
            sim.create(&objects::node(&format!("node-{i}"), i, &now)).expect("the generated node is valid");
        }
        sim
    }
}

/// The namespaces that every cluster has.
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The service `kubernetes`, through which pods reach the API server.
fn kubernetes_service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    })
}

impl Sim {
    /// A simulation with the default settings: a new cluster without nodes.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Settings for a simulation.
    pub fn builder() -> SimBuilder {
        SimBuilder {
            seed: 0,
            history: 4096,
            bookmark_interval: Duration::from_secs(60),
            watch_list: WatchList::Offered,
            start: None,
            nodes: 0,
            namespaces: Vec::new(),
            delays: Vec::new(),
        }
    }

    /// The simulation as a tower service, for use as the transport of a client. It requires no credentials.
    pub fn service(&self) -> SimService {
        SimService::new(self.inner.clone())
    }

    /// Listens for plain HTTP without authentication. Port 0 selects a free port.
    ///
    /// # Errors
    /// When binding the address fails.
    ///
    /// # Cancel safety
    /// Dropping the future closes the listener.
    pub async fn serve_http(&self, addr: SocketAddr) -> Result<Server, ServeError> {
        Server::start(self.service(), addr, false).await
    }

    /// Listens for HTTPS with certificates that are generated for this listener. Requests need the client certificate
    /// or the bearer token of the returned [`Server`]; others get 401. Port 0 selects a free port.
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
        Server::start(self.service(), addr, true).await
    }

    /// Compacts the history before `version`: lists and new watches with an earlier version get 410. Open watches
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

    /// A copy of the storage for [`Sim::restore`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { state: self.inner.lock().snapshot() }
    }

    /// Restores the objects, the history, the served CustomResourceDefinitions and the resource version from a
    /// snapshot of this simulation, as a restore of etcd from a backup does.
    ///
    /// Open watches stay open. If the version of a watch is higher than the restored resource version, the watch
    /// receives neither events nor bookmarks until the storage passes the version of the watch. It never receives the
    /// changes up to that version. A list at a version above the resource version gets 504. A new watch that requests
    /// the initial list at such a version ends with an `ERROR` event of code 504.
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

    /// The URL path of the collection of a kind.
    fn collection_path(&self, api_version: &str, kind: &str, namespace: &str) -> Result<String, SimError> {
        let found = self.inner.lock().registry.find_kind(api_version, kind);
        let resource = found.ok_or_else(|| {
            SimError::bad_request(format!("no kind \"{kind}\" of apiVersion \"{api_version}\" is served"))
        })?;
        let root = if resource.group.is_empty() { "/api" } else { "/apis" };
        let scope = match (resource.namespaced, namespace) {
            (false, _) | (true, "") => String::new(),
            (true, namespace) => format!("/namespaces/{namespace}"),
        };
        Ok(format!("{root}/{}{scope}/{}", resource.api_version, resource.plural))
    }

    /// The URL path of the collection of an object, or of the object itself if `named` is set.
    fn object_path(&self, object: &Value, named: bool) -> Result<String, SimError> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let meta = &object["metadata"];
        let namespace = match meta["namespace"].as_str() {
            Some(namespace) if !namespace.is_empty() => namespace,
            _ => "default",
        };
        let mut path =
            self.collection_path(&text(&object["apiVersion"]), &text(&object["kind"]), namespace)?;
        if named {
            path.push('/');
            path.push_str(meta["name"].as_str().unwrap_or_default());
        }
        Ok(path)
    }

    /// Handles one request like that of a client, but ignores the fault rules and does not add the request to the
    /// journal. Returns the JSON of the response body, or a string if the body is text.
    ///
    /// `path` can contain a query. For a patch, `content_type` selects the type of the patch.
    ///
    /// # Errors
    /// The `Status` of a response that is not 2xx; 400 for a watch.
    pub fn request(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Value, SimError> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let request = Request {
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            accept: String::new(),
            content_type: content_type.to_owned(),
            user_agent: "kube-sim".into(),
            user: "system:admin".into(),
            body: if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) },
        };
        let reply = handler::handle(&self.inner, &request)?;
        let mut text = Vec::new();
        match reply.content {
            Content::Whole(bytes) => text.extend_from_slice(&bytes),
            Content::Pieces(pieces, _) => pieces.for_each(|p| text.extend_from_slice(&p)),
            Content::Watch(_) => {
                return Err(SimError::bad_request("a watch is not supported here: use Sim::service"));
            }
        }
        let value = serde_json::from_slice(&text)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&text).into_owned()));
        if reply.code.is_success() {
            return Ok(value);
        }
        Err(SimError::new(reply.code, "", value.as_str().unwrap_or_default().trim()))
    }

    /// Creates an object. The namespace of a namespaced kind defaults to `default`.
    ///
    /// # Errors
    /// The `Status` with which the server refuses the request.
    pub fn create(&self, object: &Value) -> Result<Value, SimError> {
        let path = self.object_path(object, false)?;
        self.request(&Method::POST, &path, "application/json", object)
    }

    /// Replaces an object. If `object` has a resource version, it must be the current one.
    ///
    /// # Errors
    /// The `Status` with which the server refuses the request.
    pub fn update(&self, object: &Value) -> Result<Value, SimError> {
        let path = self.object_path(object, true)?;
        self.request(&Method::PUT, &path, "application/json", object)
    }

    /// Replaces the status of an object.
    ///
    /// # Errors
    /// The `Status` with which the server refuses the request.
    pub fn update_status(&self, object: &Value) -> Result<Value, SimError> {
        let path = format!("{}/status", self.object_path(object, true)?);
        self.request(&Method::PUT, &path, "application/json", object)
    }

    /// Returns one object; `namespace` is empty for a cluster-scoped kind.
    ///
    /// # Errors
    /// 404 when the object does not exist, 400 when the kind is not served.
    pub fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, SimError> {
        let path = format!("{}/{name}", self.collection_path(api_version, kind, namespace)?);
        self.request(&Method::GET, &path, "", &Value::Null)
    }

    /// Lists the objects of a kind in a namespace, or in all namespaces if `namespace` is empty.
    ///
    /// # Errors
    /// 400 when the kind is not served.
    pub fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<Value>, SimError> {
        let path = self.collection_path(api_version, kind, namespace)?;
        let mut list = self.request(&Method::GET, &path, "", &Value::Null)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// Deletes one object with the default propagation policy of its kind.
    ///
    /// # Errors
    /// 404 when the object does not exist, 400 when the kind is not served.
    pub fn delete(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, SimError> {
        let path = format!("{}/{name}", self.collection_path(api_version, kind, namespace)?);
        self.request(&Method::DELETE, &path, "", &Value::Null)
    }

    /// The shared state, for tests of the handlers.
    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Sets whether a `Workload` simulates kubelets. If so, the simulated kubelets remove terminating pods, and the
    /// server does not.
    pub(crate) fn set_kubelets_simulated(&self, on: bool) {
        self.inner.lock().kubelet = on;
    }

    /// The current time of the simulation as `metav1.Time`.
    pub(crate) fn stamp(&self) -> String {
        self.inner.clock.stamp()
    }
}
