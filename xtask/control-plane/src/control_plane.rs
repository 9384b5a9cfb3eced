//! `Cluster`: the addresses, users and components of a running cluster. [`super::start`] starts a cluster.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::api_server::ApiServer;
use super::etcd::{Etcd, Snapshot};
use super::flags::{self, ClusterFiles};
use super::health::{Death, Monitor};
use super::kubeconfig::{self, Credentials};
use super::options::Source;
use super::pki::{Authority, Identity};
use super::tcp_proxy::TcpProxy;
use xtask_process::{Scratch, SupervisedProgram};

/// A real control plane on free ports of this machine, in a temporary folder.
///
/// Dropping the cluster kills all components and removes the folder. The drop blocks; async code should call
/// [`Self::stop`]. If this process is killed, the components' supervisors kill the components and remove the folder.
#[derive(Debug)]
pub struct Cluster {
    // Fields are dropped in this order: the clients of a component before the component, and the folder last.
    pub(super) pod_components: Option<PodComponents>,
    pub(super) api_servers: Vec<ApiServer>,
    pub(super) etcd: Etcd,
    pub(super) monitor: Monitor,
    pub(super) authority: Authority,
    pub(super) users: Vec<(String, String)>,
    pub(super) kubeconfig: PathBuf,
    pub(super) version: String,
    pub(super) kubectl: Option<PathBuf>,
    pub(super) source: Source,
    pub(super) scratch: Scratch,
}

/// The components besides etcd and the API servers: they create, schedule and simulate pods. Dropping a field ends its
/// component.
#[derive(Debug)]
pub(super) struct PodComponents {
    pub(super) _kwok: SupervisedProgram,
    pub(super) _kubelet: SupervisedProgram,
    pub(super) _scheduler: SupervisedProgram,
    pub(super) _controller_manager: SupervisedProgram,
}

impl Cluster {
    /// The path of the administrator's kubeconfig, for the first API server.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The `gitVersion` of the server, such as `v1.37.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The API servers; there is at least one.
    pub fn api_servers(&self) -> &[ApiServer] {
        &self.api_servers
    }

    /// The etcd that all API servers use.
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// Whether the cluster runs controllers, a scheduler and kwok. Without them, pods do not run.
    pub fn runs_pods(&self) -> bool {
        self.pod_components.is_some()
    }

    /// The CA certificate of the servers, in PEM.
    pub fn ca_certificate(&self) -> &str {
        self.authority.certificate()
    }

    /// The bearer token of `admin`, or of a user that the options have added; `None` for other users.
    pub fn token(&self, user: &str) -> Option<&str> {
        self.users.iter().find(|(name, _)| name == user).map(|(_, token)| token.as_str())
    }

    /// Creates a client certificate for a user of this name and group.
    ///
    /// # Errors
    /// When no key can be generated or the certificate cannot be signed.
    pub fn client_certificate(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        self.authority.issue_client_certificate(user, group)
    }

    /// Creates a client certificate for requests to the kubelets. Its name is the name that the API servers
    /// use for such requests. The kubelets refuse clients with other names.
    ///
    /// # Errors
    /// When no key can be generated or the certificate cannot be signed.
    pub fn kubelet_client_certificate(&self) -> anyhow::Result<Identity> {
        self.authority.issue_client_certificate(flags::KUBELET_CLIENT, None)
    }

