//! The row `sim`: the start time, the memory and the request rate of kube-sim. In the same run, kube-apiserver with etcd
//! receives the same requests, and both rates are compared.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use xtask_control_plane::{Cluster, Options};
use xtask_process::progress::Progress;
use xtask_process::{LaunchOptions, Scratch, Streams, SupervisedProgram, log};

use super::build::{Folders, run_cargo};
use super::process;
use super::table;
use super::targets::Verdict;

/// The number of measured starts of a server.
const START_COUNT: u32 = 50;
/// The largest allowed median of the start times in milliseconds.
const MAX_START_MS: f64 = 5.0;
/// The largest allowed memory of 100,000 pods in GiB.
const MAX_MEMORY_GIB: f64 = 1.5;
/// The smallest allowed number of requests per second.
const MIN_RATE: f64 = 5_000.0;
/// The smallest allowed ratio of kube-sim's request rate to kube-apiserver's.
const MIN_RATIO: f64 = 3.0;
/// Bytes in a GiB.
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
/// The time limit for one run of `bench-sim`.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(600);
/// The time limit of kube-sim's start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The numbers of rounds and pods, and the duration of the requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) rounds: usize,
    pub(super) pods: usize,
    /// The seconds for which a round measures the requests to a server, after the warm-up.
    pub(super) seconds: u64,
}

/// The printed table and the figures.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) text: String,
    pub(super) json: Value,
}

/// The output of `bench-sim start`.
#[derive(Debug, Deserialize)]
struct StartFigures {
    first_ms: f64,
    median_ms: f64,
}

/// The output of `bench-sim pods`.
#[derive(Debug, Deserialize)]
struct PodFigures {
    count: u64,
    first_bytes: u64,
    other_bytes: u64,
    json_bytes: u64,
}

/// The output of `bench-sim requests`.
#[derive(Debug, Deserialize)]
struct RequestFigures {
    rate: f64,
    events: u64,
}

/// The paths of the programs `kube-sim` and `bench-sim`.
#[derive(Debug)]
struct Programs {
    server: PathBuf,
    bench: PathBuf,
}

/// Measures kube-sim, and the request rate of kube-apiserver with etcd.
///
/// # Errors
/// If a build fails, a server cannot be started, or a server does not respond as expected.
///
/// # Cancel safety
/// Cancelling terminates all programs.
pub(super) async fn run(
    folders: &Folders,
    scratch: &Scratch,
    progress: &Progress,
    size: Size,
) -> anyhow::Result<Outcome> {
    let programs = build_programs(folders, scratch, progress).await?;
    progress.step("starts of kube-sim");
    let start: StartFigures =
        run_bench_sim(scratch, &programs.bench, &["start", &START_COUNT.to_string()]).await?;
    progress.step(&format!("{} pods in kube-sim", size.pods));
    let pods: PodFigures = run_bench_sim(scratch, &programs.bench, &["pods", &size.pods.to_string()]).await?;
    progress.step("starting kube-apiserver and kube-sim");
    let cluster = Cluster::start(Options::default().without_controllers()).await?;
    let (_server, kubeconfig) = start_server(scratch, &programs.server).await?;
    let (mut simulated, mut real) = (Vec::new(), Vec::new());
    for round in 0..size.rounds {
        progress.step(&format!("requests, round {} of {}", round + 1, size.rounds));
        for (file, rates) in [(kubeconfig.as_path(), &mut simulated), (cluster.kubeconfig(), &mut real)] {
            let (file, seconds) = (file.to_string_lossy(), size.seconds.to_string());
            let one: RequestFigures =
                run_bench_sim(scratch, &programs.bench, &["requests", &file, &seconds]).await?;
            rates.push(one);
        }
    }
    let version = cluster.version().to_owned();
    cluster.stop().await;
    let rates = (median_rate(&simulated)?, median_rate(&real)?);
    Ok(compare_with_targets(size, &start, &pods, rates, &version))
}

async fn build_programs(
    folders: &Folders,
    scratch: &Scratch,
    progress: &Progress,
) -> anyhow::Result<Programs> {
    progress.step("building kube-sim and its bench in release mode");
    let build =
        ["build", "--release", "--quiet", "-p", "kube-sim", "-p", "bench-sim", "--features", "kube-sim/cli"];
    run_cargo(scratch, &folders.root, &folders.target, &build).await?;
    let target = folders.target.join("release");
    Ok(Programs { server: target.join("kube-sim"), bench: target.join("bench-sim") })
}

/// Runs `bench-sim`, and decodes its output.
async fn run_bench_sim<T: DeserializeOwned>(
    scratch: &Scratch,
    bench: &Path,
    args: &[&str],
) -> anyhow::Result<T> {
    let output =
        process::run_to_completion(scratch, bench, PROGRAM_TIMEOUT, |launch| launch.args(args)).await?;
    serde_json::from_str(&output.stdout)
        .with_context(|| format!("the output of bench-sim {} is not valid", args.join(" ")))
}

