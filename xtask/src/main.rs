//! `cargo xtask`: the one way in, for people and for CI. Lists the subcommands and prints their errors; what a
//! subcommand does lives in its own module of the library beside this file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Bench(xtask_bench::Args),
    Cluster(xtask_control_plane::Args),
    Demo(xtask_demo::Args),
    E2e(xtask_e2e::Args),
    /// Record what a stock API server serves into kube-sim's data files
    Record(xtask_record::Args),
    Sim(xtask_sim::Args),
    Test(xtask::test::Args),
    Tidy(xtask::tidy::Args),
    #[command(name = "__supervise", hide = true)]
    Supervise(xtask_process::supervise::Args),
    #[command(name = "__exec", hide = true)]
    Exec(xtask_process::exec::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Bench(args) => xtask_bench::run(&args),
        Task::Cluster(args) => xtask_control_plane::run(args),
        Task::E2e(args) => xtask_e2e::run(&args),
        Task::Record(args) => xtask_record::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Demo(args) => xtask_demo::run(&args),
        Task::Sim(args) => xtask_sim::run(args),
        Task::Test(args) => xtask::test::run(&args),
        Task::Tidy(args) => xtask::tidy::run(&args),
        Task::Supervise(args) => xtask_process::supervise::run(&args),
        Task::Exec(args) => xtask_process::exec::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
