//! Connects to the first process of a pod's only container. Sends the standard input to the process and
//! prints the output of the process, until the output ends.
//!
//! ```sh
//! cargo run -p examples --example pod_attach -- web
//! ```

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client, api::AttachParams};
use tokio::io::{AsyncWriteExt, copy, stdin, stdout};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pod = std::env::args().nth(1).context("usage: pod_attach POD")?;
    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut process = pods.attach(&pod, &params).await?;
    let mut to_process = process.stdin().context("stdin")?;
    let mut output = process.stdout().context("stdout")?;
    let input = tokio::spawn(async move {
        copy(&mut stdin(), &mut to_process).await?;
        to_process.shutdown().await
    });
    copy(&mut output, &mut stdout()).await?;
    input.abort();
    process.join().await?;
    // Exit immediately: a return from `main` would wait for the thread that reads the standard input.
    std::process::exit(0)
}
