//! Prints the nodes of the cluster, with their capacity, after each poll.
//!
//! This example is like `pod_reflector`, but the kind is cluster-scoped, and a label selector selects the nodes that run
//! Linux.
//!
//! ```sh
//! cargo run -p examples --example node_reflector
//! ```

use examples::PollChecker;
use k8s_openapi::api::core::v1::Node;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::{Reflector, watcher};
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use tracing::info;

fn main() -> ExitCode {
    examples::run(run_reflector())
}

async fn run_reflector() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let nodes: Api<Node> = Api::all(client);
    let linux = watcher::Config::default().labels("kubernetes.io/os=linux");
    let mut reflector = Reflector::with_config(nodes, linux);
    let mut checker = PollChecker::default();
    info!("watching nodes that run Linux");
    loop {
        checker.check_result(reflector.poll().await)?;
        // If a node does not decode, the poll ends early, possibly before the initial list is complete.
        if reflector.store().is_ready() {
            print_nodes(reflector.read())?;
        }
    }
}

fn print_nodes(mut nodes: Vec<Arc<Node>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    nodes.sort_by_key(|node| node.name_any());
    writeln!(out, "{} nodes", nodes.len())?;
    for node in nodes {
        let status = node.status.as_ref();
        let capacity = |resource| {
            let quantity = status?.capacity.as_ref()?.get(resource)?;
            Some(quantity.0.as_str())
        };
        let kubelet = status.and_then(|status| status.node_info.as_ref()).map(|info| &*info.kubelet_version);
        writeln!(
            out,
            "  {}: {} cpu, {} memory, kubelet {}",
            node.name_any(),
            capacity("cpu").unwrap_or("?"),
            capacity("memory").unwrap_or("?"),
            kubelet.unwrap_or("?"),
        )?;
    }
    Ok(())
}
