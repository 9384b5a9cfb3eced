//! Copies a file or folder into or out of a pod, as `kubectl cp` does. The container must have the program `tar`.
//!
//! ```sh
//! cargo run -p examples --example pod_cp -- ./data web:/tmp/data
//! cargo run -p examples --example pod_cp -- web:/tmp/data ./data
//! ```

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client, api::CopyParams};
use std::path::Path;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (source, target) = (arguments.next(), arguments.next());
    let (source, target) = source.zip(target).context("usage: pod_cp [POD:]SOURCE [POD:]TARGET")?;

    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    match (source.split_once(':'), target.split_once(':')) {
        (None, Some((pod, path))) => {
            pods.copy_to(pod, Path::new(&source), path, &CopyParams::default()).await?;
        }
        (Some((pod, path)), None) => {
            let copied = pods.copy_from(pod, path, Path::new(&target), &CopyParams::default()).await?;
            println!("copied {} bytes in {} files", copied.bytes, copied.files);
            for path in copied.skipped {
                println!("skipped {}", path.display());
            }
        }
        _ => bail!("either the source or the target must be in a pod"),
    }
    Ok(())
}
