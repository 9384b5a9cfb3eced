//! Prints each change of the pods of all namespaces.
//!
//! An [`Informer`] is a queue of events: `poll` watches for ten seconds and adds events to the queue, and `pop` removes
//! the first event. The pods of the initial list are `Added` events.
//!
//! ```sh
//! cargo run -p examples --example pod_informer
//! ```

use examples::PollChecker;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client, ResourceExt, api::WatchEvent};
use kube_runtime::Informer;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use tracing::info;

fn main() -> ExitCode {
    examples::run(run_informer())
}

async fn run_informer() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let pods: Api<Pod> = Api::all(client);
    let mut informer = Informer::new(pods);
    let mut checker = PollChecker::default();
    info!("watching pods");
    loop {
        checker.check_result(informer.poll().await)?;
        while let Some(event) = informer.pop() {
            print_event(&event)?;
        }
    }
}

fn print_event(event: &WatchEvent<Arc<Pod>>) -> io::Result<()> {
    let mut out = io::stdout();
    match event {
        WatchEvent::Added(pod) => writeln!(out, "added    {}", format_pod(pod)),
        WatchEvent::Modified(pod) => writeln!(out, "modified {}", format_pod(pod)),
        WatchEvent::Deleted(pod) => writeln!(out, "deleted  {}", format_pod(pod)),
        // Ignore both: a bookmark contains only a resource version, and `poll` has already returned the error of an
        // error event.
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => Ok(()),
    }
}

/// Formats a pod, for example `default/web-1: Running on node-3`.
fn format_pod(pod: &Pod) -> String {
    let namespace = pod.namespace().unwrap_or_default();
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Unknown");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("no node");
    format!("{namespace}/{}: {phase} on {node}", pod.name_any())
}