    /// Replaces the certificate and key of the API servers. Within seconds, the API servers use the new certificate for new
    /// connections. Programs that were started with the cluster trust only certificates of the cluster's original CA.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn replace_server_certificate(&self, identity: &Identity) -> anyhow::Result<()> {
        kubeconfig::write_private(&self.scratch.path().join("server.key"), &identity.key)?;
        kubeconfig::write_private(&self.scratch.path().join("server.crt"), &identity.certificate)
    }

    /// Replaces the CAs whose client certificates the API servers accept. `certificates` are the certificates of the
    /// new CAs, in PEM. Within seconds, the API servers accept only client certificates of the new CAs.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn replace_client_authorities(&self, certificates: &str) -> anyhow::Result<()> {
        kubeconfig::write_private(&self.scratch.path().join("ca.crt"), certificates)
    }

    /// Writes a kubeconfig file with this name for a server URL and a user, and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(
        &self,
        name: &str,
        server: &str,
        credentials: &Credentials,
    ) -> anyhow::Result<PathBuf> {
        let folder = self.scratch.path().join("kubeconfigs");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(name);
        kubeconfig::write(&path, server, self.ca_certificate(), credentials)?;
        Ok(path)
    }

    /// Returns the events of the audit logs, in the order of the API servers. Each event contains the
    /// metadata of a write. All writes are logged, except writes in the namespaces `kube-system` and
    /// `kube-node-lease`. An API server logs a write when the request has ended.
    ///
    /// # Errors
    /// When a log cannot be read, or when a complete line of it is not valid JSON. An incomplete last line is ignored.
    pub fn audit_events(&self) -> anyhow::Result<Vec<Value>> {
        let files = ClusterFiles { folder: self.scratch.path().to_owned() };
        let mut events = Vec::new();
        for index in 0..self.api_servers.len() {
            let path = files.audit_log(index);
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            // The last line may be incomplete.
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let event = serde_json::from_str(line);
                events.push(event.with_context(|| format!("{} has an invalid line", path.display()))?);
            }
        }
        Ok(events)
    }

    /// Starts a TCP proxy to the first API server. [`TcpProxy::redirect_to`] redirects the proxy to another API server.
    ///
    /// # Errors
    /// When the proxy cannot listen on a port.
    ///
    /// # Cancel safety
    /// After cancelling, no proxy runs.
    pub async fn start_proxy(&self) -> anyhow::Result<TcpProxy> {
        TcpProxy::listen(self.api_servers[0].port()).await
    }

    /// Expires all earlier resource versions and continue tokens: a watch from such a version, a list at exactly such a
    /// version and a list with such a token get 410 Gone. Compacts etcd, then restarts each API server, because the watch
    /// cache of a running server still serves earlier versions. Returns the oldest valid resource version.
    ///
    /// # Errors
    /// When a request to etcd fails, or an API server does not become ready again.
    ///
    /// # Cancel safety
    /// Some API servers may have been restarted, and one may be stopped; another call starts it.
    pub async fn expire_history(&self) -> anyhow::Result<u64> {
        let revision = self.etcd.compact().await?;
        for server in &self.api_servers {
            if server.is_running().await {
                server.kill().await?;
            }
            server.start().await?;
        }
        Ok(revision)
    }

    /// The source of the cluster's programs, to start another cluster with the same programs.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Kills the API servers, and replaces etcd's data with a snapshot, like the restore of a backup. Then
    /// starts the API servers again.
    ///
    /// # Errors
    /// When a component cannot be stopped or does not become ready again, or the data cannot be copied.
    ///
    /// # Cancel safety
    /// After cancelling, components may be stopped, and the data may be incomplete.
    pub async fn restore(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        for server in &self.api_servers {
            if server.is_running().await {
                server.kill().await?;
            }
        }
        self.etcd.restore(snapshot).await?;
        for server in &self.api_servers {
            server.start().await?;
        }
        Ok(())
    }

    /// The folder of the components' logs.
    pub fn log_folder(&self) -> &Path {
        &self.monitor.logs
    }

    /// The value of `PATH` for commands. If the cluster has a kubectl, the folder of this kubectl comes
    /// first. The `PATH` of this process follows.
    pub fn command_path(&self) -> OsString {
        let ours = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.kubectl.iter().cloned().chain(std::env::split_paths(&ours));
        std::env::join_paths(folders).unwrap_or(ours)
    }

    /// Waits for the unexpected end of a component: this process has not stopped the component. The cluster
    /// is then unusable.
    ///
    /// # Cancel safety
    /// Cancelling loses nothing: a later call returns the most recent death of a component.
    pub async fn wait_for_death(&self) -> Death {
        self.monitor.wait_for_death().await
    }

    /// Stops all components and removes the folder.
    ///
    /// # Cancel safety
    /// After cancelling, the stop continues in the background.
    pub async fn stop(self) {
        // This fails only after a panic in a destructor.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}
