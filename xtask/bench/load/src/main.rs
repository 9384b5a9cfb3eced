//! Runs the mock API server as a process. The process takes one argument, a plan as JSON such as
//! `{"pods":20000,"seed":1}`, prints its address as its only line, and serves until it is killed.

use std::net::TcpListener;

use anyhow::Context;
use bench_load::{MockServer, Plan};

fn main() -> anyhow::Result<()> {
    let usage = "expected one argument, such as {\"pods\":20000,\"seed\":1}";
    let plan = std::env::args().nth(1).context(usage)?;
    let plan: Plan = serde_json::from_str(&plan).context(usage)?;
    let server = MockServer::new(plan)?;
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?;
    println!("{}", listener.local_addr().context("cannot read the local address")?);
    server.serve(&listener).context("cannot serve connections")
}
