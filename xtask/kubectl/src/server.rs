//! `Server`: one of the two servers that are compared.

use std::path::Path;

use anyhow::{Context, ensure};
use kube_sim::Sim;
use serde_json::Value;
use tokio::process::Command;
use xtask_control_plane::build::Kubectl;
use xtask_control_plane::{Cluster, Options};
use xtask_process::progress::Progress;

use crate::containers;

/// The number of nodes of a server.
const NODES: usize = 3;

/// A server that runs pods. It stops when this value is dropped.
#[derive(Debug)]
pub(crate) enum Server {
    /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and nodes whose pods kwok simulates.
    Real {
        cluster: Box<Cluster>,
        kubeconfig: String,
    },
    Simulated {
        listener: kube_sim::Server,
    },
}

impl Server {
    /// Starts a real control plane.
    ///
    /// # Errors
    /// When a component cannot be built or started.
    pub(crate) async fn start_real() -> anyhow::Result<Self> {
        let options = Options::default().nodes(NODES).progress(Progress::new());
        let cluster = Box::new(Cluster::start(options).await?);
        let path = cluster.kubeconfig();
        let kubeconfig =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::Real { cluster, kubeconfig })
    }

    /// Starts kube-sim with copies of the nodes of `real`, or with [`NODES`] new nodes if `real` is `None`. `metrics` states
    /// whether kube-sim serves the resource metrics API.
    ///
    /// # Errors
    /// When kube-sim cannot listen, or the nodes cannot be copied.
    pub(crate) async fn start_simulated(
        real: Option<&Self>,
        kubectl: &Kubectl,
        folder: &Path,
        metrics: bool,
    ) -> anyhow::Result<Self> {
        let nodes = if real.is_some() { 0 } else { NODES };
        let builder = containers::set_handlers(Sim::builder().nodes(nodes).workloads().rbac());
        let sim = if metrics { builder.metrics_api() } else { builder }.build();
        if let Some(real) = real {
            for node in real.read_nodes(kubectl, folder).await? {
                sim.create(&node)?;
            }
        }
        let listener = sim.serve_https(([127, 0, 0, 1], 0).into()).await.context("cannot start kube-sim")?;
        Ok(Self::Simulated { listener })
    }

    /// A short name of the server.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Real { .. } => "real",
            Self::Simulated { .. } => "kube-sim",
        }
    }

    /// The text of the administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> String {
        match self {
            Self::Real { kubeconfig, .. } => kubeconfig.clone(),
            Self::Simulated { listener, .. } => listener.kubeconfig(),
        }
    }

    /// Reads the nodes of the server with their status, and removes the metadata that a server sets when it stores an
    /// object.
    ///
    /// # Errors
    /// When kubectl cannot be run or fails, or its output is not JSON.
    async fn read_nodes(&self, kubectl: &Kubectl, folder: &Path) -> anyhow::Result<Vec<Value>> {
        let path = folder.join("nodes-kubeconfig");
        std::fs::write(&path, self.kubeconfig()).context("cannot write a kubeconfig")?;
        let output = Command::new(kubectl.folder.join("kubectl"))
            .args(["get", "nodes", "--output=json"])
            .env("KUBECONFIG", &path)
            .env("HOME", folder)
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot run kubectl")?;
        ensure!(
            output.status.success(),
            "cannot list the nodes: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut list: Value =
            serde_json::from_slice(&output.stdout).context("the list of nodes is not JSON")?;
        let Value::Array(mut nodes) = list["items"].take() else { return Ok(Vec::new()) };
        for metadata in nodes.iter_mut().filter_map(|node| node["metadata"].as_object_mut()) {
            for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
                metadata.remove(field);
            }
        }
        Ok(nodes)
    }
}
