//! Sends a line to ports of a pod, and prints the answers. All connections share one WebSocket.
//!
//! ```sh
//! cargo run -p examples --example pod_portforward -- web 8080 8081
//! ```

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pod = arguments.next().context("usage: pod_portforward POD PORT...")?;
    let ports = arguments.map(|port| port.parse()).collect::<Result<Vec<u16>, _>>().context("a port")?;

    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    let mut forwarder = pods.portforward(&pod, &ports).await?;
    for port in ports {
        let mut stream = forwarder.take_stream(port).context("the port was requested")?;
        stream.write_all(format!("hello, port {port}\n").as_bytes()).await?;
        // Close only the direction to the pod. The direction from the pod stays open until the pod closes it.
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.with_context(|| format!("port {port}"))?;
        println!("{port}: {}", answer.trim_end());
    }
    forwarder.join().await?;
    Ok(())
}
