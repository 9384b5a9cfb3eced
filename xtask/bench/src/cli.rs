//! The `bench` subcommand: its arguments and its printed output.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use super::build::{self, BuiltPrograms, Folders};
use super::contender::Contender;
use super::mock_server::MockServer;
use super::report::Table;
use super::rows::{self, ROWS, Row};
use super::run::Runner;
use super::targets::{TARGETS, Target, Verdict};
use super::{cold_build, growth, kinds_build, sim, table};
use xtask_process::progress::Progress;
use xtask_process::{Interrupts, Scratch};

/// The default number of pods of the mock API server.
const DEFAULT_PODS: usize = 20_000;
/// The default number of pods of the mock API server with `--quick`.
const QUICK_PODS: usize = 1_000;

/// Measures this project, kube and client-go on the same bytes, and reports which targets are met.
///
/// Figures are medians of several rounds; every run is a new process. The command fails if a contender fails or returns
/// objects that differ from the objects of the mock API server. A missed target is not a failure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows to measure, by name or part of a name [default: all except `build`, `build-kinds`, `growth` and `sim`]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Number of pods in the cluster [default: 20000, or 1000 with --quick; `sim` and `growth` have other defaults]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=200_000))]
    pods: Option<u32>,
    /// Number of rounds [default: 5, or 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: Option<u16>,
    /// Write all figures and verdicts to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use a small cluster and one round: a smoke test with rough figures.
    #[arg(long)]
    quick: bool,
    /// Measure this project only, without kube and client-go; has no effect on `build`, `build-kinds` and `sim`.
    #[arg(long)]
    alone: bool,
}

impl Args {
    /// The number of pods of the mock API server.
    fn pods(&self) -> usize {
        self.pods.map_or(if self.quick { QUICK_PODS } else { DEFAULT_PODS }, |pods| pods as usize)
    }

    /// The number of runs of each row.
    fn rounds(&self) -> usize {
        self.rounds.map_or(if self.quick { 1 } else { 5 }, usize::from)
    }

    /// The amount of work of the row `sim`.
    fn sim_size(&self) -> sim::Size {
        let default = if self.quick { 5_000 } else { 100_000 };
        sim::Size {
            rounds: self.rounds(),
            pods: self.pods.map_or(default, |pods| pods as usize),
            seconds: if self.quick { 3 } else { 10 },
        }
    }

    /// The contenders to measure.
    fn contenders(&self) -> &'static [Contender] {
        if self.alone { &Contender::ALL[..1] } else { &Contender::ALL }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// If a build or a server fails, if a name matches no row, or if the system is not Linux.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(main(args))
}

/// Measures until all rows are done or the user interrupts.
async fn main(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        cfg!(target_os = "linux"),
        "the bench reads time and memory from /proc, which only Linux has"
    );
    let mut interrupts = Interrupts::listen()?;
    // An interrupt drops the `measure` future, which terminates its child processes.
    tokio::select! {
        biased;
        interrupt = interrupts.next() => Ok(interrupt.announce()),
        outcome = measure(args) => outcome,
    }
}

