//! `cargo xtask sim`: serves kube-sim on a local port, for kubectl and other clients that read a kubeconfig.
//!
//! This package parses the arguments, writes the kubeconfig and runs the command that the user gives after `--`. kube-sim
//! implements the behaviour of the API server.

mod listen;
mod workload;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kube_sim::{Server, Sim};

pub use listen::ListenAddress;
pub use workload::WorkloadOptions;
use xtask_process::{ForegroundCommand, Interrupts, Scratch};

/// The maximum number of nodes. With more nodes, each step of the workload takes too long.
const MAX_NODES: i64 = 1_000;
/// The maximum number of deployments.
const MAX_DEPLOYMENTS: i64 = 200;

/// Serves a simulated cluster on a local port until COMMAND ends or an interrupt arrives.
///
/// Runs COMMAND with KUBECONFIG set, and returns the exit code of COMMAND. Without a COMMAND, serves until interrupted. A
/// workload changes the cluster continuously: nodes become NotReady and Ready again, deployments roll out, pods are
/// created and deleted. The workload also runs the deployments and pods that you create.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask sim -- kubectl get nodes,pods -A
  cargo xtask sim -- cargo run -p examples --example pod_reflector
  cargo xtask sim --listen 127.0.0.1:6443 --calm")]
pub struct Args {
    /// The IP address to listen on, with an optional port; port 0 selects a free port.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: ListenAddress,
    /// Serve plain HTTP without authentication: any client that reaches the address has full access.
    #[arg(long)]
    http: bool,
    /// The number of nodes at the beginning.
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(0..=MAX_NODES))]
    nodes: u16,
    /// The number of deployments that the workload creates.
    #[arg(long, value_name = "N", default_value_t = 6,
          value_parser = clap::value_parser!(u16).range(0..=MAX_DEPLOYMENTS))]
    deployments: u16,
    /// The time between two steps of the workload, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pace: u64,
    /// The seed of all random choices.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Make no random changes. After the start, the workload only reacts to your changes.
    #[arg(long)]
    calm: bool,
    /// Create only the nodes: no pod is scheduled or run.
    #[arg(long, conflicts_with_all = ["calm", "deployments", "pace"])]
    no_workload: bool,
    /// The command to run, with its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the server cannot listen on the address, the kubeconfig cannot be written, or no process can be started for
/// COMMAND. If the program of COMMAND does not exist, `run` returns exit code 127 and no error.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    xtask_process::logging::init();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(main(args))
}

/// Starts the workload and the server. Runs COMMAND, or waits for an interrupt. Then stops the workload and the server.
async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let sim = Sim::builder().seed(args.seed).nodes(args.nodes.into()).build();
    let workload = if args.no_workload { None } else { Some(workload_options(&args).start(&sim).await) };
    let server = if args.http {
        sim.serve_http(args.listen.into()).await
    } else {
        sim.serve_https(args.listen.into()).await
    };
    let server = server.map_err(|error| anyhow!(error).context("cannot serve: is the port in use?"))?;
    let scratch = create_scratch()?;
    let kubeconfig = scratch.path().join("kubeconfig");
    create_private_file(&kubeconfig, &server.kubeconfig())?;
    let outcome = if args.command.is_empty() {
        wait_until_interrupted(&server, &kubeconfig, &mut interrupts).await
    } else {
        let command = ForegroundCommand::start(&args.command, [("KUBECONFIG", &kubeconfig)])?;
        Ok(command.finish(&mut interrupts).await)
    };
    drop(workload);
    server.shutdown().await;
    outcome
}

/// Converts the arguments to the options of the workload.
fn workload_options(args: &Args) -> WorkloadOptions {
    WorkloadOptions {
        nodes: args.nodes.into(),
        deployments: args.deployments.into(),
        seed: args.seed,
        pace: Duration::from_millis(args.pace),
        calm: args.calm,
    }
}

/// Creates a temporary folder for this run. First removes the temporary folders that killed processes left behind.
fn create_scratch() -> anyhow::Result<Scratch> {
    let parent = std::env::temp_dir();
    let parent =
        parent.canonicalize().with_context(|| format!("cannot find the folder {}", parent.display()))?;
    Scratch::sweep(&parent);
    Scratch::create(&parent)
}

/// Writes `text` to a new file that only the owner of the file can read: the text may contain a private key.
fn create_private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Prints the server's URL and the path of the kubeconfig, and waits for an interrupt.
async fn wait_until_interrupted(
    server: &Server,
    kubeconfig: &Path,
    interrupts: &mut Interrupts,
) -> anyhow::Result<ExitCode> {
    println!("kube-sim at {}", server.url());
    println!("export KUBECONFIG={}", kubeconfig.display());
    println!("Press Ctrl-C to stop it.");
    // Without a COMMAND, an interrupt is the normal end of `sim` and not a failure.
    interrupts.next().await;
    Ok(ExitCode::SUCCESS)
}
