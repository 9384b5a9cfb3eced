//! Prints the config maps with the label `examples.dev/settings`. For a config map that does not decode, prints the
//! reason.
//!
//! `Settings` inherits the group, version, kind and plural of `ConfigMap`, and requires the key `color`.
//! If an object does not decode, `DeserializeGuard` lets the stream return an item that contains the error and the
//! metadata of the object. Without the guard, the stream would return only the error.
//!
//! ```sh
//! cargo run -p examples --example errorbounded_configmap_watcher
//! kubectl create configmap good --from-literal=color=red
//! kubectl label configmap good examples.dev/settings=
//! ```

use futures::TryStreamExt;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube_client::{Api, Client, ResourceExt, core::DeserializeGuard};
use kube_runtime::{WatchStreamExt, watcher};
use serde::Deserialize;
use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};
use tracing::info;

#[derive(kube_derive::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = ConfigMap)]
struct Settings {
    metadata: ObjectMeta,
    data: SettingsData,
}

#[derive(Clone, Debug, Deserialize)]
struct SettingsData {
    color: String,
}

fn main() -> ExitCode {
    examples::run(watch())
}

async fn watch() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let settings: Api<DeserializeGuard<Settings>> = Api::all(client);
    let config = watcher::Config::default().labels("examples.dev/settings");
    let mut objects = pin!(watcher(settings, config).applied_objects());
    info!("watching config maps");
    while let Some(object) = objects.try_next().await? {
        let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        match object.0 {
            Ok(settings) => writeln!(io::stdout(), "{name}: {}", settings.data.color)?,
            Err(invalid) => writeln!(io::stdout(), "{name} is invalid: {}", invalid.error)?,
        }
    }
    Ok(())
}
