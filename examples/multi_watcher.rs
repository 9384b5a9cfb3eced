//! Watches three kinds concurrently, and prints each change with the kind of its object.
//!
//! ```sh
//! cargo run -p examples --example multi_watcher
//! ```

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::{Api, Client, Resource, ResourceExt, core::NamespaceResourceScope};
use kube_runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use std::{
    fmt::Debug,
    io::{self, Write},
    process::ExitCode,
};
use tracing::info;

/// An object of one of the kinds.
enum Watched {
    ConfigMap(Box<ConfigMap>),
    Deployment(Box<Deployment>),
    Secret(Box<Secret>),
}

fn main() -> ExitCode {
    examples::run(watch())
}

async fn watch() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let mut objects = stream::select_all([
        changes(&client).map_ok(|map| Watched::ConfigMap(Box::new(map))).boxed(),
        changes(&client).map_ok(|deployment| Watched::Deployment(Box::new(deployment))).boxed(),
        changes(&client).map_ok(|secret| Watched::Secret(Box::new(secret))).boxed(),
    ]);
    info!("watching config maps, deployments and secrets");
    while let Some(object) = objects.try_next().await? {
        let line = match object {
            Watched::ConfigMap(map) => format!("config map {}", map.name_any()),
            Watched::Deployment(deployment) => {
                let replicas = deployment.spec.replicas.unwrap_or(1);
                format!("deployment {}: {replicas} replicas", deployment.metadata.name.unwrap_or_default())
            }
            Watched::Secret(secret) => {
                format!("secret {}: {} keys", secret.name_any(), secret.data.map_or(0, |data| data.len()))
            }
        };
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}

/// The new and changed objects of a kind in the default namespace.
fn changes<K>(client: &Client) -> impl futures::Stream<Item = watcher::Result<K>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: DeserializeOwned + Clone + Debug + Send + Sync + 'static,
{
    watcher(Api::<K>::default_namespaced(client.clone()), watcher::Config::default()).applied_objects()
}
