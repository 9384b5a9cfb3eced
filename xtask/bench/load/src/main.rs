//! Runs the mock API server as a process. The only argument is a plan in JSON, such as
//! `{"pods":20000,"seed":1}`. The process prints one line with its addresses for HTTP and for HTTPS, and then serves
//! until it is killed.

use std::net::TcpListener;

use anyhow::Context;
use bench_load::{MockServer, Plan};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() -> anyhow::Result<()> {
    let usage = "expected one argument, such as {\"pods\":20000,\"seed\":1}";
    let argument = std::env::args().nth(1).context(usage)?;
    let plan: Plan = serde_json::from_str(&argument).context(usage)?;
    raise_file_limit()?;
    let server = MockServer::new(plan)?;
    let listen = || TcpListener::bind("127.0.0.1:0").context("cannot listen on 127.0.0.1");
    let (http, https) = (listen()?, listen()?);
    let address = |listener: &TcpListener| listener.local_addr().context("cannot read the local address");
    println!("{} {}", address(&http)?, address(&https)?);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve_tls(https));
        server.serve(&http).context("cannot serve connections")?;
        serving.join().map_or(Ok(()), |done| done.context("cannot serve TLS connections"))
    })
}

/// Raises the limit on open files to its maximum: kube opens one connection for each watch.
fn raise_file_limit() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .context("cannot raise the limit on open files")
}