/// Measures the requested rows, prints the tables, and writes the JSON file.
async fn measure(args: &Args) -> anyhow::Result<ExitCode> {
    let is_requested = |name: &str| args.names.iter().any(|known| known == name);
    let names: Vec<_> =
        args.names.iter().filter(|name| !rows::SEPARATE_ROWS.contains(&name.as_str())).cloned().collect();
    let selected = rows::select(&names)?;
    let are_rows_requested = !names.is_empty() || args.names.is_empty();
    let progress = Progress::new();
    let folders = Folders::find()?;
    let temporary = std::env::temp_dir();
    Scratch::sweep(&temporary);
    let scratch = Scratch::create(&temporary)?;
    let mut json = json!({});
    let mut correct = true;
    if are_rows_requested || is_requested("growth") {
        let built = build::build_all(&folders, &scratch, args.contenders(), &progress).await?;
        if are_rows_requested {
            let (document, rows_correct) = measure_rows(args, &built, &scratch, &progress, &selected).await?;
            json = document;
            correct = rows_correct;
        }
        if is_requested("growth") {
            let max_pods = args.pods.map(|pods| pods as usize);
            let growth = growth::run(&built, &scratch, &progress, args.rounds(), max_pods).await?;
            progress.finish();
            println!("{}", growth.text);
            correct &= growth.is_correct;
            json["growth"] = growth.json;
        }
    }
    if is_requested("build") {
        let outcome = cold_build::run(&folders, &scratch, &progress, args.rounds()).await?;
        progress.finish();
        println!("{}\n{} of 1 target met", outcome.text, outcome.met);
        json["build"] = outcome.json;
    }
    if is_requested("build") || is_requested("build-kinds") {
        let outcome = kinds_build::run(&folders, &scratch, &progress, args.rounds()).await?;
        progress.finish();
        println!("{}\n{} of 2 targets met", outcome.text, outcome.met);
        json["build-kinds"] = outcome.json;
    }
    if is_requested("sim") {
        let outcome = sim::run(&folders, &scratch, &progress, args.sim_size()).await?;
        progress.finish();
        println!("{}", outcome.text);
        json["sim"] = outcome.json;
    }
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_string_pretty(&json)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(if correct { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures the selected rows, and the peer rows that their targets refer to. Prints the tables. Returns the figures and
/// verdicts as JSON, and the result of [`Table::is_correct`].
async fn measure_rows(
    args: &Args,
    built: &BuiltPrograms,
    scratch: &Scratch,
    progress: &Progress,
    selected: &[&'static Row],
) -> anyhow::Result<(Value, bool)> {
    for (contender, program) in &built.contenders {
        if let Err(reason) = program {
            progress.note(&format!("{contender}: {reason}"));
        }
    }
    progress.step("preparing the mock API server");
    let server = MockServer::start(&built.mock_server, scratch, args.pods()).await?;
    let mut runner = Runner::new(scratch, &server);
    let mut table = Table::default();
    for row in selected {
        progress.step(&row.label());
        runner.run_row(&mut table, row, &built.contenders, args.rounds()).await?;
    }
    let targets: Vec<_> =
        TARGETS.iter().filter(|target| selected.iter().any(|row| row.name == target.row)).collect();
    for (contender, row) in missing_peer_rows(&targets, selected) {
        let only: Vec<_> =
            built.contenders.iter().filter(|(known, _)| *known == contender).cloned().collect();
        if let Some(row) = ROWS.iter().find(|known| known.name == row).filter(|_| !only.is_empty()) {
            progress.step(&row.label());
            runner.run_row(&mut table, row, &only, args.rounds()).await?;
        }
    }
    progress.finish();
    let verdicts: Vec<_> = targets.into_iter().map(|target| (target, target.verdict(&table))).collect();
    print_tables(args, &table, selected, &verdicts);
    let run = json!({"pods": args.pods(), "rounds": args.rounds()});
    Ok((table.json(&run, selected, &verdicts), table.is_correct()))
}

/// Returns each peer row (contender and row name) that one of `targets` refers to, except the rows in `selected`.
fn missing_peer_rows(targets: &[&Target], selected: &[&Row]) -> Vec<(Contender, &'static str)> {
    let mut missing: Vec<_> = targets
        .iter()
        .filter_map(|target| target.peer_row())
        .filter(|(_, name)| !selected.iter().any(|row| row.name == *name))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Prints the tables of figures and targets.
fn print_tables(args: &Args, table: &Table, rows: &[&Row], verdicts: &[(&Target, Verdict)]) {
    println!(
        "{} pods of about 8.5 KB of JSON, a third of it managedFields; medians of {} rounds",
        args.pods(),
        args.rounds()
    );
    println!("{}", self::table::figures_table(table, rows));
    println!("\n{}", self::table::legend(table, rows));
    println!(
        "{}",
        self::table::targets_table(verdicts.iter().map(|(target, is)| (target.row, target.text(), is)))
    );
    let only: Vec<_> = verdicts.iter().map(|(_, verdict)| verdict.clone()).collect();
    println!("{}", self::table::summary(&only));
}
