//! Settings of a new simulation, and the objects that exist at its start.

mod handlers;
mod network;
mod system_objects;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use self::network::Network;
use super::Sim;
use crate::admission_plugin::AdmissionPlugin;
use crate::clock::{Clock, Random};
use crate::containers::Handlers;
use crate::shared_state::{Inner, ServiceAddress, Settings, WatchList};
use crate::store::State;
use crate::store::queue::Controller;
use crate::workload::objects;

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
    workloads: bool,
    delays: Vec<(Controller, Option<Duration>)>,
    plugins: Vec<(AdmissionPlugin, bool)>,
    handlers: Handlers,
    services: Vec<ServiceAddress>,
    network: Network,
    body_limit: Option<usize>,
    rbac: bool,
    metrics: bool,
}

impl SimBuilder {
    pub(super) fn new() -> Self {
        Self {
            seed: 0,
            history: 4096,
            bookmark_interval: Duration::from_secs(60),
            watch_list: WatchList::Offered,
            start: None,
            nodes: 0,
            namespaces: Vec::new(),
            workloads: false,
            delays: Vec::new(),
            plugins: Vec::new(),
            handlers: Handlers::default(),
            services: Vec::new(),
            network: Network::default(),
            body_limit: None,
            rbac: false,
            metrics: false,
        }
    }

    /// Sets the seed of uids, generated names, the random timeouts of watches, and fault rules; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the number of changes that the history keeps for each resource; 4096 by default. Older changes are compacted.
    pub fn history(mut self, changes: usize) -> Self {
        self.history = changes;
        self
    }

    /// Sets the interval between the bookmarks of a watch that requests bookmarks: at least one millisecond, and one
    /// minute by default.
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.bookmark_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets the handling of watches that request the initial list (`sendInitialEvents`).
    pub fn watch_list(mut self, watch_list: WatchList) -> Self {
        self.watch_list = watch_list;
        self
    }

    /// Sets the time at which the clock of the simulation starts. The clock then advances with tokio's clock, so that a
    /// run is reproducible. Without a start time, the simulation uses the system clock.
    pub fn start_time(mut self, start: Timestamp) -> Self {
        self.start = Some(start);
        self
    }

    /// Records the bodies of requests and responses in the journal, at most `limit` bytes of each body. All bodies
    /// together take at most 256 MiB. This option also records the requests that a test sends through methods of
    /// [`Sim`]. By default, the journal has neither these requests nor bodies.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    ///
    /// let sim = Sim::builder().record_bodies(1024).build();
    /// sim.get("v1", "Namespace", "", "default")?;
    /// let recorded = sim.journal().entries().remove(0).response_body.unwrap();
    /// assert!(recorded.content.starts_with(b"{\"kind\":\"Namespace\"") && !recorded.truncated);
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn record_bodies(mut self, limit: usize) -> Self {
        self.body_limit = Some(limit);
        self
    }

    /// Sets the number of ready nodes that exist at the start; 0 by default. Their names are `node-0`, `node-1` and so on.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Adds a namespace that exists at the start.
    pub fn namespace(mut self, name: &str) -> Self {
        self.namespaces.push(name.to_owned());
        self
    }

