//! The load source of `cargo xtask bench`: an HTTP/1.1 server that sends bytes which it has prepared once.
//!
//! It takes one argument, a JSON object such as `{"pods":20000,"seed":1}`, prints the address that it serves as its only
//! line, and serves until it is killed. It shares no code with what is measured, so that no defect can hide itself.

mod changes;
#[path = "../../shared/digest.rs"]
mod digest;
mod http;
mod others;
mod pods;
mod serve;
mod session;
mod set;
mod template;
mod world;

use std::net::TcpListener;

use anyhow::Context;
use serde::Deserialize;

/// What to serve.
#[derive(Debug, Deserialize)]
struct Plan {
    /// How many pods, at least two: the last one is special.
    pods: usize,
    /// The same seed gives the same bytes.
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let usage = "one argument is needed, such as {\"pods\":20000,\"seed\":1}";
    let plan = std::env::args().nth(1).context(usage)?;
    let plan: Plan = serde_json::from_str(&plan).context(usage)?;
    anyhow::ensure!(plan.pods >= 2, "at least 2 pods are needed, not {}", plan.pods);
    let world = world::World::new(plan.pods, plan.seed);
    world.pods();
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1")?;
    println!("{}", listener.local_addr().context("cannot tell the address")?);
    serve::Source::new(world).serve(&listener).context("cannot serve")
}
