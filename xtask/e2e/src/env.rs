//! `Env`: the environment of a case. It provides the case's namespace, clients and unique names. A case that declares
//! needs such as `Components` can also control the server. This module must not use [`super::runner`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube_client::api::DeleteParams;
use kube_client::core::NamespaceResourceScope;
use kube_client::{Api, Client, Config, Resource};
use serde::de::DeserializeOwned;

use super::failure::Outcome;
use super::server::Server;
use super::support::eventually;
use xtask_control_plane::Cluster;

/// A future that deletes an object after the case.
type Deletion = BoxFuture<'static, anyhow::Result<()>>;

/// The environment of one case. Clones share the same state.
#[derive(Clone)]
pub(crate) struct Env {
    inner: Arc<Inner>,
}

/// The state that all clones of an [`Env`] share.
struct Inner {
    server: Arc<Server>,
    client: Client,
    namespace: String,
    deletions: Mutex<Vec<Deletion>>,
}

impl Env {
    pub(super) fn new(server: Arc<Server>, client: Client, namespace: String) -> Self {
        Self { inner: Arc::new(Inner { server, client, namespace, deletions: Mutex::default() }) }
    }

    /// The server under test.
    pub(crate) fn server(&self) -> &Server {
        &self.inner.server
    }

    /// The administrator's client, with the case's namespace as the default namespace.
    pub(crate) fn client(&self) -> Client {
        self.inner.client.clone()
    }

    /// The case's namespace. The runner deletes it, with its contents, after the case.
    pub(crate) fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// An `Api` for the objects of a kind in the case's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client(), self.namespace())
    }

    /// A name for a cluster-scoped object. The name contains `what` and the case's namespace, so that objects of different
    /// cases have different names.
    pub(crate) fn unique_name(&self, what: &str) -> String {
        format!("{}-{what}", self.namespace())
    }

    /// Registers an object that the runner deletes after the case, even if the case fails. The case may delete the object
    /// earlier.
    pub(crate) fn delete_at_end<K>(&self, api: &Api<K>, name: &str)
    where
        K: DeserializeOwned + Send + 'static,
    {
        let (api, name) = (api.clone(), name.to_owned());
        let deletion = async move {
            match api.delete(&name, &DeleteParams::background()).await {
                Err(error) if !error.is_not_found() => {
                    Err(error).with_context(|| format!("cannot delete {}/{name}", api.resource_url()))
                }
                _ => Ok(()),
            }
        };
        self.lock_deletions().push(Box::pin(deletion));
    }

    fn lock_deletions(&self) -> std::sync::MutexGuard<'_, Vec<Deletion>> {
        self.inner.deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the registered deletions and returns them, the latest first.
    pub(super) fn take_deletions(&self) -> Vec<Deletion> {
        let mut all = std::mem::take(&mut *self.lock_deletions());
        all.reverse();
        all
    }

    /// Waits until pods can be created. A server with controllers rejects pods until the namespace has its default
    /// service account.
    pub(crate) async fn wait_until_pods_can_be_created(&self) -> Outcome {
        if self.inner.server.unmet_need_reason(super::case::Need::Pods).is_some() {
            return Ok(());
        }
        let accounts: Api<ServiceAccount> = self.api();
        eventually("the namespace has a service account", Duration::from_secs(30), async || {
            Ok(accounts.get_opt("default").await?.is_some().then_some(()))
        })
        .await
    }

    /// Compacts the history and ends all watches. Requests with earlier resource versions or continue tokens then get
    /// 410 Gone. Needs [`History`](super::case::Need::History).
    pub(crate) async fn expire_history(&self) -> Outcome {
        match (self.inner.server.simulation(), self.inner.server.cluster()) {
            (Some(sim), _) => {
                sim.compact_all();
                sim.end_watches();
            }
            (None, Some(cluster)) => drop(cluster.expire_history().await?),
            (None, None) => {
                return Err(anyhow::anyhow!("cannot compact history: `History` is not declared").into());
            }
        }
        Ok(())
    }

    /// The cluster that was started for the run. Needs [`Components`](super::case::Need::Components) or
    /// [`Processes`](super::case::Need::Processes).
    pub(crate) fn cluster(&self) -> Outcome<&Cluster> {
        let cluster = self.inner.server.cluster();
        Ok(cluster.context("the case declares neither `Components` nor `Processes`")?)
    }

    /// A copy of the administrator's client configuration, with the case's namespace as the default namespace.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.inner.server.config().clone();
        self.namespace().clone_into(&mut config.default_namespace);
        config
    }

    /// The executable of an example. Needs [`Examples`](super::case::Need::Examples).
    pub(crate) fn example(&self, name: &str) -> Outcome<PathBuf> {
        Ok(self.inner.server.example(name).with_context(|| format!("example {name} is not built"))?)
    }
}