    /// Runs all controllers ([`Controller::ALL`]): those of kube-controller-manager, a scheduler, and replacements for
    /// the kubelets. For example, a deployment then gets replica sets and pods. The pods are bound to the
    /// nodes of the simulation, run, and become ready. A new namespace gets its service account and its
    /// `kube-root-ca.crt`. By default, only the controllers in `Controller::BASIC` run, because in a test of
    /// a single controller, more controllers would create more objects.
    ///
    /// With delays of zero, the complete rollout of a deployment is done when the request that causes it returns.
    /// Watches receive an event for each intermediate write. The controllers call no admission webhooks.
    ///
    /// Pods become ready when they are bound, and the pods of jobs succeed. The following annotations of a pod change
    /// this behavior. Only kube-sim reads these annotations. They can be added while the pod runs:
    ///
    /// | annotation | value |
    /// |---|---|
    /// | `kube-sim/ready-after` | the time until the pod is ready, such as `5s`, or `never` |
    /// | `kube-sim/exit-after` | the time until the containers exit, or `never`; `0s` by default for pods of jobs and pods with an exit code |
    /// | `kube-sim/exit-code` | the exit code of the containers, from 0 to 255; 0 by default |
    ///
    /// If the restart policy restarts the containers, the restarts happen after 10 s, 20 s and so on
    /// (`CrashLoopBackOff`).
    ///
    /// The config map `kube-root-ca.crt` exists only after a listener with a generated certificate has
    /// started ([`Sim::serve_https`]).
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    /// use serde_json::json;
    ///
    /// let sim = Sim::builder().nodes(2).workloads().build();
    /// sim.create(&json!({
    ///     "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
    ///     "spec": {
    ///         "replicas": 3,
    ///         "selector": {"matchLabels": {"app": "web"}},
    ///         "template": {
    ///             "metadata": {"labels": {"app": "web"}},
    ///             "spec": {"containers": [{"name": "main", "image": "web:1"}]},
    ///         },
    ///     },
    /// }))?;
    /// let web = sim.get("apps/v1", "Deployment", "default", "web")?;
    /// assert_eq!(web["status"]["availableReplicas"], 3);
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn workloads(mut self) -> Self {
        self.workloads = true;
        self
    }

    /// Sets the time from a change to the reaction of this controller; zero by default. Starts the controller if it does
    /// not run by default. Without a delay, the controller reacts before a request returns, so that no request sees the
    /// state before the reaction. With a delay, the controller lags as in a cluster. For example, a deleted namespace
    /// stays `Terminating` for this time, and the dependents of a deleted owner still exist.
    ///
    /// [`Controller::Kubelet`] adds the time in which a container stops, at most one second.
    /// [`Controller::GarbageCollector`] adds one second for an object whose owners do not exist when it is written.
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

    /// Disables a controller. To simulate an API server without a controller manager and without nodes, disable all
    /// controllers except [`Controller::CustomResourceDefinition`]. Then the dependents of deleted owners stay in the
    /// store, and deleted namespaces and deleted pods that are bound to a node stay `Terminating`.
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

    /// Enables an admission plugin. See [`AdmissionPlugin`] for the plugins that are enabled by default.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::{AdmissionPlugin, Sim};
    /// use serde_json::json;
    ///
    /// let sim = Sim::builder().admission_plugin(AdmissionPlugin::TaintNodesByCondition).build();
    /// let node = sim.create(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}))?;
    /// assert_eq!(node["spec"]["taints"][0]["key"], "node.kubernetes.io/not-ready");
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn admission_plugin(mut self, plugin: AdmissionPlugin) -> Self {
        self.plugins.push((plugin, true));
        self
    }

    /// Disables an admission plugin, as `--disable-admission-plugins` of kube-apiserver does.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::{AdmissionPlugin, Sim};
    /// use serde_json::json;
    ///
    /// let sim = Sim::builder().without_admission_plugin(AdmissionPlugin::ResourceQuota).build();
    /// sim.create(&json!({
    ///     "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
    ///     "spec": {"hard": {"configmaps": "0"}},
    /// }))?;
    /// sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}))?;
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn without_admission_plugin(mut self, plugin: AdmissionPlugin) -> Self {
        self.plugins.push((plugin, false));
        self
    }

    /// Maps a service to the address of a server, for webhooks whose `clientConfig` refers to the service. All ports of
    /// the service are mapped to this address, and the service itself need not exist. The certificate of the server must
    /// be valid for `NAME.NAMESPACE.svc`.
    ///
    /// Without a mapping, the API server connects to the external name of the service, or to one of the ready endpoints in
    /// the `EndpointSlice` objects or the `Endpoints` of the service.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    ///
    /// let webhook = "127.0.0.1:9443".parse()?;
    /// let sim = Sim::builder().service_address("default", "webhook", webhook).build();
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn service_address(mut self, namespace: &str, name: &str, address: SocketAddr) -> Self {
        let service = ServiceAddress { namespace: namespace.to_owned(), name: name.to_owned(), address };
        self.services.push(service);
        self
    }