/// Starts kube-sim without the controllers of workloads, because kube-apiserver also runs without controllers. Returns
/// the process and the path of its kubeconfig.
async fn start_server(scratch: &Scratch, program: &Path) -> anyhow::Result<(SupervisedProgram, PathBuf)> {
    let file = |name: &str| scratch.path().join(format!("kube-sim.{name}"));
    let (kubeconfig, stderr) = (file("kubeconfig"), file("log"));
    let streams = Streams::Files { stdout: file("out"), stderr: stderr.clone() };
    let launch = LaunchOptions::new(program, streams)
        .args(["serve", "--rbac", "--no-workloads", "--kubeconfig"])
        .args([kubeconfig.as_os_str()])
        .scratch(scratch.path());
    let process = SupervisedProgram::spawn(&launch, |_| {})?;
    let deadline = Instant::now() + START_TIMEOUT;
    while !kubeconfig.exists() {
        if process.exit_if_ended().is_some() || Instant::now() > deadline {
            bail!("kube-sim has not started: {}", log::tail(&stderr, 5));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok((process, kubeconfig))
}

/// The median request rate. It is an error if there are no rounds, or if the watches of a round received no events.
fn median_rate(rounds: &[RequestFigures]) -> anyhow::Result<f64> {
    let mut rates: Vec<f64> = rounds.iter().map(|round| round.rate).collect();
    rates.sort_by(f64::total_cmp);
    anyhow::ensure!(rounds.iter().all(|round| round.events > 0), "a round has no events");
    rates.get(rates.len() / 2).copied().context("there are no rounds")
}

/// Compares the figures with the targets. Returns the printed text and the JSON.
fn compare_with_targets(
    size: Size,
    start: &StartFigures,
    pods: &PodFigures,
    (simulated, real): (f64, f64),
    version: &str,
) -> Outcome {
    #[expect(clippy::cast_precision_loss, reason = "the figures are far below 2^52")]
    let (base, per_pod) =
        (pods.first_bytes as f64, pods.other_bytes as f64 / pods.count.saturating_sub(1).max(1) as f64);
    let kib_per_pod = per_pod / 1024.0;
    let gib_of_100_000_pods = (base + per_pod * 100_000.0) / GIB;
    let is = |met: bool, value: f64| if met { Verdict::Met(value) } else { Verdict::Missed(value) };
    let ratio = simulated / real;
    let checks = [
        ("start", format!("ms until the first response <= {MAX_START_MS}"), {
            is(start.median_ms <= MAX_START_MS, start.median_ms)
        }),
        (
            "pods",
            format!("GiB of 100,000 pods <= {MAX_MEMORY_GIB}"),
            is(gib_of_100_000_pods <= MAX_MEMORY_GIB, gib_of_100_000_pods),
        ),
        ("requests", format!("requests a second >= {MIN_RATE}"), is(simulated >= MIN_RATE, simulated)),
        ("requests", format!("rate >= {MIN_RATIO} x that of kube-apiserver"), is(ratio >= MIN_RATIO, ratio)),
    ];
    let verdicts: Vec<_> = checks.iter().map(|(_, _, verdict)| verdict.clone()).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = format!(
        "start: median of {START_COUNT} starts with a node and all controllers; the first start of a process takes {:.1} ms\n\
         pods: {} pods of {} bytes of JSON take {kib_per_pod:.1} KiB each, and the first one {:.0} MiB more with data that all share\n\
         requests: kube-sim {simulated:.0} a second, kube-apiserver {version} with etcd {real:.0} a second; medians of {} \
         rounds of {} s, on {cores} cores that server and clients share, with 20 watches\n{}\n{}",
        start.first_ms,
        pods.count,
        pods.json_bytes,
        base / 1024.0 / 1024.0,
        size.rounds,
        size.seconds,
        table::targets_table(checks.iter().map(|(row, text, verdict)| (*row, text.clone(), verdict))),
        table::summary(&verdicts),
    );
    let json = json!({
        "start_ms": start.median_ms, "first_start_ms": start.first_ms,
        "pods": pods.count, "first_pod_bytes": pods.first_bytes, "other_pods_bytes": pods.other_bytes, "pod_json_bytes": pods.json_bytes,
        "requests_per_second": simulated, "kube_apiserver_requests_per_second": real, "ratio": ratio,
        "kube_apiserver": version, "cores": cores,
    });
    Outcome { text, json }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_text(median_ms: f64, other_bytes: u64, rates: (f64, f64)) -> String {
        let size = Size { rounds: 1, pods: 1000, seconds: 1 };
        let start = StartFigures { first_ms: 9.0, median_ms };
        let pods = PodFigures { count: 1000, first_bytes: 1 << 20, other_bytes, json_bytes: 5000 };
        compare_with_targets(size, &start, &pods, rates, "v1").text
    }

    #[test]
    fn a_fast_small_server_meets_all_targets_and_a_slow_large_server_meets_none() {
        let text = outcome_text(4.0, 10 << 20, (6_000.0, 2_000.0));
        assert!(text.contains("4 of 4 targets met"), "{text}");
        let text = outcome_text(6.0, 20 << 20, (4_000.0, 2_000.0));
        assert!(text.contains("0 of 4 targets met") && text.contains("2.00"), "{text}");
    }

    #[test]
    fn the_median_requires_rounds_with_events() {
        let round = |rate, events| RequestFigures { rate, events };
        assert!(
            (median_rate(&[round(3.0, 1), round(1.0, 1), round(2.0, 1)]).unwrap() - 2.0).abs() < f64::EPSILON
        );
        assert!(median_rate(&[round(1.0, 0)]).is_err());
        assert!(median_rate(&[]).is_err());
    }
}
