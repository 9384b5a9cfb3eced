//! etcd is restored from a backup while a reflector runs. The case starts a cluster of its own.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{DeleteParams, ListParams, PostParams};
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Api, Client, Config};
use kube_runtime::reflector;
use kube_runtime::reflector::store;
use kube_runtime::watcher::{self, Error, watcher};
use tokio::time::timeout;
use xtask_control_plane::{Cluster, Options};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check};
use crate::support::{config_map, wait_until_converged};

suite!("restore":
    a_running_reflector_detects_restored_storage [Components],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The time without events and bookmarks after which the watcher probes the server for restored storage. Each bookmark
/// restarts this period. The server sends a bookmark about every minute, so the period is shorter than a
/// minute.
const SILENCE_BEFORE_PROBE: Duration = Duration::from_secs(5);

async fn a_running_reflector_detects_restored_storage(env: Env) -> Outcome {
    let options = Options::default().source(env.cluster()?.source().clone()).without_controllers();
    let cluster = Cluster::start(options).await?;
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let maps: Api<ConfigMap> = Api::namespaced(Client::try_from(config)?, "default");
    let create = async |name: &str| maps.create(&PostParams::default(), &config_map(name, "1")).await;
    create("kept").await?;
    create("restored").await?;
    let backup = cluster.etcd().take_snapshot().await?;

    let (reader, writer) = store();
    let watch = watcher(maps.clone(), watcher::Config::default().probe_after(SILENCE_BEFORE_PROBE));
    let (restored, detected) = tokio::sync::oneshot::channel();
    let mut restored = Some(restored);
    let feed = reflector(writer, watch).for_each(move |item| {
        if let Err(Error::StorageRestored { .. }) = item
            && let Some(restored) = restored.take()
        {
            let _ = restored.send(());
        }
        std::future::ready(())
    });
    let feed = tokio::spawn(feed);
    timeout(TIMEOUT, reader.wait_until_ready()).await??;
    for number in 0..50 {
        create(&format!("lost-{number}")).await?;
    }
    maps.delete("restored", &DeleteParams::default()).await?;
    wait_until_converged(&reader, &maps, &ListParams::default(), TIMEOUT).await?;

    cluster.restore(&backup).await?;
    create("new").await?;
    wait_until_converged(&reader, &maps, &ListParams::default(), TIMEOUT).await?;
    check!(timeout(TIMEOUT, detected).await.is_ok_and(|detected| detected.is_ok()));
    let names: Vec<_> = reader.state().iter().filter_map(|map| map.metadata.name.clone()).collect();
    for name in ["kept", "restored", "new"] {
        check!(names.iter().any(|known| known == name), "{names:?}");
    }
    check!(!names.iter().any(|name| name.starts_with("lost")), "{names:?}");
    feed.abort();
    cluster.stop().await;
    Ok(())
}
