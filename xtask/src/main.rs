//! The entry point of all tasks: lists the subcommands, runs `test` and `tidy`, and starts the package of any other
//! subcommand.

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

// The variants without arguments exist only for `--help`. For each of these subcommands, `main` executes
// `cargo run` with the package of the subcommand, before it parses arguments.
#[derive(Debug, Subcommand)]
enum Task {
    /// Benchmarks this project, kube and client-go on identical data, and reports which performance targets are met
    Bench,
    /// Runs a real Kubernetes control plane, built from source without a container engine, until a given command ends
    /// or until Ctrl-C
    Cluster,
    /// Sends the same requests to kube-sim and to a real API server, and compares the responses
    Conformance,
    /// Shows a reflector, an informer and a controller on a simulated cluster; needs no real cluster and no containers
    Demo,
    /// Runs the end-to-end suites on a real API server
    E2e,
    /// Runs the envtest tests of a Go project on kube-sim and on a real API server, and compares the results
    Envtest,
    /// Runs commands with two versions of kubectl on kube-sim and on a real control plane, and compares the outputs
    Kubectl,
    /// Records the Protobuf message definitions of all supported Kubernetes versions into kube-client's table
    Protobuf,
    /// Records the resources and the OpenAPI schemas of a real API server into kube-sim's data files
    Record,
    /// Serves a simulated cluster on a local port until a given command ends or until Ctrl-C
    Sim,
    Test(test::Args),
    Tidy(tidy::Args),
}

#[expect(clippy::unreachable, reason = "a test checks that each of these subcommands has a package")]
fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let Some(package) = arguments.next().and_then(|subcommand| package::find(&subcommand)) {
        eprintln!("error: cannot run cargo: {}", package::exec(package, arguments));
        return ExitCode::FAILURE;
    }
    let outcome = match Cli::parse().task {
        Task::Test(args) => test::run(&args),
        Task::Tidy(args) => tidy::run(&args),
        Task::Bench
        | Task::Cluster
        | Task::Conformance
        | Task::Demo
        | Task::E2e
        | Task::Envtest
        | Task::Kubectl
        | Task::Protobuf
        | Task::Record
        | Task::Sim => {
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
    fn every_subcommand_except_test_and_tidy_has_a_package() {
        for subcommand in Cli::command().get_subcommands() {
            let here = matches!(subcommand.get_name(), "test" | "tidy");
            assert_eq!(package::find(subcommand.get_name().as_ref()).is_none(), here, "{subcommand}");
        }
    }
}
