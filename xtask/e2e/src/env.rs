//! `Env`: the argument of a case. It gives a namespace, clients, unique names and, depending on the case's needs,
//! control over the server. It must not depend on the runner.

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

type CleanUp = BoxFuture<'static, anyhow::Result<()>>;

/// The environment of one case. Clones share it.
#[derive(Clone)]
pub(crate) struct Env {
    inner: Arc<Inner>,
}

struct Inner {
    server: Arc<Server>,
    client: Client,
    namespace: String,
    clean_up: Mutex<Vec<CleanUp>>,
}

impl Env {
    pub(super) fn new(server: Arc<Server>, client: Client, namespace: String) -> Self {
        Self { inner: Arc::new(Inner { server, client, namespace, clean_up: Mutex::default() }) }
    }

    /// The server.
    pub(crate) fn server(&self) -> &Server {
        &self.inner.server
    }

    /// The administrator's client. The case's namespace is its default.
    pub(crate) fn client(&self) -> Client {
        self.inner.client.clone()
    }

    /// The case's namespace. The runner deletes it after the case.
    pub(crate) fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The objects of a kind in the case's namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client(), self.namespace())
    }

    /// A name for a cluster-scoped object that is unique in the cluster.
    pub(crate) fn unique(&self, what: &str) -> String {
        format!("{}-{what}", self.namespace())
    }

    /// Deletes an object after the case, whether the case passes or fails. An already deleted object is no error.
    pub(crate) fn deletes_at_end<K>(&self, api: &Api<K>, name: &str)
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
        self.clean_up().push(Box::pin(deletion));
    }

    fn clean_up(&self) -> std::sync::MutexGuard<'_, Vec<CleanUp>> {
        self.inner.clean_up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the clean-up tasks, the latest first.
    pub(super) fn take_clean_up(&self) -> Vec<CleanUp> {
        let mut all = std::mem::take(&mut *self.clean_up());
        all.reverse();
        all
    }

    /// Waits for the namespace's default service account, without which pods are refused where controllers run.
    pub(crate) async fn until_pods_can_be_made(&self) -> Outcome {
        if self.inner.server.lacks(super::case::Need::Pods).is_some() {
            return Ok(());
        }
        let accounts: Api<ServiceAccount> = self.api();
        eventually("the namespace has a service account", Duration::from_secs(30), async || {
            Ok(accounts.get_opt("default").await?.is_some().then_some(()))
        })
        .await
    }

    /// Compacts the history: earlier continue tokens and watch versions are then expired (410). Needs
    /// [`History`](super::case::Need::History).
    pub(crate) async fn forget_history(&self) -> Outcome {
        match (self.inner.server.simulation(), self.inner.server.cluster()) {
            (Some(sim), _) => {
                sim.compact_all();
                sim.end_watches();
            }
            (None, Some(cluster)) => drop(cluster.forget_history().await?),
            (None, None) => return Err(anyhow::anyhow!("this server's history cannot be forgotten").into()),
        }
        Ok(())
    }

    /// The cluster of this run. Needs [`Parts`](super::case::Need::Parts) or
    /// [`Certificates`](super::case::Need::Certificates).
    pub(crate) fn cluster(&self) -> Outcome<&Cluster> {
        Ok(self.inner.server.cluster().context(
            "the server is not a cluster of this run; add Parts or Certificates to the needs of the case",
        )?)
    }

    /// A copy of the administrator's configuration, with the case's namespace as its default.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.inner.server.config().clone();
        self.namespace().clone_into(&mut config.default_namespace);
        config
    }

    /// The program of an example. Needs [`Examples`](super::case::Need::Examples).
    pub(crate) fn example(&self, name: &str) -> Outcome<PathBuf> {
        Ok(self.inner.server.example(name).with_context(|| format!("no example {name} has been built"))?)
    }
}
