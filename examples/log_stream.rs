//! Prints the lines of a container's log. With `--follow`, also prints new lines as they are written, until the
//! container ends.
//!
//! ```sh
//! cargo run -p examples --example log_stream -- web --follow
//! ```

use anyhow::{Context, bail};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube_client::{
    Api, Client,
    api::{LogParams, LogStream},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pod =
        arguments.next().context("usage: log_stream POD [--follow] [--stdout | --stderr] [CONTAINER]")?;
    let mut params = LogParams::default();
    for argument in arguments {
        match argument.as_str() {
            "--follow" => params.follow = true,
            // The next two options need the feature gate PodLogsQuerySplitStreams.
            "--stdout" => params.stream = Some(LogStream::Stdout),
            "--stderr" => params.stream = Some(LogStream::Stderr),
            option if option.starts_with('-') => bail!("unknown option {option}"),
            container => params.container = Some(container.to_owned()),
        }
    }
    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    let mut lines = pods.log_stream(&pod, &params).await?.lines();
    while let Some(line) = lines.try_next().await? {
        println!("{line}");
    }
    Ok(())
}
