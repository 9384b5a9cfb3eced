//! Watches three kinds concurrently, and prints each existing, new or changed object with its kind.
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

/// An object of one of the three kinds.
enum WatchedObject {
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
        applied_objects(&client).map_ok(|map| WatchedObject::ConfigMap(Box::new(map))).boxed(),
        applied_objects(&client).map_ok(|deployment| WatchedObject::Deployment(Box::new(deployment))).boxed(),
        applied_objects(&client).map_ok(|secret| WatchedObject::Secret(Box::new(secret))).boxed(),
    ]);
    info!("watching config maps, deployments and secrets");
    while let Some(object) = objects.try_next().await? {
        let line = match object {
            WatchedObject::ConfigMap(map) => format!("config map {}", map.name_any()),
            WatchedObject::Deployment(deployment) => {
                let replicas = deployment.spec.replicas.unwrap_or(1);
                format!("deployment {}: {replicas} replicas", deployment.metadata.name.unwrap_or_default())
            }
            WatchedObject::Secret(secret) => {
                format!("secret {}: {} keys", secret.name_any(), secret.data.map_or(0, |data| data.len()))
            }
        };
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}

/// Returns a stream of the existing, new and changed objects of a kind in the default namespace.
fn applied_objects<K>(client: &Client) -> impl futures::Stream<Item = watcher::Result<K>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: DeserializeOwned + Clone + Debug + Send + Sync + 'static,
{
    watcher(Api::<K>::default_namespaced(client.clone()), watcher::Config::default()).applied_objects()
}
