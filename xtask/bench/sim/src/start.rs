//! Measures the time from the start of a server to its first response.

use std::time::Instant;

use kube_sim::Sim;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request that lists the namespaces and closes the connection.
const REQUEST: &[u8] = b"GET /api/v1/namespaces HTTP/1.1\r\nHost: kube-sim\r\nConnection: close\r\n\r\n";

/// Starts a server, and then `count` more servers (at least one) in sequence. The first start also parses the data that
/// all servers of a process share. Returns the time of the first start and the median time of the later starts, in
/// milliseconds.
///
/// # Errors
/// When a server cannot listen, or does not list its namespaces.
pub(crate) async fn measure(count: u32) -> anyhow::Result<Value> {
    let first = measure_one_start().await?;
    let mut times = Vec::new();
    for _ in 0..count.max(1) {
        times.push(measure_one_start().await?);
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({"first_ms": first, "median_ms": times[times.len() / 2]}))
}

/// Starts a server with a node and all controllers, and returns the milliseconds until it has listed its namespaces.
async fn measure_one_start() -> anyhow::Result<f64> {
    let begin = Instant::now();
    let sim = Sim::builder().nodes(1).workloads().build();
    let server = sim.serve_http(([127, 0, 0, 1], 0).into()).await?;
    let mut connection = TcpStream::connect(server.local_addr()).await?;
    connection.write_all(REQUEST).await?;
    let mut response = String::new();
    connection.read_to_string(&mut response).await?;
    let time = begin.elapsed();
    anyhow::ensure!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("kube-system"),
        "the server does not list its namespaces: {response}"
    );
    server.shutdown().await;
    Ok(time.as_secs_f64() * 1e3)
}
