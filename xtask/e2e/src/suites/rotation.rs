//! The CA, the server certificate and a client certificate are rotated while a reflector runs. The case starts a cluster of
//! its own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, future};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{ListParams, PostParams};
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Api, Client, Config};
use kube_runtime::reflector;
use kube_runtime::reflector::store;
use kube_runtime::watcher::{self, watcher};
use serde_json::json;
use tokio::time::{sleep, timeout};
use xtask_control_plane::{Authority, Cluster, Identity, Options};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{config_map, eventually, wait_until_converged};

suite!("rotation":
    certificates_are_rotated_without_a_failed_call [Components],
);

/// The time limit of each wait. API servers read changed files at the latest after a minute.
const TIMEOUT: Duration = Duration::from_secs(100);

/// The files of a client: the trusted CA certificates, the client certificate and its key.
struct ClientFiles {
    authorities: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl ClientFiles {
    /// Writes the files into `folder`.
    fn new(folder: &Path, authorities: &str, identity: &Identity) -> Outcome<Self> {
        let path = |name| folder.join(name);
        let files =
            Self { authorities: path("ca.crt"), certificate: path("client.crt"), key: path("client.key") };
        std::fs::write(&files.authorities, authorities)?;
        files.write_identity(identity)?;
        Ok(files)
    }

    fn write_identity(&self, identity: &Identity) -> Outcome {
        std::fs::write(&self.certificate, &identity.certificate)?;
        std::fs::write(&self.key, &identity.key)?;
        Ok(())
    }

    /// A client that reads these files.
    async fn client(&self, server: &str) -> Outcome<Client> {
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": self.authorities}}],
            "users": [{"name": "u", "user": {"client-certificate": self.certificate, "client-key": self.key}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}

/// The name of the authenticated user, from a `SelfSubjectReview`.
async fn user_name(client: &Client) -> anyhow::Result<String> {
    let reviews = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    let user = review.status.and_then(|status| status.user_info);
    user.and_then(|user| user.username).context("the SelfSubjectReview has no user name")
}

/// Waits until a new client with these certificates is authenticated as `name`.
async fn wait_until_accepted(server: &str, authorities: &str, identity: &Identity, name: &str) -> Outcome {
    eventually("the server uses the changed files", TIMEOUT, async || {
        let folder = tempfile::tempdir()?;
        let files = ClientFiles::new(folder.path(), authorities, identity).map_err(anyhow::Error::msg)?;
        let client = files.client(server).await.map_err(anyhow::Error::msg)?;
        Ok((user_name(&client).await? == name).then_some(()))
    })
    .await
}

async fn certificates_are_rotated_without_a_failed_call(env: Env) -> Outcome {
    let options = Options::default().source(env.cluster()?.source().clone()).without_controllers();
    let cluster = Cluster::start(options).await?;
    let server = cluster.api_servers()[0].url();
    let (old, new) = (cluster.ca_certificate().to_owned(), Authority::new()?);
    let both = format!("{old}{}", new.certificate());
    let old_identity = cluster.client_certificate("before", Some("system:masters"))?;
    let new_identity = new.issue_client_certificate("after", Some("system:masters"))?;

    let folder = tempfile::tempdir()?;
    let files = ClientFiles::new(folder.path(), &old, &old_identity)?;
    let client = files.client(&server).await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let errors = Arc::new(Mutex::new(Vec::new()));
    let (reader, writer) = store();
    let reported = errors.clone();
    let feed = reflector(writer, watcher(maps.clone(), watcher::Config::default())).for_each(move |event| {
        if let Err(error) = event {
            let text = format!("watch: {:#}", anyhow::Error::from(error));
            reported.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
        future::ready(())
    });
    let (reported, called) = (errors.clone(), maps.clone());
    let calls = async move {
        loop {
            if let Err(error) = called.list(&ListParams::default().limit(1)).await {
                let text = format!("call: {:#}", anyhow::Error::from(error));
                reported.lock().unwrap_or_else(PoisonError::into_inner).push(text);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let tasks = [tokio::spawn(feed), tokio::spawn(calls)];
    timeout(TIMEOUT, reader.wait_until_ready()).await??;
    check_eq!(user_name(&client).await?, "before");

    // The client and the server trust both CAs before either of them uses a certificate of the new CA.
    std::fs::write(&files.authorities, &both)?;
    cluster.replace_client_authorities(&both)?;
    wait_until_accepted(&server, &old, &new_identity, "after").await?;
    cluster.replace_server_certificate(&new.issue_server_certificate(Ipv4Addr::new(10, 0, 0, 1))?)?;
    wait_until_accepted(&server, new.certificate(), &old_identity, "before").await?;
    files.write_identity(&new_identity)?;
    eventually("the client uses its new certificate", TIMEOUT, async || {
        Ok((user_name(&client).await? == "after").then_some(()))
    })
    .await?;
    // The old CA is removed from the trusted CAs of the client and of the server.
    std::fs::write(&files.authorities, new.certificate())?;
    cluster.replace_client_authorities(new.certificate())?;
    eventually("the server refuses the old certificate", TIMEOUT, async || {
        let folder = tempfile::tempdir()?;
        let outdated =
            ClientFiles::new(folder.path(), new.certificate(), &old_identity).map_err(anyhow::Error::msg)?;
        let client = outdated.client(&server).await.map_err(anyhow::Error::msg)?;
        match client.apiserver_version().await {
            Err(error) if error.is_unauthorized() => Ok(Some(())),
            other => Ok(other.map(|_| None)?),
        }
    })
    .await?;

    check_eq!(user_name(&client).await?, "after");
    maps.create(&PostParams::default(), &config_map("after", "1")).await?;
    wait_until_converged(&reader, &maps, &ListParams::default(), TIMEOUT).await?;
    check!(reader.state().iter().any(|map| map.metadata.name.as_deref() == Some("after")));
    check!(tasks.iter().all(|task| !task.is_finished()));
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let errors = errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
    check!(errors.is_empty(), "{errors:?}");
    cluster.stop().await;
    Ok(())
}