    /// Serves the resource metrics API (`metrics.k8s.io/v1beta1`), which `kubectl top` and autoscalers read. By default it
    /// is not served, as in a cluster without metrics-server.
    ///
    /// By default, a container of a running pod uses half of its resource requests. A node uses what its pods use, plus a
    /// fixed amount of CPU and memory. Runs are therefore reproducible. [`Sim::set_container_usage`] and [`Sim::set_node_usage`]
    /// set other values.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::{Sim, Usage};
    ///
    /// let sim = Sim::builder().nodes(1).metrics_api().build();
    /// sim.set_node_usage("node-0", Some(Usage { cpu_millicores: 1500, memory_bytes: 1 << 30 }));
    /// let path = "/apis/metrics.k8s.io/v1beta1/nodes/node-0";
    /// let metrics = sim.request(&http::Method::GET, path, "", &serde_json::Value::Null)?;
    /// assert_eq!(metrics["usage"]["cpu"], "1500m");
    /// # Ok::<(), kube_sim::SimError>(())
    /// ```
    pub fn metrics_api(mut self) -> Self {
        self.metrics = true;
        self
    }

    /// Authorizes requests by role-based access control (RBAC), with the roles and bindings of the store. The store
    /// then contains the bootstrap roles and bindings of an API server, such as `cluster-admin`. By default, each user
    /// has all permissions.
    ///
    /// The user of a request is:
    ///
    /// - the administrator, who has all permissions, for the credentials in a listener's kubeconfig;
    /// - the administrator, for a request that has no token, and that is sent through [`Sim::service`] or to a
    ///   listener without TLS;
    /// - the common name of a client certificate, with its organizations as groups;
    /// - a service account, for a token of its subresource `token`;
    /// - the impersonated user (`kubectl --as`);
    /// - `system:anonymous`, for requests without credentials to an HTTPS listener.
    ///
    /// Calls of the methods of [`Sim`] need no permissions. As in a real server, users may write only roles and bindings
    /// whose permissions they have themselves, unless a role grants them the verb `escalate` or `bind`.
    ///
    /// # Examples
    /// ```
    /// use http::{Request, StatusCode};
    /// use kube_sim::Sim;
    /// use tower::ServiceExt as _;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sim = Sim::builder().rbac().build();
    /// let request = Request::get("/api/v1/nodes").header("impersonate-user", "jane");
    /// let response = sim.service().oneshot(request.body(String::new())?).await?;
    /// assert_eq!(response.status(), StatusCode::FORBIDDEN);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rbac(mut self) -> Self {
        self.rbac = true;
        self
    }

    /// Starts the simulation.
    ///
    /// # Panics
    /// When the name of a namespace is invalid.
    #[expect(
        clippy::expect_used,
        clippy::panic,
        reason = "documented for invalid names; the nodes are constants"
    )]
    pub fn build(self) -> Sim {
        let clock = self.start.map_or_else(Clock::system, Clock::starting_at);
        let mut state = State::new(clock.clone(), self.history);
        state.random = Random::for_stream(self.seed, STATE_RANDOM_STREAM);
        if self.workloads {
            for controller in Controller::ALL {
                state.set_controller_delay(*controller, Some(Duration::ZERO));
            }
        }
        if self.metrics {
            state.registry.serve_metrics();
        }
        for (controller, delay) in self.delays {
            state.set_controller_delay(controller, delay);
        }
        state.plugins = self.plugins.into_iter().collect();
        let settings = Settings {
            watch_list: self.watch_list,
            bookmark_interval: self.bookmark_interval,
            handlers: self.handlers,
            services: self.services,
            service_range: self.network.service_range,
            seed: self.seed,
            body_limit: self.body_limit,
            rbac: self.rbac,
        };
        system_objects::create(&mut state, self.seed, self.network);
        if self.rbac {
            system_objects::create_bootstrap_policy(&mut state, self.seed);
        }
        let sim = Sim { inner: Arc::new(Inner::new(state, settings)) };
        for name in &self.namespaces {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            match sim.create(&namespace) {
                Err(e) if !e.is_already_exists() => panic!("creating namespace {name:?}: {e}"),
                _ => {}
            }
        }
        for i in 0..self.nodes {
            let now = clock.stamp();
            sim.create(&objects::node(&format!("node-{i}"), i, &now)).expect("the generated node is valid");
        }
        sim.journal().reset();
        sim
    }
}

/// Identifies the stream of random numbers of [`State::random`]; see [`Random::for_stream`].
const STATE_RANDOM_STREAM: u64 = 0x0063_6f6e_7472_6f6c;
