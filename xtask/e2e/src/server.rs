//! `Server`: the server under test, its client configuration, and the needs that it does not meet. [`super::choice`]
//! selects the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Node, ServiceAccount};
use kube_client::api::{ListParams, WatchParams};
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Api, Client, Config};
use kube_sim::Sim;

use super::case::Need;
use super::languages::LanguageClients;
use super::variant::Protocol;
use xtask_control_plane::{Cluster, Identity, KubernetesVersion};

/// Whether Go can be run.
static HAS_GO: std::sync::LazyLock<bool> =
    std::sync::LazyLock::new(|| std::process::Command::new("go").arg("version").output().is_ok());

/// An API server to run suites on.
pub(crate) struct Server {
    origin: Origin,
    description: String,
    config: Config,
    token: Option<String>,
    unmet_needs: Vec<(Need, String)>,
    examples: Result<BTreeMap<String, PathBuf>, String>,
    languages: LanguageClients,
    churn: Churn,
}

/// The scale of the suite `churn`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Churn {
    /// The number of objects that the suite creates.
    pub(crate) objects: usize,
    /// The time during which the suite changes the objects.
    pub(crate) duration: Duration,
}

/// The kind of server, and the handles that keep the server running.
enum Origin {
    /// kube-sim in this process. Dropping the listener stops the server; dropping the folder deletes the kubeconfig.
    Simulation { sim: Sim, listener: kube_sim::Server, folder: tempfile::TempDir },
    /// A cluster on this machine that was started for this run.
    Cluster(Box<Cluster>),
    /// An existing cluster, which outlives the run.
    Existing { kubeconfig: Option<PathBuf> },
}

