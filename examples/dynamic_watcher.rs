//! Watches the objects of a kind for which the program has no Rust type. The argument names the resource, as for
//! kubectl.
//!
//! ```sh
//! cargo run -p examples --example dynamic_watcher -- deployments.apps
//! ```

use anyhow::{Context, bail};
use futures::TryStreamExt;
use kube_client::{Api, Client, Discovery, ResourceExt, api::DynamicObject, discovery::verbs};
use kube_runtime::{WatchStreamExt, watcher};
use std::{
    io::{self, Write},
    pin::pin,
    process::ExitCode,
};
use tracing::info;

fn main() -> ExitCode {
    examples::run(watch())
}

async fn watch() -> anyhow::Result<()> {
    let argument = std::env::args().nth(1).context("usage: dynamic_watcher RESOURCE")?;
    let client = Client::try_default().await?;
    let discovery = Discovery::new(client.clone()).run().await?;
    let (resource, capabilities) =
        discovery.resolve(&argument).with_context(|| format!("the server has no resource {argument}"))?;
    if !capabilities.supports_operation(verbs::WATCH) {
        bail!("{} cannot be watched", resource.plural);
    }
    let objects: Api<DynamicObject> = Api::dynamic(client, &resource, &capabilities.scope);
    let mut objects = pin!(watcher(objects, watcher::Config::default()).applied_objects());
    info!("watching {}", resource.plural);
    while let Some(object) = objects.try_next().await? {
        let namespace = object.namespace().map(|namespace| namespace + "/").unwrap_or_default();
        let mut fields: Vec<_> =
            object.data.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        fields.sort_unstable();
        writeln!(io::stdout(), "{} {namespace}{}: {}", resource.kind, object.name_any(), fields.join(" "))?;
    }
    Ok(())
}
