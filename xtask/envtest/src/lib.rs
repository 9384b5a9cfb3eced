//! `cargo xtask envtest`: runs the tests of a Go project with envtest, on kube-sim and on a real API server. Compares which
//! tests passed, and prints the times. The default project is in `xtask/envtest/go`.

mod report;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;
use xtask_control_plane::KubernetesVersion;
use xtask_control_plane::build::{Binaries, Cache};
use xtask_process::cargo::{cargo, variables_from_cargo};
use xtask_process::progress::Progress;
use xtask_process::{Interrupts, LaunchOptions, Scratch, Streams, SupervisedProgram, log};

pub use report::Report;

/// The time between SIGTERM and SIGKILL, in which the tests can stop their control plane.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// The argument of `go test` that limits the time of the tests of one Go package.
const TIMEOUT_ARGUMENT: &str = "-timeout=5m";

/// Runs the tests of a kubebuilder project in Go, once with envtest assets of kube-sim and once with real envtest assets.
///
/// Prints the duration of the tests on each server. Fails if a test fails, or passes on only one server. Needs Go. The
/// first run downloads the modules of the project, and builds kube-apiserver and etcd.
#[derive(Debug, clap::Args)]
#[non_exhaustive]
pub struct Args {
    /// Run the tests on kube-sim only.
    #[arg(long)]
    sim: bool,
    /// The Go project to test, in place of `xtask/envtest/go`.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the project is not a Go module, Go is missing, kube-sim or Kubernetes cannot be built, or `go test` fails but
/// reports no failed test, package or build.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        tokio::select! {
            outcome = compare_test_runs(args) => outcome,
            interrupt = interrupts.next() => Ok(interrupt.announce()),
        }
    })
}

/// Runs the tests on kube-sim and, unless `--sim` is set, on a real API server. Dropping the future of this function ends
/// the processes of the tests.
async fn compare_test_runs(args: &Args) -> anyhow::Result<ExitCode> {
    let project = match &args.project {
        Some(folder) => folder.clone(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("go"),
    };
    ensure!(project.join("go.mod").is_file(), "{} is not a Go module", project.display());
    let parent = std::env::temp_dir().canonicalize().context("cannot find the temporary folder")?;
    Scratch::sweep(&parent);
    let scratch = Scratch::create(&parent)?;
    let simulated = scratch.path().join("kube-sim");
    create_assets(&simulated).await?;
    let on_sim = run_go_test("kube-sim", &project, &simulated, &scratch).await?;
    if args.sim {
        return Ok(exit_code(on_sim.has_passed()));
    }
    let real = scratch.path().join("real");
    let cache = Cache::open()?;
    Binaries::build(KubernetesVersion::LATEST, &cache, &Progress::new()).await?.link_assets(&real)?;
    let name = format!("kube-apiserver {} and etcd", KubernetesVersion::LATEST);
    let on_real = run_go_test(&name, &project, &real, &scratch).await?;
    let differences = on_sim.differences(&on_real);
    for test in &differences {
        println!("passed on one server only: {test}");
    }
    Ok(exit_code(on_sim.has_passed() && on_real.has_passed() && differences.is_empty()))
}

fn exit_code(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Creates the envtest assets of kube-sim in a folder: runs `kube-sim assets` through cargo.
async fn create_assets(folder: &Path) -> anyhow::Result<()> {
    let output = Command::from(cargo())
        .args(["run", "--quiet", "--package", "kube-sim", "--features", "cli", "--", "assets", "--dir"])
        .arg(folder)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("`kube-sim assets` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Runs `go test ./...` with these assets. Prints the failures and the summary, and returns the report.
async fn run_go_test(
    server: &str,
    project: &Path,
    assets: &Path,
    scratch: &Scratch,
) -> anyhow::Result<Report> {
    let file = |suffix: &str| assets.with_extension(suffix);
    let streams = Streams::Files { stdout: file("out"), stderr: file("log") };
    // `go test` runs one package at a time, without cached results, so that the times are comparable.
    let launch = LaunchOptions::new("go", streams)
        .args(["test", "-count=1", "-p=1", "-json", TIMEOUT_ARGUMENT, "./..."])
        .folder(project)
        .grace(GRACE_PERIOD)
        .scratch(scratch.path())
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("KUBEBUILDER_ASSETS", assets)
        // With USE_EXISTING_CLUSTER, envtest would use the cluster of KUBECONFIG in place of the assets.
        .env_remove(["USE_EXISTING_CLUSTER".into(), "KUBECONFIG".into()])
        .env_remove(variables_from_cargo());
    let ended = SupervisedProgram::spawn(&launch, |_| {})?.wait().await;
    ensure!(
        ended.code != 127,
        "cannot run `go`: install Go from https://go.dev/dl, and put `go` on the PATH"
    );
    let events = std::fs::read_to_string(file("out")).context("cannot read the output of `go test`")?;
    let report = Report::parse(&events);
    if ended.code != 0 && !report.has_failures() {
        bail!("`go test` failed on {server} ({ended}): {}", log::tail(&file("log"), 30));
    }
    print!("{}", report.failures());
    println!("{server}: {}", report.summary());
    Ok(report)
}
