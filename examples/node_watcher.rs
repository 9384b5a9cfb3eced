//! Prints the problems of each node that runs Linux, with the events of the node. A problem is a condition `Ready` that
//! is not `True`, or another condition, such as `MemoryPressure`, that is not `False`.
//!
//! ```sh
//! cargo run -p examples --example node_watcher
//! ```

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Event, Node};
use kube_client::{Api, Client, ResourceExt, api::ListParams};
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
    let client = Client::try_default().await?;
    let events: Api<Event> = Api::all(client.clone());
    let linux = watcher::Config::default().labels("kubernetes.io/os=linux");
    let mut nodes = pin!(watcher(Api::<Node>::all(client), linux).applied_objects());
    info!("watching nodes that run Linux");
    while let Some(node) = nodes.try_next().await? {
        let problems = problems(&node);
        if problems.is_empty() {
            continue;
        }
        let name = node.name_any();
        writeln!(io::stdout(), "{name}: {}", problems.join(", "))?;
        let about_node = format!("involvedObject.kind=Node,involvedObject.name={name}");
        for event in events.list(&ListParams::default().fields(&about_node)).await? {
            writeln!(io::stdout(), "  {}", event.message.unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The problems of a node. `Ready` should be `True`, and all other conditions `False`.
fn problems(node: &Node) -> Vec<String> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let expected = |type_: &str| if type_ == "Ready" { "True" } else { "False" };
    conditions
        .filter(|condition| condition.status != expected(&condition.type_))
        .map(|condition| format!("{} is {}", condition.type_, condition.status))
        .collect()
}
