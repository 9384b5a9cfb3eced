//! Runs the mock API server as a process. The process takes one argument, a plan as JSON such as
//! `{"pods":20000,"seed":1}`, prints its addresses for HTTP and for HTTPS as its only line, and serves until it is killed.

use std::net::TcpListener;

use anyhow::Context;
use bench_load::{MockServer, Plan};

fn main() -> anyhow::Result<()> {
    let usage = "expected one argument, such as {\"pods\":20000,\"seed\":1}";
    let plan = std::env::args().nth(1).context(usage)?;
    let plan: Plan = serde_json::from_str(&plan).context(usage)?;
    let server = MockServer::new(plan)?;
    let listen = || TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1");
    let (plain, tls) = (listen()?, listen()?);
    let address = |listener: &TcpListener| listener.local_addr().context("cannot read the local address");
    println!("{} {}", address(&plain)?, address(&tls)?);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve_tls(tls));
        server.serve(&plain).context("cannot serve connections")?;
        serving.join().map_or(Ok(()), |done| done.context("cannot serve TLS connections"))
    })
}
