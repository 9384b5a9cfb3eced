//! `Server`: the API server under test, its client configuration, and the capabilities that it lacks. [`super::choose`]
//! selects the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use k8s_openapi::api::core::v1::{ConfigMap, Node, ServiceAccount};
use kube_client::api::{ListParams, WatchParams};
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Api, Client, Config};
use kube_sim::Sim;

use super::case::Need;
use xtask_control_plane::Cluster;

/// An API server to run suites on.
pub(crate) struct Server {
    place: Place,
    name: String,
    config: Config,
    token: Option<String>,
    lacks: Vec<(Need, String)>,
    examples: Result<BTreeMap<String, PathBuf>, String>,
}

/// Where the server is.
enum Place {
    /// In this process. The listener and the folder with its kubeconfig are held to be ended.
    Simulation { sim: Sim, _listener: kube_sim::Server, folder: tempfile::TempDir },
    /// On this machine, started for this run.
    Cluster(Box<Cluster>),
    /// A cluster of a kubeconfig, which this run did not start.
    Foreign { kubeconfig: Option<PathBuf> },
}

impl Server {
    /// A simulated server that listens on this machine.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn simulated() -> anyhow::Result<Self> {
        let sim = Sim::builder().nodes(3).build();
        let listener = sim.serve_https(([127, 0, 0, 1], 0).into()).await.context("cannot start kube-sim")?;
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, listener.kubeconfig())
            .with_context(|| format!("cannot write {}", path.display()))?;
        let config = read(Some(&path)).await?;
        let token = listener.token().map(ToOwned::to_owned);
        let mut server = Self::new(Place::Simulation { sim, _listener: listener, folder }, config);
        server.name.push_str("kube-sim, in this process");
        server.token = token;
        server.lack(&[Need::Pods], "kube-sim has no scheduler and no workload controllers");
        server.lack(&[Need::Parts], "kube-sim has no separate etcd and API servers");
        server.lack(
            &[Need::Certificates, Need::Authorization],
            "kube-sim has no authorization: each authenticated user may do everything",
        );
        Ok(server)
    }

    /// A cluster that was started for this run.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn started(cluster: Cluster) -> anyhow::Result<Self> {
        let config = read(Some(cluster.kubeconfig())).await?;
        let controllers = cluster.runs_pods();
        let token = cluster.token("admin").map(ToOwned::to_owned);
        let mut server = Self::new(Place::Cluster(Box::new(cluster)), config);
        server.token = token;
        let origin = if controllers { "started for this run" } else { "etcd and kube-apiserver alone" };
        server.name = format!("Kubernetes {}, {origin}", server.version().await?);
        if !controllers {
            server.lack(
                &[Need::Pods, Need::Controllers],
                "there are only etcd and kube-apiserver, without controllers and nodes",
            );
        }
        server.probe_watch_list().await?;
        Ok(server)
    }

    /// The cluster of a kubeconfig; that of `KUBECONFIG` where it is not given.
    ///
    /// # Errors
    /// When the file cannot be used, or the server does not answer.
    pub(crate) async fn foreign(kubeconfig: Option<PathBuf>) -> anyhow::Result<Self> {
        let config = read(kubeconfig.as_deref()).await?;
        let mut server = Self::new(Place::Foreign { kubeconfig }, config);
        let version = server.version().await?;
        server.name = format!("Kubernetes {version} at {}", server.config.cluster_url);
        let ours = "allowed only on a cluster that was started for this run";
        server.lack(&[Need::History, Need::Parts, Need::Certificates, Need::Token, Need::NewNodes], ours);
        server.probe_watch_list().await?;
        let client = server.client("default")?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
        if accounts.get_opt("default").await?.is_none() {
            server.lack(&[Need::Controllers], "no controller has made the default service account");
        }
        let nodes: Api<Node> = Api::all(client.clone());
        if !nodes.list(&ListParams::default()).await?.items.iter().any(takes_pods) {
            server.lack(&[Need::Pods], "no node is ready for pods");
        }
        let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(client);
        if roles.get_opt("cluster-admin").await.ok().flatten().is_none() {
            server.lack(&[Need::Authorization], "it has no role-based access control");
        }
        Ok(server)
    }

    fn new(place: Place, config: Config) -> Self {
        let examples = Err("the examples have not been built for this run".to_owned());
        Self { place, name: String::new(), config, token: None, lacks: Vec::new(), examples }
    }

    fn lack(&mut self, needs: &[Need], why: &str) {
        self.lacks.extend(needs.iter().map(|need| (*need, why.to_owned())));
    }

    /// Probes for WatchList with a watch request, because it depends on the version and on feature gates.
    async fn probe_watch_list(&mut self) -> anyhow::Result<()> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client("default")?, "default");
        match maps.watch(&WatchParams::default().initial_events(), "").await {
            Ok(_) => Ok(()),
            Err(error) if error.is_invalid() => {
                self.lack(&[Need::WatchList], "the server does not offer WatchList");
                Ok(())
            }
            Err(error) => Err(error).context("cannot find out whether the server offers WatchList"),
        }
    }

    async fn version(&self) -> anyhow::Result<String> {
        let info = self.client("default")?.apiserver_version().await;
        Ok(info.context("cannot ask the server for its version")?.git_version)
    }

    /// Sets the programs of the examples by name, or the reason why they are not built.
    pub(crate) fn set_examples(&mut self, examples: Result<BTreeMap<String, PathBuf>, String>) {
        self.examples = examples;
    }

    /// What it is, for people.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Why it cannot do what a case needs; `None` if it can.
    pub(crate) fn lacks(&self, need: Need) -> Option<&str> {
        let known = self.lacks.iter().find(|(lacked, _)| *lacked == need).map(|(_, why)| why.as_str());
        match (known, need, &self.examples) {
            (None, Need::Examples, Err(why)) => Some(why),
            (known, ..) => known,
        }
    }

    /// How the administrator reaches it.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A token of the administrator. Needs [`Token`](Need::Token).
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A client of the administrator with connections of its own.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub(crate) fn client(&self, namespace: &str) -> anyhow::Result<Client> {
        let mut config = self.config.clone();
        namespace.clone_into(&mut config.default_namespace);
        Ok(Client::try_from(config)?)
    }

    /// What a child process has to find in `KUBECONFIG`; `None` for what it finds there anyway.
    pub(crate) fn kubeconfig(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Simulation { folder, .. } => Some(folder.path().join("kubeconfig")),
            Place::Cluster(cluster) => Some(cluster.kubeconfig().to_owned()),
            Place::Foreign { kubeconfig } => kubeconfig.clone(),
        }
    }

    /// The program of an example.
    pub(crate) fn example(&self, name: &str) -> Option<PathBuf> {
        self.examples.as_ref().ok()?.get(name).cloned()
    }

    /// The cluster, if it was started for this run.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        if let Place::Cluster(cluster) = &self.place { Some(&**cluster) } else { None }
    }

    /// The simulation, if it is one.
    pub(crate) fn simulation(&self) -> Option<&Sim> {
        if let Place::Simulation { sim, .. } = &self.place { Some(sim) } else { None }
    }

    /// Whether it was started for this run, and ends with it.
    pub(crate) fn is_ours(&self) -> bool {
        !matches!(self.place, Place::Foreign { .. })
    }

    /// Resumes etcd and starts the API servers that a case stopped.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let Some(cluster) = self.cluster() else { return Ok(()) };
        cluster.etcd().resume().await?;
        for server in cluster.api_servers() {
            server.start().await?;
        }
        Ok(())
    }

    /// Waits until a component of the cluster exits that no case stopped.
    pub(crate) async fn died(&self) -> anyhow::Error {
        match self.cluster() {
            Some(cluster) => cluster.died().await.into(),
            None => std::future::pending().await,
        }
    }

    /// Stops the cluster that was started for this run.
    pub(crate) async fn stop(self: Arc<Self>) {
        if let Some(Self { place: Place::Cluster(cluster), .. }) = Arc::into_inner(self) {
            cluster.stop().await;
        }
    }
}

async fn read(path: Option<&Path>) -> anyhow::Result<Config> {
    let kubeconfig = match path {
        Some(path) => Kubeconfig::read_from(path)?,
        None => Kubeconfig::read()?,
    };
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

fn takes_pods(node: &Node) -> bool {
    let closed = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default();
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    !closed && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
