//! `cargo xtask`: the one way in, for people and for CI. Lists the subcommands, and runs them or starts the package that does.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{package, test, tidy};

/// Tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

// The variants without arguments are here for the list of subcommands: `main` starts their packages.
#[derive(Debug, Subcommand)]
enum Task {
    /// Measures this project beside kube and client-go, on the same bytes, and says which targets are met
    Bench,
    /// Starts a real Kubernetes control plane, built from source without a container engine, and takes it down at the end
    Cluster,
    /// Shows a reflector, an informer and a controller at work on a simulated cluster; needs no cluster and no containers
    Demo,
    /// Runs the end-to-end suites on a real API server, and tells what passed
    E2e,
    /// Record what a stock API server serves into kube-sim's data files
    Record,
    /// Serves a simulated cluster on a local port, and takes it down at the end
    Sim,
    Test(test::Args),
    Tidy(tidy::Args),
}

#[expect(clippy::unreachable, reason = "a test finds a package for each of these subcommands")]
fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let Some(package) = arguments.next().and_then(|subcommand| package::of(&subcommand)) {
        eprintln!("error: cannot run cargo: {}", package::run(package, arguments));
        return ExitCode::FAILURE;
    }
    let outcome = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::Bench | Task::Cluster | Task::Demo | Task::E2e | Task::Record | Task::Sim => {
            unreachable!("the package of this subcommand has been started")
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_subcommand_that_is_not_run_here_has_a_package() {
        for subcommand in Cli::command().get_subcommands() {
            let here = matches!(subcommand.get_name(), "test" | "tidy");
            assert_eq!(package::of(subcommand.get_name().as_ref()).is_none(), here, "{subcommand}");
        }
    }
}
