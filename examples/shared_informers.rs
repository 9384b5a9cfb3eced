//! Runs two controllers and a subscriber with one watch of config maps. The manager starts the watch. The controllers
//! and the subscriber share the store of the watch.
//!
//! ```sh
//! cargo run -p examples --example shared_informers
//! ```

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::controller::{Action, Changes, backoff_on_error, own};
use kube_runtime::reflector::{DeltaKind, StoreEvent};
use kube_runtime::{Controller, Manager, SharedInformer, watcher};
use std::{
    convert::Infallible,
    io::{self, Write},
    sync::Arc,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let client = Client::try_default().await?;
    let mut manager = Manager::new(client.clone()).without_server();
    let maps: SharedInformer<ConfigMap> =
        manager.informer(Api::default_namespaced(client), watcher::Config::default());
    for measure in [Measure::Keys, Measure::Bytes] {
        let name = format!("{measure:?}").to_lowercase();
        let (store, changes) = Changes::shared(&maps);
        let controller = Controller::from_source(store, changes.handle(own())).named(&name);
        manager.controller(controller, reconcile, backoff_on_error, Arc::new(measure));
    }
    let mut changes = maps.subscribe();
    manager.task("deletions", async move {
        while let Some(event) = changes.next().await {
            // After an error, the informer continues.
            let Ok(StoreEvent::Delta(delta)) = event else { continue };
            if delta.kind() == DeltaKind::Deleted
                && let Some(map) = delta.last()
            {
                println(&format!("deleted {}", map.name_any()));
            }
        }
    });
    manager.run().await?;
    Ok(())
}

/// The number that a controller computes for each config map.
#[derive(Debug)]
enum Measure {
    Keys,
    Bytes,
}

async fn reconcile(map: Arc<ConfigMap>, measure: Arc<Measure>) -> Result<Action, Infallible> {
    let values = map.data.iter().flat_map(|data| data.values());
    let line = match *measure {
        Measure::Keys => format!("{}: {} keys", map.name_any(), values.count()),
        Measure::Bytes => format!("{}: {} bytes", map.name_any(), values.map(String::len).sum::<usize>()),
    };
    println(&line);
    Ok(Action::await_change())
}

/// Prints a line. Ignores a closed stdout: the program must continue.
fn println(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