impl Server {
    /// Starts kube-sim, which listens on a loopback port.
    ///
    /// # Errors
    /// When kube-sim cannot listen.
    pub(crate) async fn start_simulation() -> anyhow::Result<Self> {
        let sim = Sim::builder().nodes(3).rbac().workloads().build();
        let listener = sim.serve_https(([127, 0, 0, 1], 0).into()).await.context("cannot start kube-sim")?;
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, listener.kubeconfig())
            .with_context(|| format!("cannot write {}", path.display()))?;
        let config = read_config(Some(&path)).await?;
        let token = listener.token().map(ToOwned::to_owned);
        let mut server = Self::new(Origin::Simulation { sim, listener, folder }, config);
        server.description.push_str("kube-sim, in this process");
        server.token = token;
        server.add_unmet_needs(&[Need::Processes], "kube-sim runs no processes");
        server.add_unmet_needs(&[Need::Components], "kube-sim has no components that can be killed");
        Ok(server)
    }

    /// Connects to a cluster that was started for this run.
    ///
    /// # Errors
    /// When the API server does not respond.
    pub(crate) async fn connect_to_cluster(cluster: Cluster) -> anyhow::Result<Self> {
        let config = read_config(Some(cluster.kubeconfig())).await?;
        let controllers = cluster.runs_pods();
        let token = cluster.token("admin").map(ToOwned::to_owned);
        let mut server = Self::new(Origin::Cluster(Box::new(cluster)), config);
        server.token = token;
        let variant = if controllers { "started for this run" } else { "etcd and kube-apiserver only" };
        let version = server.git_version().await?;
        server.description = format!("Kubernetes {version}, {variant}");
        server.check_latest_version(&version);
        if !controllers {
            server.add_unmet_needs(
                &[Need::Pods, Need::Processes, Need::Controllers],
                "the cluster consists of etcd and kube-apiserver, without controllers and nodes",
            );
        }
        server.probe_watch_list().await?;
        Ok(server)
    }

    /// Connects to the cluster of the file `kubeconfig`. If `kubeconfig` is `None`, uses the files that the
    /// environment variable `KUBECONFIG` lists.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used, or the server does not respond.
    pub(crate) async fn connect_to_kubeconfig(kubeconfig: Option<PathBuf>) -> anyhow::Result<Self> {
        let config = read_config(kubeconfig.as_deref()).await?;
        let mut server = Self::new(Origin::Existing { kubeconfig }, config);
        let version = server.git_version().await?;
        server.description = format!("Kubernetes {version} at {}", server.config.cluster_url);
        server.check_latest_version(&version);
        let reason = "requires a cluster that was started for this run";
        server.add_unmet_needs(
            &[
                Need::History,
                Need::Components,
                Need::Certificates,
                Need::Token,
                Need::NewNodes,
                Need::Processes,
                Need::Echo,
                Need::Loopback,
                Need::RequestLog,
            ],
            reason,
        );
        server.probe_watch_list().await?;
        let client = server.client("default")?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        if accounts.get_opt("default").await?.is_none() {
            server.add_unmet_needs(
                &[Need::Controllers],
                "no controller has created the default service account",
            );
        }
        let nodes: Api<Node> = Api::all(client.clone());
        if !nodes.list(&ListParams::default()).await?.items.iter().any(is_schedulable) {
            server.add_unmet_needs(&[Need::Pods], "no node is ready for pods");
        }
        let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(client);
        if roles.get_opt("cluster-admin").await.ok().flatten().is_none() {
            server.add_unmet_needs(&[Need::Authorization], "the server has no role-based access control");
        }
        Ok(server)
    }

    fn new(origin: Origin, config: Config) -> Self {
        let examples = Err("the examples have not been built for this run".to_owned());
        let churn = Churn { objects: 100, duration: Duration::from_secs(4) };
        let (description, unmet_needs) = (String::new(), Vec::new());
        let languages = LanguageClients::without_clients();
        Self { origin, description, config, token: None, unmet_needs, examples, languages, churn }
    }

    /// Records needs that the server does not meet, and the reason.
    fn add_unmet_needs(&mut self, needs: &[Need], reason: &str) {
        self.unmet_needs.extend(needs.iter().map(|need| (*need, reason.to_owned())));
    }

    /// Finds out whether the server supports WatchList, which depends on the server's version and feature gates.
    /// Opens a watch with initial events. If the server rejects the watch, records the unmet need `WatchList`.
    async fn probe_watch_list(&mut self) -> anyhow::Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client("default")?, "default");
        match maps.watch(&WatchParams::default().initial_events(), "").await {
            Ok(_) => Ok(()),
            Err(error) if error.is_invalid() => {
                self.add_unmet_needs(&[Need::WatchList], "the server does not support WatchList");
                Ok(())
            }
            Err(error) => Err(error).context("cannot determine whether the server supports WatchList"),
        }
    }

    /// Records the unmet need `Latest` if the server does not have the newest supported minor version.
    fn check_latest_version(&mut self, version: &str) {
        let latest = KubernetesVersion::LATEST;
        if !version.starts_with(&format!("v{}.", latest.minor())) {
            let reason =
                format!("the case has the error texts and functions of Kubernetes {}", latest.minor());
            self.add_unmet_needs(&[Need::Latest], &reason);
        }
    }

    /// The `gitVersion` of the server.
    async fn git_version(&self) -> anyhow::Result<String> {
        let info = self.client("default")?.apiserver_version().await;
        Ok(info.context("cannot get the version of the server")?.git_version)
    }

    /// Sets the executables of the examples. `examples` maps the name of each example to the path of its
    /// executable. If the executables are missing, `examples` is the reason.
    pub(crate) fn set_examples(&mut self, examples: Result<BTreeMap<String, PathBuf>, String>) {
        self.examples = examples;
    }

    /// Sets the clients of the suite `languages`.
    pub(crate) fn set_languages(&mut self, languages: LanguageClients) {
        self.languages = languages;
    }

    /// The clients of the suite `languages`.
    pub(crate) fn languages(&self) -> &LanguageClients {
        &self.languages
    }

    /// Sets the scale of the suite `churn`.
    pub(crate) fn set_churn(&mut self, churn: Churn) {
        self.churn = churn;
    }

    /// Sets the protocol and the format of the clients.
    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        protocol.apply_to(&mut self.config);
    }

    /// The number of objects and the duration of the suite `churn`.
    pub(crate) fn churn(&self) -> Churn {
        self.churn
    }

    /// A description of the server for the console.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// The reason why the server does not meet a need; `None` if the server meets the need.
    pub(crate) fn unmet_need_reason(&self, need: Need) -> Option<&str> {
        match need {
            Need::Examples => self.examples.as_ref().err().map(String::as_str),
            Need::Go => (!*HAS_GO).then_some("there is no `go` on the PATH"),
            Need::GoProgram => self.languages.go_program().err(),
            Need::Python => self.languages.python_interpreter().err(),
            _ => self.unmet_needs.iter().find(|(unmet, _)| *unmet == need).map(|(_, reason)| reason.as_str()),
        }
    }

    /// The administrator's client configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A bearer token of the administrator; `None` if the server does not meet [`Need::Token`].
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A new client of the administrator. It shares no connections with other clients.
    ///
    /// # Errors
    /// When no client can be built from the configuration.
    pub(crate) fn client(&self, namespace: &str) -> anyhow::Result<Client> {
        let mut config = self.config.clone();
        namespace.clone_into(&mut config.default_namespace);
        Ok(Client::try_from(config)?)
    }

    /// The value of `KUBECONFIG` for child processes; `None` if they use the inherited value.
    pub(crate) fn kubeconfig(&self) -> Option<PathBuf> {
        match &self.origin {
            Origin::Simulation { folder, .. } => Some(folder.path().join("kubeconfig")),
            Origin::Cluster(cluster) => Some(cluster.kubeconfig().to_owned()),
            Origin::Existing { kubeconfig } => kubeconfig.clone(),
        }
    }

    /// The executable of an example.
    pub(crate) fn example(&self, name: &str) -> Option<PathBuf> {
        self.examples.as_ref().ok()?.get(name).cloned()
    }

    /// The cluster that was started for this run, if any.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        if let Origin::Cluster(cluster) = &self.origin { Some(&**cluster) } else { None }
    }

    /// Creates a client certificate for `user`. The user is in `group` if `group` is not `None`.
    ///
    /// # Errors
    /// When the server was not started for this run, or the certificate cannot be created.
    pub(crate) fn client_certificate(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        match &self.origin {
            Origin::Simulation { listener, .. } => {
                let (certificate, key) = listener.issue_client_certificate(user, group)?;
                Ok(Identity { certificate, key })
            }
            Origin::Cluster(cluster) => cluster.client_certificate(user, group),
            Origin::Existing { .. } => bail!("the case does not declare `Certificates`"),
        }
    }

    /// The [`Sim`], if the server is kube-sim.
    pub(crate) fn simulation(&self) -> Option<&Sim> {
        if let Origin::Simulation { sim, .. } = &self.origin { Some(sim) } else { None }
    }

    /// Whether the server was started for this run, and is stopped after the run.
    pub(crate) fn was_started_for_run(&self) -> bool {
        !matches!(self.origin, Origin::Existing { .. })
    }

    /// Resumes etcd if a case has paused it, and starts the API servers that a case has killed.
    pub(crate) async fn restart_components(&self) -> anyhow::Result<()> {
        let Some(cluster) = self.cluster() else { return Ok(()) };
        cluster.etcd().resume().await?;
        for server in cluster.api_servers() {
            server.start().await?;
        }
        Ok(())
    }

    /// Waits until a component exits although no case has killed it. Returns an error that names the component.
    pub(crate) async fn wait_for_death(&self) -> anyhow::Error {
        match self.cluster() {
            Some(cluster) => cluster.wait_for_death().await.into(),
            None => std::future::pending().await,
        }
    }

    /// Stops the cluster that was started for this run, if this `Arc` is the last reference to the server.
    pub(crate) async fn stop(self: Arc<Self>) {
        if let Some(Self { origin: Origin::Cluster(cluster), .. }) = Arc::into_inner(self) {
            cluster.stop().await;
        }
    }
}

/// Reads the configuration from the kubeconfig file `path`. If `path` is `None`, reads the files that
/// `KUBECONFIG` lists, or `~/.kube/config` if `KUBECONFIG` is not set.
async fn read_config(path: Option<&Path>) -> anyhow::Result<Config> {
    let kubeconfig = match path {
        Some(path) => Kubeconfig::read_from(path)?,
        None => Kubeconfig::read()?,
    };
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// Whether the node is ready and not cordoned.
fn is_schedulable(node: &Node) -> bool {
    let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    !cordoned && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
