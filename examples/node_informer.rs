//! Prints unhealthy nodes with their pods and events.
//!
//! An [`Informer`] is a `Stream` of watch events. This program sends further requests while it handles an event: the
//! client is cheap to clone, and the watch stays open during the requests.
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
    examples::run(run_informer())
}

async fn run_informer() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let nodes: Api<Node> = Api::all(client.clone());
    let mut informer = Informer::new(nodes);
    // The name of each unhealthy node, and the conditions that make the node unhealthy. The program prints a node only
    // if these conditions change, because kubelets update the status of every node regularly.
    let mut unhealthy = BTreeMap::new();
    info!("watching nodes");
    while let Some(event) = informer.next().await {
        match event {
            Ok(WatchEvent::Added(node) | WatchEvent::Modified(node)) => {
                let (name, conditions) = (node.name_any(), unhealthy_conditions(&node));
                if conditions.is_empty() {
                    if unhealthy.remove(&name).is_some() {
                        writeln!(io::stdout(), "{name} is healthy")?;
                    }
                } else if unhealthy.insert(name.clone(), conditions.clone()).as_ref() != Some(&conditions) {
                    writeln!(io::stdout(), "{name} is unhealthy: {}", conditions.join(", "))?;
                    print_pods_and_events(&client, &name).await?;
                }
            }
            Ok(WatchEvent::Deleted(node)) => {
                if unhealthy.remove(&node.name_any()).is_some() {
                    writeln!(io::stdout(), "{} is deleted", node.name_any())?;
                }
            }
            Ok(WatchEvent::Bookmark(_) | WatchEvent::Error(_)) => {}
            // Before the initial list is complete, an error is likely to be permanent, unless the cause is an object
            // that does not decode. After a later error, the stream retries.
            Err(error) if error.undecodable().is_none() && !informer.store().is_ready() => {
                return Err(error.into());
            }
            Err(error) => warn!("continuing after: {}", examples::format_with_causes(error)),
        }
    }
    Ok(())
}

/// The conditions that make a node unhealthy: `Ready` if it is not `True`, and any other condition that is `True`.
fn unhealthy_conditions(node: &Node) -> Vec<String> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let bad = conditions.filter(|c| if c.type_ == "Ready" { c.status != "True" } else { c.status == "True" });
    bad.map(|c| format!("{} is {} ({})", c.type_, c.status, c.reason.as_deref().unwrap_or("no reason")))
        .collect()
}

/// Prints the pods on a node, and the node's events. If a request fails, logs the error instead and returns `Ok`.
async fn print_pods_and_events(client: &Client, node: &str) -> io::Result<()> {
    match describe_pods_and_events(client, node).await {
        Ok(lines) => lines.into_iter().try_for_each(|line| writeln!(io::stdout(), "  {line}")),
        Err(error) => {
            warn!("{error:#}");
            Ok(())
        }
    }
}

/// Returns one line for each pod on the node, and one for each event of the node.
async fn describe_pods_and_events(client: &Client, node: &str) -> anyhow::Result<Vec<String>> {
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
