//! Evicts a pod: deletes the pod as soon as its disruption budgets allow the deletion, as `kubectl drain` does.
//!
//! ```sh
//! cargo run -p examples --example pod_evict -- web
//! ```

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client, api::EvictParams};
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};
use tokio::time::sleep;

/// The interval between two attempts, as in kubectl.
const INTERVAL: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    examples::run(evict())
}

async fn evict() -> anyhow::Result<()> {
    let pod = std::env::args().nth(1).context("usage: pod_evict POD")?;
    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    loop {
        match pods.evict(&pod, &EvictParams::default()).await {
            Ok(_) => {
                writeln!(io::stdout(), "evicted {pod}")?;
                return Ok(());
            }
            // The budget allows the eviction later, when enough other pods of the budget are ready.
            Err(error) if error.is_too_many_requests() => {
                // Ignore a closed stdout: the program still has to evict the pod.
                let _ = writeln!(io::stdout(), "a budget protects {pod}: waiting");
            }
            Err(error) => return Err(error.into()),
        }
        sleep(INTERVAL).await;
    }
}
