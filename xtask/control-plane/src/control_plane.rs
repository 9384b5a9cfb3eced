//! A running cluster: its addresses, its users, its parts. How it is started is in [`super::start`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::api_server::ApiServer;
use super::etcd::{Etcd, Snapshot};
use super::health::{Death, Ward};
use super::kubeconfig::{self, Credentials};
use super::options::Source;
use super::pki::{Authority, Identity};
use super::switch::Switch;
use xtask_process::{Scratch, Supervised};

/// A real control plane on free ports of this machine, in a temporary folder.
///
/// Dropping it kills every component and removes the folder; that blocks for a moment, so in async code
/// [`Self::stop`] is kinder. Should this process be killed, its supervisors do the same.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: what talks to a part goes before it, and the folder last.
    pub(super) players: Option<Players>,
    pub(super) api_servers: Vec<ApiServer>,
    pub(super) etcd: Etcd,
    pub(super) ward: Ward,
    pub(super) authority: Authority,
    pub(super) users: Vec<(String, String)>,
    pub(super) kubeconfig: PathBuf,
    pub(super) version: String,
    pub(super) kubectl: Option<PathBuf>,
    pub(super) source: Source,
    pub(super) scratch: Scratch,
}

/// What makes objects come alive. Held only to be ended.
#[derive(Debug)]
pub(super) struct Players {
    pub(super) _kwok: Supervised,
    pub(super) _scheduler: Supervised,
    pub(super) _controller_manager: Supervised,
}

impl Cluster {
    /// A kubeconfig for the administrator and the first API server.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What the server calls its version, as `v1.37.2`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The API servers; there is at least one.
    pub fn api_servers(&self) -> &[ApiServer] {
        &self.api_servers
    }

    /// The etcd that they share.
    pub fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// Whether there are controllers, a scheduler and nodes, so that pods run.
    pub fn runs_pods(&self) -> bool {
        self.players.is_some()
    }

    /// The certificate authority of the servers, in PEM.
    pub fn authority(&self) -> &str {
        self.authority.certificate()
    }

    /// The token of `admin`, or of a user that the options named.
    pub fn token(&self, user: &str) -> Option<&str> {
        self.users.iter().find(|(name, _)| name == user).map(|(_, token)| token.as_str())
    }

    /// A new client certificate for a user of this name, in this group.
    ///
    /// # Errors
    /// When the certificate cannot be made, for want of random bytes say.
    pub fn client_certificate(&self, user: &str, group: Option<&str>) -> anyhow::Result<Identity> {
        self.authority.client(user, group)
    }

    /// Writes a kubeconfig called `name` for another server address or user, beside the administrator's.
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
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(name);
        kubeconfig::write(&path, server, self.authority(), credentials)?;
        Ok(path)
    }

    /// An address that leads to the first API server, and can be made to lead to another.
    ///
    /// # Errors
    /// When no port can be had.
    ///
    /// # Cancel safety
    /// Cancelling leaves nothing behind.
    pub async fn switch(&self) -> anyhow::Result<Switch> {
        Switch::listen(self.api_servers[0].port()).await
    }

    /// Makes every list, page and watch from before now get 410 Gone: compacts etcd, then starts each API server again,
    /// because they go on serving what they remember. Gives the oldest resource version that is still good.
    ///
    /// # Errors
    /// When etcd does not answer, or an API server does not come up again.
    ///
    /// # Cancel safety
    /// Some API servers may have been started again, and one may be down; calling this again puts that right.
    pub async fn forget_history(&self) -> anyhow::Result<u64> {
        let revision = self.etcd.compact().await?;
        for server in &self.api_servers {
            if server.is_running().await {
                server.kill().await?;
            }
            server.start().await?;
        }
        Ok(revision)
    }

    /// Where its programs came from, to start another cluster of the same.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Takes the storage back to an earlier state, as the restoration of a backup does: API servers are stopped meanwhile.
    ///
    /// # Errors
    /// When a component cannot be stopped or does not come up again, or the data cannot be copied.
    ///
    /// # Cancel safety
    /// Components may be stopped, and the data incomplete.
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

    /// Where the components' logs are.
    pub fn logs(&self) -> &Path {
        &self.ward.logs
    }

    /// The PATH for commands: ours, behind a kubectl of the server's version where there is one.
    pub fn command_path(&self) -> OsString {
        let ours = std::env::var_os("PATH").unwrap_or_default();
        let folders = self.kubectl.iter().cloned().chain(std::env::split_paths(&ours));
        std::env::join_paths(folders).unwrap_or(ours)
    }

    /// Waits for the death of a component that nobody asked for: the cluster is then no good any more.
    ///
    /// # Cancel safety
    /// Cancelling loses nothing; a death stays known.
    pub async fn died(&self) -> Death {
        self.ward.death().await
    }

    /// Takes everything down.
    ///
    /// # Cancel safety
    /// It goes on in the background.
    pub async fn stop(self) {
        // Only a panic in a destructor could make this fail.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}
