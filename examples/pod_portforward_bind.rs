//! Listens on a local port, and forwards each connection to a port of a pod, as `kubectl port-forward` does. SIGINT
//! ends the program.
//!
//! ```sh
//! cargo run -p examples --example pod_portforward_bind -- web 8080
//! ```

use anyhow::Context;
use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client};
use tokio::{io::copy_bidirectional, net::TcpListener, signal::ctrl_c, task::JoinSet};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let pod = arguments.next().context("usage: pod_portforward_bind POD PORT [LOCAL_PORT]")?;
    let port: u16 = arguments.next().context("the port is missing")?.parse().context("the port")?;
    let local = arguments.next().map_or(Ok(0), |local| local.parse()).context("the local port")?;

    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    let forwarder = pods.portforward(&pod, &[port]).await?;
    let listener = TcpListener::bind(("127.0.0.1", local)).await?;
    println!("forwarding {} to port {port} of {pod}", listener.local_addr()?);

    let mut connections = JoinSet::new();
    let mut interrupt = std::pin::pin!(ctrl_c().fuse());
    loop {
        let (mut client, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = &mut interrupt => return Ok(()),
        };
        // Connections run concurrently over the WebSocket of the forwarder.
        let mut stream = forwarder.connect(port).await?;
        connections.spawn(async move {
            if let Err(error) = copy_bidirectional(&mut client, &mut stream).await {
                eprintln!("a connection failed: {error}");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
