//! `kube-sim serve`: a simulated cluster on a port.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kube_sim::Sim;
use kube_sim::fault::Plan;
use serde_json::Value;

use crate::Error;

/// Serve a simulated cluster until interrupted, and write a kubeconfig for it.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Args {
    /// The IP address and port to listen on; port 0 selects a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Serve plain HTTP without authentication: any client that reaches the address has full access.
    #[arg(long)]
    http: bool,
    /// The kubeconfig to write. It is replaced if it exists.
    #[arg(long, value_name = "FILE", default_value = "kube-sim.kubeconfig")]
    kubeconfig: PathBuf,
    /// A file with manifests (YAML or JSON) to create at the start, or a folder with such files.
    #[arg(long, value_name = "PATH")]
    load: Vec<PathBuf>,
    /// The number of ready nodes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    nodes: u16,
    /// Run neither the controllers of workloads nor the scheduler: deployments have no pods.
    #[arg(long)]
    no_workloads: bool,
    /// The seed of all random choices.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Authorize requests by RBAC. Without this option, every user may do everything.
    #[arg(long)]
    rbac: bool,
    /// Serve the resource metrics API, for `kubectl top`.
    #[arg(long)]
    metrics: bool,
    /// A file with a fault plan: {"seed": 1, "rules": [..]}.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Record the bodies of requests and responses in the journal, up to this many bytes of each.
    #[arg(long, value_name = "BYTES")]
    record_bodies: Option<usize>,
    /// The loopback address and port of the control endpoint (faults, clock, restart, journal); off by default.
    #[arg(long, value_name = "ADDR")]
    control: Option<SocketAddr>,
}

pub(crate) async fn run(args: Args) -> Result<(), Error> {
    let mut builder = Sim::builder().seed(args.seed).nodes(args.nodes.into());
    if args.rbac {
        builder = builder.rbac();
    }
    if args.metrics {
        builder = builder.metrics_api();
    }
    if !args.no_workloads {
        builder = builder.workloads();
    }
    if let Some(limit) = args.record_bodies {
        builder = builder.record_bodies(limit);
    }
    let sim = builder.build();
    for path in &args.load {
        load_objects(&sim, path)?;
    }
    if let Some(path) = &args.faults {
        let plan: Plan =
            serde_json::from_str(&read_file(path)?).map_err(|e| format!("{}: {e}", path.display()))?;
        sim.faults().load(plan);
    }
    let server =
        if args.http { sim.serve_http(args.listen).await? } else { sim.serve_https(args.listen).await? };
    let control = match args.control {
        Some(addr) => Some(sim.serve_control(addr).await?),
        None => None,
    };
    write_private_file(&args.kubeconfig, &server.kubeconfig())?;
    println!("kube-sim at {}", server.url());
    if let Some(control) = &control {
        println!("control endpoint at {}", control.url());
    }
    println!("export KUBECONFIG={}", std::path::absolute(&args.kubeconfig)?.display());
    crate::wait_for_interrupt().await?;
    server.shutdown().await;
    Ok(())
}

/// Creates the objects in a file. If `path` is a folder, loads its `.yaml`, `.yml` and `.json` files in the order of their
/// names.
fn load_objects(sim: &Sim, path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
        files.retain(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json"));
        files.sort();
        return files.iter().try_for_each(|file| load_objects(sim, file));
    }
    for (document, at) in yaml_serde::Deserializer::from_str(&read_file(path)?).zip(1..) {
        let place = || format!("{}, document {at}", path.display());
        let object =
            <Value as serde::Deserialize>::deserialize(document).map_err(|e| format!("{}: {e}", place()))?;
        if object.is_null() {
            continue;
        }
        let items = match &object["items"] {
            Value::Array(items) if object["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => {
                items.clone()
            }
            _ => vec![object],
        };
        for item in items {
            let name = || format!("{} {}", item["kind"], item["metadata"]["name"]);
            sim.create(&item).map_err(|error| format!("{}: creating {}: {error}", place(), name()))?;
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

/// Writes a file that contains a private key, and replaces an existing file. Only the owner can read the new file.
fn write_private_file(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let written =
        file.and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| fs::rename(&new, path));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
