//! Prints the events of the cluster. An argument selects the events about all objects of a kind, such as `Pod`, or
//! about one object, such as `Pod/web`.
//!
//! ```sh
//! cargo run -p examples --example event_watcher -- Pod/web
//! ```

use anyhow::bail;
use futures::TryStreamExt;
use k8s_openapi::api::{core::v1::ObjectReference, events::v1::Event};
use kube_client::{Api, Client};
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
    let config = config_from_arguments(&std::env::args().skip(1).collect::<Vec<_>>())?;
    let events: Api<Event> = Api::all(Client::try_default().await?);
    let mut events = pin!(watcher(events, config).applied_objects());
    info!("watching events");
    while let Some(event) = events.try_next().await? {
        let ObjectReference { kind, name, .. } = event.regarding.unwrap_or_default();
        writeln!(
            io::stdout(),
            "{} {}: {}/{}: {}",
            event.type_.unwrap_or_default(),
            event.reason.unwrap_or_default(),
            kind.unwrap_or_default(),
            name.unwrap_or_default(),
            event.note.unwrap_or_default(),
        )?;
    }
    Ok(())
}

/// Returns the configuration of a watcher for the events that the arguments select. The server filters the events.
fn config_from_arguments(arguments: &[String]) -> anyhow::Result<watcher::Config> {
    let config = watcher::Config::default();
    Ok(match arguments {
        [] => config,
        [object] => match object.split_once('/') {
            Some((kind, name)) => config.fields(&format!("regarding.kind={kind},regarding.name={name}")),
            None => config.fields(&format!("regarding.kind={object}")),
        },
        _ => bail!("usage: event_watcher [KIND | KIND/NAME]"),
    })
}
