//! Prints the rollout status of the deployments of all namespaces after each poll.
//!
//! Deployments are large, but this program reads only six fields of their spec and status. The program declares these
//! fields in its own structs. The decoder skips all other fields of the spec and the status: the skipped
//! fields take no memory.
//!
//! ```sh
//! cargo run -p examples --example deployment_reflector
//! ```

use examples::PollChecker;
use k8s_openapi::api::apps::v1;
use kube_client::{
    Api, Client, ResourceExt,
    api::{ApiResource, Object},
};
use kube_runtime::Reflector;
use serde::Deserialize;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use tracing::info;

/// The fields of the spec that this program reads. An optional field is an `Option` or has a default.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    replicas: i32,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    min_ready_seconds: i32,
}

/// The fields of the status that this program reads. The server omits numbers that are zero.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    updated_replicas: i32,
    ready_replicas: i32,
}

type Deployment = Object<Spec, Status>;

fn main() -> ExitCode {
    examples::run(run_reflector())
}

async fn run_reflector() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    // `Object` does not determine the resource, so the `Api` needs an `ApiResource`. This `ApiResource` comes from a
    // Rust type. For a kind without a Rust type, use `ApiResource::from_gvk`.
    let resource = ApiResource::erase::<v1::Deployment>(&());
    let deployments: Api<Deployment> = Api::all_with(client, &resource);
    let mut reflector = Reflector::new(deployments);
    let mut checker = PollChecker::default();
    info!("watching deployments");
    loop {
        checker.check_result(reflector.poll().await)?;
        // If a deployment does not decode, the poll ends early, possibly before the initial list is complete.
        if reflector.store().is_ready() {
            print_deployments(reflector.read())?;
        }
    }
}

fn print_deployments(mut deployments: Vec<Arc<Deployment>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    deployments.sort_by_key(|deployment| (deployment.namespace(), deployment.name_any()));
    writeln!(out, "{} deployments", deployments.len())?;
    for deployment in deployments {
        let namespace = deployment.namespace().unwrap_or_default();
        let name = deployment.name_any();
        let Spec { replicas, paused, min_ready_seconds } = deployment.spec;
        let status = deployment.status.clone().unwrap_or_default();
        let Status { observed_generation, updated_replicas, ready_replicas } = status;
        write!(
            out,
            "  {namespace}/{name}: {replicas} desired, {updated_replicas} updated, {ready_replicas} ready"
        )?;
        if min_ready_seconds > 0 {
            write!(out, " (minReadySeconds {min_ready_seconds})")?;
        }
        if paused {
            write!(out, ", paused")?;
        }
        if deployment.metadata.generation.is_some_and(|generation| generation > observed_generation) {
            write!(out, ", change not observed yet")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
