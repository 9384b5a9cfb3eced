//! Finds broken nodes, and tells what runs on them and what has been said about them.
//!
//! An [`Informer`] is also a `Stream`, which gives events as they come. The handler calls the API itself: the client is cheap
//! to clone, and the watch goes on meanwhile.
//!
//! ```sh
//! cargo run -p examples --example node_informer
//! ```

use anyhow::Context;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube_client::{
    Api, Client, ResourceExt,
    api::{ListParams, WatchEvent},
};
use kube_runtime::Informer;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
};
use tracing::{info, warn};

fn main() -> ExitCode {
    examples::run(inform())
}

async fn inform() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let mut informer = Informer::new(nodes);
    // The nodes that are broken, and why. A node reports every few seconds, mostly nothing new.
    let mut broken = BTreeMap::new();
    info!("watching nodes");
    while let Some(event) = informer.next().await {
        match event {
            Ok(WatchEvent::Added(node) | WatchEvent::Modified(node)) => {
                let (name, faults) = (node.name_any(), faults(&node));
                if faults.is_empty() {
                    if broken.remove(&name).is_some() {
                        writeln!(io::stdout(), "{name} is well again")?;
                    }
                } else if broken.insert(name.clone(), faults.clone()).as_ref() != Some(&faults) {
                    writeln!(io::stdout(), "{name} is broken: {}", faults.join(", "))?;
                    report(&client, &name).await?;
                }
            }
            Ok(WatchEvent::Deleted(node)) => {
                if broken.remove(&node.name_any()).is_some() {
                    writeln!(io::stdout(), "{} is gone", node.name_any())?;
                }
            }
            Ok(WatchEvent::Bookmark(_) | WatchEvent::Error(_)) => {}
            // Nothing is known yet, and waiting is not likely to help. Later on, the stream heals itself.
            Err(error) if error.undecodable().is_none() && !informer.store().is_ready() => {
                return Err(error.into());
            }
            Err(error) => warn!("going on after: {}", examples::chain(error)),
        }
    }
    Ok(())
}

/// The conditions of a node that are not as they should be: it is ready, and nothing else is the matter.
fn faults(node: &Node) -> Vec<String> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let bad = conditions.filter(|c| if c.type_ == "Ready" { c.status != "True" } else { c.status == "True" });
    bad.map(|c| format!("{} is {} ({})", c.type_, c.status, c.reason.as_deref().unwrap_or("no reason")))
        .collect()
}

/// Prints the pods of a node, and the events about it. That these cannot be had is no reason to end.
async fn report(client: &Client, node: &str) -> io::Result<()> {
    match pods_and_events(client, node).await {
        Ok(lines) => lines.into_iter().try_for_each(|line| writeln!(io::stdout(), "  {line}")),
        Err(error) => {
            warn!("{error:#}");
            Ok(())
        }
    }
}

async fn pods_and_events(client: &Client, node: &str) -> anyhow::Result<Vec<String>> {
    let pods: Api<Pod> = Api::all(client.clone());
    let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
    let pods = pods.list(&on_node).await.with_context(|| format!("cannot list the pods on {node}"))?;

    let events: Api<Event> = Api::all(client.clone());
    let about_node =
        ListParams::default().fields(&format!("involvedObject.kind=Node,involvedObject.name={node}"));
    let events =
        events.list(&about_node).await.with_context(|| format!("cannot list the events of {node}"))?;

    let pods =
        pods.iter().map(|pod| format!("pod {}/{}", pod.namespace().unwrap_or_default(), pod.name_any()));
    let events = events.iter().map(|event| {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("event {}: {}", text(&event.reason), text(&event.message))
    });
    Ok(pods.chain(events).collect())
}
