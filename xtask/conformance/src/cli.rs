//! The `conformance` subcommand: its arguments, its report and its exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use xtask_control_plane::{KubernetesVersion, Source};

use crate::case::Case;
use crate::coverage;
use crate::endpoint::Endpoint;
use crate::known_differences::KnownDifferences;
use crate::mutation::{self, Sample};
use crate::runner::{self, Outcome, Servers};
use crate::scenario;

/// The minimum percentage of mutations for which the verdicts of both servers must be equal.
const MIN_AGREEMENT: f64 = 95.0;

/// Sends the same requests to kube-sim and to a real API server, and compares the responses
///
/// The real server consists of etcd and kube-apiserver, which are built from source with Go on first use. The run fails
/// if the responses differ in a case that data/known.yaml or data/mutations.txt does not name, or if they are equal in a
/// case that one of these files names. It also fails if a response to a scenario is not the one that the scenario states,
/// if a resource that the real server stores has no object in data/objects.yaml, or if the servers agree on less than
/// 95 % of the mutations. With FILTER, the run ignores the percentage. It then also ignores equal responses
/// in a case that one of these files names.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only cases whose names contain one of these texts
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// The Kubernetes version to build from source
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<KubernetesVersion>,
    /// Use the etcd and kube-apiserver in this folder instead of a build
    #[arg(long, value_name = "DIR", conflicts_with = "kubernetes")]
    assets: Option<PathBuf>,
    /// List the cases without running them
    #[arg(long)]
    list: bool,
    /// Print both responses of each difference, including the known differences
    #[arg(long)]
    verbose: bool,
    /// Write the mutations that the servers judge differently into data/mutations.txt; needs a run without FILTER
    #[arg(long, conflicts_with = "filters")]
    record: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When the data files are invalid, no case matches the filters, a resource has no sample object, a server cannot be
/// started, or a request fails without a response.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let samples = mutation::parse_samples(&read_data_file("objects.yaml")?)?;
    let mut cases = read_cases(&samples)?;
    if !args.filters.is_empty() {
        cases.retain(|case| args.filters.iter().any(|filter| case.name().contains(filter)));
    }
    if cases.is_empty() {
        bail!("no case has {} in its name; --list prints all names", args.filters.join(" or "));
    }
    if args.list {
        for case in &cases {
            println!("{}", case.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let known = KnownDifferences::parse(&read_data_file("known.yaml")?, &read_data_file("mutations.txt")?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let source = match &args.assets {
        Some(folder) => Source::Assets(folder.clone()),
        None => Source::Build(args.kubernetes.unwrap_or(KubernetesVersion::LATEST)),
    };
    let collections = samples.into_iter().map(|sample| sample.path).collect();
    let outcomes = runtime.block_on(async {
        let (real, simulated) =
            futures::try_join!(Endpoint::start_real(source), Endpoint::start_simulated())?;
        let servers = Servers { real, simulated };
        let outcomes = match coverage::check(&servers.real, &collections).await {
            Ok(()) => runner::run_cases(&servers, cases).await,
            Err(error) => Err(error),
        };
        servers.real.stop().await;
        outcomes
    })?;
    report(args, &known, outcomes)
}

/// The folder of the data files.
fn data_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data"))
}

/// Reads a file of the folder `data`.
fn read_data_file(name: &str) -> anyhow::Result<String> {
    let path = data_folder().join(name);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Returns all cases: first the scenarios of the files, then for each sample its lifecycle scenario, if it
/// has one, and its mutations.
fn read_cases(samples: &[Sample]) -> anyhow::Result<Vec<Case>> {
    let folder = data_folder().join("scenarios");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let scenarios = scenario::parse(&file, &read_data_file(&format!("scenarios/{file}"))?)?;
        cases.extend(scenarios.into_iter().map(Case::Scenario));
    }
    for sample in samples {
        cases.extend(sample.lifecycle_scenario()?.map(Case::Scenario));
        cases.extend(sample.mutations().into_iter().map(Case::Mutation));
    }
    let mut names = BTreeSet::new();
    if let Some(case) = cases.iter().find(|case| !names.insert(case.name().to_owned())) {
        bail!("two cases have the name {:?}", case.name());
    }
    Ok(cases)
}

/// Prints the differences and the counts. With `--record`, writes `data/mutations.txt`. Returns failure if a difference is
/// not known, a known difference no longer exists, a response is unexpected, or the agreement on mutations is too low. With
/// filters, ignores the agreement and the known differences that no longer exist.
fn report(args: &Args, known: &KnownDifferences, mut outcomes: Vec<Outcome>) -> anyhow::Result<ExitCode> {
    outcomes.sort_by(|a, b| a.case.name().cmp(b.case.name()));
    let mut different = BTreeSet::new();
    let (mut requests, mut unknown, mut unexpected) = (0, 0, 0);
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for Outcome { case, differences, unexpected: responses } in &outcomes {
        unexpected += responses.len();
        for (server, response) in responses {
            println!("{}: unexpected response of the {server}\n{response}", case.name());
        }
        match case {
            Case::Scenario(scenario) => requests += scenario.request_count(),
            Case::Mutation(_) => {
                requests += 1;
                let kind = case.name().split(':').next().unwrap_or_default();
                let (all, alike) = kinds.entry(kind).or_default();
                *all += 1;
                *alike += usize::from(differences.is_empty());
            }
        }
        if differences.is_empty() {
            continue;
        }
        different.insert(case.name());
        let is_known = known.contains(case.name());
        unknown += usize::from(!is_known);
        if args.verbose || !is_known {
            println!("{}", case.name());
            for difference in differences {
                println!("{difference}");
            }
        }
    }
    let mutations: Vec<_> = kinds.values().copied().collect();
    let all: usize = mutations.iter().map(|(all, _)| all).sum();
    let alike: usize = mutations.iter().map(|(_, alike)| alike).sum();
    for (kind, (all, alike)) in &kinds {
        if alike < all {
            println!("{kind}: {alike} of {all} mutations are judged alike");
        }
    }
    let obsolete: Vec<_> =
        if args.filters.is_empty() { known.obsolete_names(&different).collect() } else { Vec::new() };
    for name in &obsolete {
        println!("no longer different, remove it from the data files: {name}");
    }
    let agreement = percent(alike, all);
    println!(
        "{requests} requests; {} of {} scenarios are equal; {alike} of {all} mutations ({agreement:.1} %) are judged alike; {unknown} unknown differences; {unexpected} unexpected responses",
        outcomes.iter().filter(|o| matches!(o.case, Case::Scenario(_)) && o.differences.is_empty()).count(),
        outcomes.iter().filter(|o| matches!(o.case, Case::Scenario(_))).count(),
    );
    if args.record {
        let different =
            outcomes.iter().filter(|o| matches!(o.case, Case::Mutation(_)) && !o.differences.is_empty());
        let names: Vec<_> = different.map(|outcome| outcome.case.name()).collect();
        std::fs::write(data_folder().join("mutations.txt"), names.join("\n") + "\n")
            .context("cannot write data/mutations.txt")?;
    }
    let passed = unknown == 0
        && unexpected == 0
        && obsolete.is_empty()
        && (all == 0 || !args.filters.is_empty() || agreement >= MIN_AGREEMENT);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `part` of `all` in percent; 100 if `all` is 0.
#[expect(clippy::cast_precision_loss, reason = "the counts are far below 2^52")]
fn percent(part: usize, all: usize) -> f64 {
    if all == 0 { 100.0 } else { part as f64 * 100.0 / all as f64 }
}
