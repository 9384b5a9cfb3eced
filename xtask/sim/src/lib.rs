//! `cargo xtask sim`: kube-sim on a local port, for kubectl and whatever else reads a kubeconfig.
//!
//! Owns the arguments, the kubeconfig's folder and the command that is run; what is served is kube-sim's work.

mod listen;
mod load;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kube_sim::{Server, Sim};

pub use listen::Listen;
pub use load::Load;
use xtask_process::{Foreground, Interrupts, Scratch};

/// More nodes than this make each step of the workload slow.
const MOST_NODES: i64 = 1_000;
const MOST_DEPLOYMENTS: i64 = 200;

/// Serves a simulated cluster on a local port, and takes it down at the end.
///
/// Runs COMMAND with KUBECONFIG set, and gives its exit code; without one it stays until interrupted. A workload keeps
/// the cluster busy: nodes break and heal, deployments roll, pods come and go. The deployments and pods that you create
/// are taken care of as well.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask sim -- kubectl get nodes,pods -A
  cargo xtask sim -- cargo run -p examples --example pod_reflector
  cargo xtask sim --listen 127.0.0.1:6443 --calm")]
pub struct Args {
    /// Where to listen: an IP address, with a port or without one; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: Listen,
    /// Plain HTTP, without certificates: whoever reaches the address may do everything.
    #[arg(long)]
    http: bool,
    /// How many nodes there are at the beginning.
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(0..=MOST_NODES))]
    nodes: u16,
    /// How many deployments the workload has.
    #[arg(long, value_name = "N", default_value_t = 6,
          value_parser = clap::value_parser!(u16).range(0..=MOST_DEPLOYMENTS))]
    deployments: u16,
    /// The time between two steps of the workload, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pace: u64,
    /// The seed of everything that happens by chance.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Nothing breaks or changes by itself; what you ask for still happens.
    #[arg(long)]
    calm: bool,
    /// Only the nodes: nobody schedules or runs anything.
    #[arg(long, conflicts_with_all = ["calm", "deployments", "pace"])]
    no_workload: bool,
    /// What to run.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the address cannot be listened on, the kubeconfig cannot be written or the command cannot be started.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    xtask_process::logging::init();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(main(args))
}

async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let sim = Sim::builder().seed(args.seed).nodes(args.nodes.into()).build();
    let workload = if args.no_workload { None } else { Some(load(&args).start(&sim).await) };
    let server = if args.http {
        sim.serve_http(args.listen.into()).await
    } else {
        sim.serve_https(args.listen.into()).await
    };
    let server = server.map_err(|error| anyhow!(error).context("cannot serve: is the port in use?"))?;
    let scratch = scratch()?;
    let kubeconfig = scratch.path().join("kubeconfig");
    write(&kubeconfig, &server.kubeconfig())?;
    let outcome = if args.command.is_empty() {
        stay(&server, &kubeconfig, &mut interrupts).await
    } else {
        let command = Foreground::start(&args.command, [("KUBECONFIG", &kubeconfig)])?;
        Ok(command.finish(&mut interrupts).await)
    };
    drop(workload);
    server.shutdown().await;
    outcome
}

fn load(args: &Args) -> Load {
    Load {
        nodes: args.nodes.into(),
        deployments: args.deployments.into(),
        seed: args.seed,
        pace: Duration::from_millis(args.pace),
        calm: args.calm,
    }
}

fn scratch() -> anyhow::Result<Scratch> {
    let parent = std::env::temp_dir();
    let parent = parent.canonicalize().with_context(|| format!("there is no folder {}", parent.display()))?;
    Scratch::sweep(&parent);
    Scratch::create(&parent)
}

/// Writes a file that only this user can read: there is a private key in it.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

async fn stay(server: &Server, kubeconfig: &Path, interrupts: &mut Interrupts) -> anyhow::Result<ExitCode> {
    println!("kube-sim at {}", server.url());
    println!("export KUBECONFIG={}", kubeconfig.display());
    println!("Ctrl-C takes it down.");
    // The way it is meant to end.
    interrupts.next().await;
    Ok(ExitCode::SUCCESS)
}
