//! Creates a pod, reads it, changes it, finds it by its label, and deletes it.
//!
//! ```sh
//! cargo run -p examples --example pod_api -- my-pod
//! ```

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use kube_client::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use kube_runtime::wait::{await_condition_within, conditions};
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

fn main() -> ExitCode {
    examples::run(use_pod())
}

async fn use_pod() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).context("usage: pod_api NAME")?;
    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);

    let container = json!({"name": "main", "image": "registry.k8s.io/pause:3.10"});
    let spec = json!({"containers": [container], "terminationGracePeriodSeconds": 1});
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
    let created = pods.create(&PostParams::default(), &pod).await?;
    let uid = created.uid().context("the server sets the uid")?;
    writeln!(io::stdout(), "created {name}")?;

    // The server refuses to create a second pod with the same name. `is_already_exists` recognizes the error.
    match pods.create(&PostParams::default(), &pod).await {
        Err(error) if error.is_already_exists() => writeln!(io::stdout(), "{name} exists already")?,
        Err(error) => return Err(error.into()),
        Ok(_) => bail!("the server has created {name} twice"),
    }

    let label = Patch::Merge(json!({"metadata": {"labels": {"example": name}}}));
    pods.patch(&name, &PatchParams::default(), &label).await?;
    let read = pods.get(&name).await?;
    writeln!(io::stdout(), "labels: {:?}", read.labels())?;

    for pod in pods.list(&ListParams::default().labels(&format!("example={name}"))).await? {
        writeln!(io::stdout(), "found {}", pod.name_any())?;
    }

    // The request only begins the deletion. The server removes the pod after its containers have stopped.
    pods.delete(&name, &DeleteParams::default()).await?;
    await_condition_within(pods, &name, conditions::is_deleted(&uid), Duration::from_secs(60)).await?;
    writeln!(io::stdout(), "deleted {name}")?;
    Ok(())
}
