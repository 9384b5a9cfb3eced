//! Prints the pods of all namespaces after each poll.
//!
//! A [`Reflector`] is a cache that mirrors the server. The first call of `poll` lists the objects. Each call of `poll`
//! watches for ten seconds. `read` returns the objects.
//!
//! ```sh
//! cargo run -p examples --example pod_reflector
//! ```

use examples::PollChecker;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::Reflector;
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
    let pods: Api<Pod> = Api::all(client);
    let mut reflector = Reflector::new(pods);
    let mut checker = PollChecker::default();
    info!("watching pods");
    loop {
        checker.check_result(reflector.poll().await)?;
        // If a pod does not decode, the poll ends early, possibly before the initial list is complete.
        if reflector.store().is_ready() {
            print_pods(reflector.read())?;
        }
    }
}

fn print_pods(mut pods: Vec<Arc<Pod>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    pods.sort_by_key(|pod| (pod.namespace(), pod.name_any()));
    writeln!(out, "{} pods", pods.len())?;
    for pod in pods {
        let namespace = pod.namespace().unwrap_or_default();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Unknown");
        let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
        writeln!(out, "  {namespace}/{}: {phase}, {containers} containers", pod.name_any())?;
    }
    Ok(())
}
