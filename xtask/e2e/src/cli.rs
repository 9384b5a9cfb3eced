//! The `e2e` subcommand: its arguments, and what a person sees.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use tokio::sync::watch;

use super::case::Need;
use super::choose::{self, Choice};
use super::report::Report;
use super::runner::{self, Selected};
use super::server::Server;
use super::suites;
use xtask_control_plane::KubernetesVersion;
use xtask_process::Interrupts;

/// Runs the end-to-end suites on a real API server, and tells what passed.
///
/// The server is the one of --kubeconfig if that is given; else etcd and kube-apiserver from the folder that
/// KUBEBUILDER_ASSETS names; else a control plane that is built from source with Go, once. What a server cannot do is
/// listed as skipped. Cases run side by side in namespaces of their own and leave nothing behind.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only cases whose name, such as `patch::merges`, holds one of these texts
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// The version of Kubernetes to build
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<KubernetesVersion>,
    /// Use the cluster of this kubeconfig, or that of $KUBECONFIG if no file follows
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", conflicts_with = "kubernetes",
          value_parser = Kubeconfig::parse)]
    kubeconfig: Option<Kubeconfig>,
    /// Use kube-sim instead of a real server, as `cargo xtask test` does
    #[arg(long, conflicts_with_all = ["kubernetes", "kubeconfig"])]
    sim: bool,
    /// List the cases and do nothing
    #[arg(long)]
    list: bool,
}

/// A file, or none for what the environment names.
#[derive(Debug, Clone)]
struct Kubeconfig(Option<PathBuf>);

impl Kubeconfig {
    #[expect(clippy::unnecessary_wraps, reason = "clap wants a parser that may fail")]
    fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(Self((!text.is_empty()).then(|| text.into())))
    }
}

impl Args {
    fn choice(&self) -> Choice {
        match (&self.kubeconfig, self.kubernetes) {
            _ if self.sim => Choice::Simulation,
            (Some(kubeconfig), _) => Choice::Kubeconfig(kubeconfig.0.clone()),
            (None, Some(version)) => Choice::Build(version),
            (None, None) => Choice::by_environment(Choice::assets()),
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When there is no server to run on, it goes away, or no case has such a name.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let selected = runner::select(suites::ALL, &args.filters);
    if selected.is_empty() {
        bail!("no case has {} in its name; --list shows all", args.filters.join(" or "));
    }
    if args.list {
        for case in &selected {
            println!("{}", case.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(main(args.choice(), selected))
}

async fn main(choice: Choice, selected: Vec<Selected>) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::listen()?;
    let server = tokio::select! {
        biased;
        interrupt = interrupts.next() => return Ok(interrupt.announce()),
        server = prepare(choice, &selected) => Arc::new(server?),
    };
    println!("running {} cases on {}", selected.len(), server.name());
    let report = Report::default();
    let (stop, stopped) = watch::channel(false);
    let outcome = {
        let run = runner::run(&server, selected, &report, stopped);
        tokio::pin!(run);
        tokio::select! {
            () = &mut run => Ok(None),
            death = server.died() => Err(death),
            // What was started for this run goes with all that is in it.
            interrupt = interrupts.next() => if server.is_ours() {
                let _ = interrupt.announce();
                Ok(Some(interrupt))
            } else {
                eprintln!("{interrupt}: cleaning up; once more to end at once");
                stop.send_replace(true);
                tokio::select! {
                    () = run => Ok(Some(interrupt)),
                    again = interrupts.next() => Ok(Some(again)),
                }
            }
        }
    };
    let name = server.name().to_owned();
    server.stop().await;
    let failures = report.failures();
    for failure in &failures {
        eprintln!("{failure}");
    }
    let interrupt = outcome?;
    println!("on {name}");
    println!("{}", report.summary());
    Ok(match interrupt {
        Some(interrupt) => ExitCode::from(interrupt.exit_code()),
        None if failures.is_empty() => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

/// The server, ready for the cases.
async fn prepare(choice: Choice, selected: &[Selected]) -> anyhow::Result<Server> {
    let examples = async {
        if runner::any_needs(selected, Need::Examples) {
            choose::build_examples().await.map(Some)
        } else {
            Ok(None)
        }
    };
    // Cargo and the control plane's start have little to do with each other.
    let (mut server, examples) = futures::try_join!(choice.server(), examples)?;
    if let Some(examples) = examples {
        server.set_examples(Ok(examples));
    }
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[track_caller]
    fn check(line: &str, expected: &Choice) {
        let args = Cli::try_parse_from(std::iter::once("e2e").chain(line.split_whitespace())).unwrap().args;
        assert_eq!(args.choice(), *expected);
    }

    #[test]
    fn what_is_said_goes_before_the_environment() {
        check("--sim", &Choice::Simulation);
        check("verbs --kubeconfig", &Choice::Kubeconfig(None));
        check("verbs --kubeconfig some/file", &Choice::Kubeconfig(Some("some/file".into())));
        check("--kubernetes 1.33", &Choice::Build("1.33".parse().unwrap()));
        assert!(Cli::try_parse_from(["e2e", "--sim", "--kubeconfig"]).is_err());
    }

    #[test]
    fn a_filter_that_matches_nothing_is_an_error() {
        let args = Cli::try_parse_from(["e2e", "no-such-case", "--list"]).unwrap().args;
        assert!(run(&args).unwrap_err().to_string().contains("no case has no-such-case"));
    }
}
