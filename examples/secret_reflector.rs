//! Keeps the secrets of one type in a store, without their values. Prints the content of the store after each change.
//!
//! ```sh
//! cargo run -p examples --example secret_reflector -- kubernetes.io/tls
//! ```

use futures::TryStreamExt;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::{WatchStreamExt, reflector, watcher};
use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};
use tracing::info;

fn main() -> ExitCode {
    examples::run(reflect_secrets())
}

async fn reflect_secrets() -> anyhow::Result<()> {
    let type_ = std::env::args().nth(1).unwrap_or_else(|| "Opaque".to_owned());
    let secrets: Api<Secret> = Api::all(Client::try_default().await?);
    // The server filters the secrets by type.
    let config = watcher::Config::default().fields(&format!("type={type_}"));
    let (store, writer) = reflector::store();
    let mut changes = pin!(
        watcher(secrets, config)
            // Drop the values before the object reaches the store.
            .modify(|secret| {
                secret.managed_fields_mut().clear();
                for value in secret.data.iter_mut().flat_map(|data| data.values_mut()) {
                    *value = ByteString(Vec::new());
                }
            })
            .reflect(writer)
    );
    info!("watching secrets of the type {type_}");
    while changes.try_next().await?.is_some() {
        if store.is_ready() {
            print_secrets(store.state())?;
        }
    }
    Ok(())
}

fn print_secrets(mut secrets: Vec<std::sync::Arc<Secret>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    secrets.sort_by_key(|secret| (secret.namespace(), secret.name_any()));
    writeln!(out, "{} secrets", secrets.len())?;
    for secret in secrets {
        let keys: Vec<_> = secret.data.iter().flat_map(|data| data.keys()).map(String::as_str).collect();
        let namespace = secret.namespace().unwrap_or_default();
        writeln!(out, "  {namespace}/{}: {}", secret.name_any(), keys.join(" "))?;
    }
    Ok(())
}
