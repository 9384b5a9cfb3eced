//! The `cluster` subcommand: its arguments and output. Only [`Cluster`] starts components.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use super::options::{FeatureGate, MAX_API_SERVERS, Options, Source};
use super::{Cluster, KubernetesVersion};
use xtask_process::progress::Progress;
use xtask_process::{ForegroundCommand, Interrupts};

/// Starts a real Kubernetes control plane, built from source without a container engine, and stops it at the end.
///
/// Runs COMMAND with KUBECONFIG set and a kubectl of the server's version on the PATH. Returns the exit code of COMMAND.
/// Without a COMMAND, runs until interrupted. Pods have no containers: `kubectl exec` runs its command on this machine,
/// and a forwarded port echoes the received bytes. The first start builds all components with Go, which takes minutes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The version of Kubernetes, as MAJOR.MINOR.PATCH or MAJOR.MINOR.
    #[arg(long, value_name = "VERSION", default_value_t = KubernetesVersion::LATEST)]
    kubernetes: KubernetesVersion,
    /// Use the etcd and kube-apiserver in this folder (usually the value of KUBEBUILDER_ASSETS). No controllers or nodes
    /// are started, so pods do not run.
    #[arg(long, value_name = "DIR", conflicts_with = "kubernetes")]
    assets: Option<PathBuf>,
    /// The number of API servers, which share one etcd. The kubeconfig has the address of the first.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=i64::try_from(MAX_API_SERVERS).unwrap_or(1)))]
    api_servers: u8,
    /// Set a feature gate of all components, as NAME or NAME=false; may be repeated.
    #[arg(long = "feature-gate", value_name = "NAME")]
    feature_gates: Vec<FeatureGate>,
    /// Write the components' logs to this folder, and keep them after the end.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// The command to run, with its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the cluster or COMMAND cannot be started, or a component dies.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(run_cluster(args))
}

/// Starts the cluster, runs COMMAND or waits for an interrupt, and stops the cluster.
async fn run_cluster(args: Args) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let options = Options::default()
        .source(args.assets.map_or(Source::Build(args.kubernetes), Source::Assets))
        .api_servers(args.api_servers.into())
        .feature_gates(args.feature_gates)
        .progress(Progress::new());
    let options = match args.logs {
        Some(folder) => options.logs(folder),
        None => options,
    };
    // An interrupt drops the future of `start`. The drop ends the started components.
    let cluster = tokio::select! {
        biased;
        interrupt = interrupts.next() => return Ok(interrupt.announce()),
        cluster = Cluster::start(options) => cluster?,
    };
    let outcome = if args.command.is_empty() {
        run_until_interrupted(&cluster, &mut interrupts).await
    } else {
        run_command(&cluster, &args.command, &mut interrupts).await
    };
    cluster.stop().await;
    outcome
}

/// Prints the URLs of the API servers, the folder of the logs and the path of the kubeconfig. Waits for an interrupt or the
/// death of a component.
async fn run_until_interrupted(cluster: &Cluster, interrupts: &mut Interrupts) -> anyhow::Result<ExitCode> {
    for (index, server) in cluster.api_servers().iter().enumerate() {
        println!(
            "Kubernetes {} at {}{}",
            cluster.version(),
            server.url(),
            if index > 0 { " (same etcd)" } else { "" }
        );
    }
    println!("logs in {}", cluster.log_folder().display());
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("Press Ctrl-C to stop it.");
    tokio::select! {
        death = cluster.wait_for_death() => Err(death.into()),
        // Without a COMMAND, an interrupt is the normal end of the cluster and not a failure.
        _ = interrupts.next() => Ok(ExitCode::SUCCESS),
    }
}

/// Runs COMMAND until it ends, a component dies or the user interrupts.
async fn run_command(
    cluster: &Cluster,
    command: &[OsString],
    interrupts: &mut Interrupts,
) -> anyhow::Result<ExitCode> {
    let path = cluster.command_path();
    let variables = [("KUBECONFIG", cluster.kubeconfig().as_os_str()), ("PATH", path.as_os_str())];
    let command = ForegroundCommand::start(command, variables)?;
    tokio::select! {
        code = command.finish(interrupts) => Ok(code),
        death = cluster.wait_for_death() => Err(death.into()),
    }
}
