//! `cargo xtask kubectl`: runs commands of two versions of kubectl on kube-sim and on a real control plane, and
//! compares exit codes and outputs.
//!
//! The commands are data: each file of `data/scripts` is a `script` of shell commands with its own namespace. `mask`
//! replaces the parts of an output that differ in each run. If the outputs differ, the real control plane is right.
//! `data/known.yaml` lists the commands whose outputs may differ, each with a reason. Every other difference fails the
//! run.

mod containers;
mod known_differences;
mod mask;
mod report;
mod script;
mod server;
mod session;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use xtask_control_plane::build::{Cache, Kubectl};
use xtask_process::progress::Progress;
use xtask_process::{Interrupts, Scratch};

use known_differences::KnownDifferences;
use report::Report;
use script::Script;
use server::Server;
use session::{Observation, Session};

/// Runs commands of kubectl 1.32 and 1.37 on kube-sim and on a real control plane, and compares the outputs.
///
/// Fails if the results of a command differ and data/known.yaml does not name the command. Needs Go: the first run
/// builds kubectl and the control plane.
#[derive(Debug, clap::Args)]
#[non_exhaustive]
pub struct Args {
    /// Run only scripts whose names contain one of these texts.
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// Run only this version of kubectl, such as 1.32.
    #[arg(long, value_name = "VERSION")]
    kubectl: Option<String>,
    /// List the scripts without running them.
    #[arg(long)]
    list: bool,
    /// Run the scripts on kube-sim only, and print each command with its output.
    #[arg(long)]
    sim: bool,
    /// Also print the known differences.
    #[arg(long)]
    verbose: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When no script or no version of kubectl matches the arguments, a data file is invalid, a build fails, or a server or a
/// command cannot be started.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut scripts = script::read_all(&data_folder().join("scripts"))?;
    if !args.filters.is_empty() {
        scripts.retain(|script| args.filters.iter().any(|filter| script.name.contains(filter)));
    }
    ensure!(!scripts.is_empty(), "no script has {} in its name", args.filters.join(" or "));
    if args.list {
        for script in &scripts {
            println!("{}: {} commands", script.name, script.steps.len());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let path = data_folder().join("known.yaml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let known = KnownDifferences::parse(&text)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        tokio::select! {
            outcome = run_scripts_and_compare(args, &scripts, &known) => outcome,
            interrupt = interrupts.next() => Ok(interrupt.announce()),
        }
    })
}

/// Runs the scripts with each kubectl, and compares the results. If the returned future is dropped, the servers
/// and all commands end.
async fn run_scripts_and_compare(
    args: &Args,
    scripts: &[Script],
    known: &KnownDifferences,
) -> anyhow::Result<ExitCode> {
    let progress = Progress::new();
    let mut kubectls = Vec::from(Kubectl::build(&Cache::open()?, &progress).await?);
    kubectls.retain(|kubectl| args.kubectl.as_ref().is_none_or(|version| kubectl.version == *version));
    ensure!(!kubectls.is_empty(), "the versions of kubectl are 1.32 and 1.37");
    let parent = std::env::temp_dir().canonicalize().context("cannot find the temporary folder")?;
    Scratch::sweep(&parent);
    let scratch = Scratch::create(&parent)?;
    let real = if args.sim { None } else { Some(Server::start_real().await?) };
    let mut report = Report::new(known, args.verbose);
    for kubectl in &kubectls {
        // Each kubectl gets new simulations: the cluster-scoped objects that a script does not delete must
        // not influence the other kubectl.
        let simulated = Server::start_simulated(real.as_ref(), kubectl, scratch.path(), false).await?;
        let with_metrics = Server::start_simulated(None, kubectl, scratch.path(), true).await?;
        for script in scripts {
            progress.step(&format!("kubectl {}: {}", kubectl.version, script.name));
            let server = if script.metrics { &with_metrics } else { &simulated };
            let on_sim = Session::create(script, kubectl, server, scratch.path())?;
            let (simulated, real) = match &real {
                None => (on_sim.run(true).await?, Vec::new()),
                Some(_) if script.metrics => {
                    let none = script.steps.iter().map(|_| Observation::default());
                    (on_sim.run(false).await?, none.collect())
                }
                Some(real) => {
                    let on_real = Session::create(script, kubectl, real, scratch.path())?;
                    tokio::try_join!(on_sim.run(false), on_real.run(false))?
                }
            };
            report.compare_observations(script, kubectl, &real, &simulated);
        }
    }
    if let Some(Server::Real { cluster, .. }) = real {
        cluster.stop().await;
    }
    let complete = args.filters.is_empty() && args.kubectl.is_none() && !args.sim;
    let passed = report.finish(complete);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder of the data files.
fn data_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}
