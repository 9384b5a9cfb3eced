//! The `e2e` subcommand: its arguments, its console output and its exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::case::Need;
use super::choice::{self, ServerChoice};
use super::languages::LanguageClients;
use super::report::{Report, Summary};
use super::runner::{self, SelectedCase};
use super::server::{Churn, Server};
use super::suites;
use super::variant::{self, Protocol};
use xtask_control_plane::KubernetesVersion;
use xtask_process::Interrupts;

/// Runs the end-to-end suites on a real API server or on kube-sim, and reports the result of each case.
///
/// --kubeconfig, --sim and --kubernetes select the server. Without these options, the server is etcd and kube-apiserver
/// from the folder in KUBEBUILDER_ASSETS. If this variable is not set, the server is a control plane, which is built from
/// source with Go on first use. If a case needs a capability that the server lacks, the case is reported as skipped.
/// Cases run concurrently, each in its own namespace. All objects that a case creates are deleted after the case.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only cases with one of these texts in the full name, such as `patch::json_patch_is_atomic`
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// The Kubernetes version to build from source
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<KubernetesVersion>,
    /// Use the cluster of this kubeconfig, or of $KUBECONFIG if FILE is omitted
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "", conflicts_with = "kubernetes",
          value_parser = Kubeconfig::parse)]
    kubeconfig: Option<Kubeconfig>,
    /// Use kube-sim instead of a real server, as `cargo xtask test` does
    #[arg(long, conflicts_with_all = ["kubernetes", "kubeconfig"])]
    sim: bool,
    #[command(flatten)]
    protocol: Protocol,
    /// Run on each supported Kubernetes version, protocol and format, one after the other
    #[arg(long, conflicts_with_all = ["kubernetes", "kubeconfig", "sim", "http", "format"])]
    matrix: bool,
    /// The number of objects of the suite `churn`
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    churn_objects: usize,
    /// The time during which the suite `churn` changes its objects, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    churn_seconds: u64,
    /// List the cases without running them
    #[arg(long)]
    list: bool,
}

/// The value of `--kubeconfig`: a file, or `None` for the file that the variable `KUBECONFIG` names.
#[derive(Debug, Clone)]
struct Kubeconfig(Option<PathBuf>);

impl Kubeconfig {
    #[expect(clippy::unnecessary_wraps, reason = "clap requires a parser that returns a `Result`")]
    fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(Self((!text.is_empty()).then(|| text.into())))
    }
}

impl Args {
    fn server_choice(&self) -> ServerChoice {
        match (&self.kubeconfig, self.kubernetes) {
            _ if self.sim => ServerChoice::Simulation,
            (Some(kubeconfig), _) => ServerChoice::Kubeconfig(kubeconfig.0.clone()),
            (None, Some(version)) => ServerChoice::Build(version),
            (None, None) => ServerChoice::from_environment(ServerChoice::read_assets_variable()),
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When the server cannot be started or reached, a program of the cases cannot be built, a component of the server exits
/// during the run, or no case matches the filters.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if select_cases(args).is_empty() {
        bail!("no case has {} in its name; --list prints all names", args.filters.join(" or "));
    }
    if args.list {
        for case in &select_cases(args) {
            println!("{}", case.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut interrupts = runtime.block_on(async { Interrupts::listen() })?;
    if args.matrix {
        return Ok(run_matrix(args, &runtime, &mut interrupts));
    }
    let run = run_on_server(args.server_choice(), args.protocol, args, &mut interrupts);
    Ok(match runtime.block_on(run)? {
        RunEnd::Completed(summary) if summary.failed == 0 => ExitCode::SUCCESS,
        RunEnd::Completed(_) => ExitCode::FAILURE,
        RunEnd::Interrupted(code) => code,
    })
}

/// The cases that match the filters.
fn select_cases(args: &Args) -> Vec<SelectedCase> {
    runner::select_cases(suites::ALL, &args.filters)
}

/// The end of a run on one server.
enum RunEnd {
    Completed(Summary),
    /// The user interrupted the run. The process exits with this code.
    Interrupted(ExitCode),
}

/// Runs the selected cases on each row of the matrix, and prints a line for each row. A row that cannot be run counts as a
/// failure, and the next rows still run.
fn run_matrix(args: &Args, runtime: &Runtime, interrupts: &mut Interrupts) -> ExitCode {
    let mut lines = Vec::new();
    let mut failed = false;
    for row in variant::matrix() {
        println!("\n{row}");
        let run = run_on_server(ServerChoice::Build(row.version), row.protocol, args, interrupts);
        lines.push(match runtime.block_on(run) {
            Ok(RunEnd::Interrupted(code)) => return code,
            Ok(RunEnd::Completed(summary)) => {
                failed |= summary.failed > 0;
                format!("{row}: {summary}")
            }
            Err(error) => {
                failed = true;
                format!("{row}: {error:#}")
            }
        });
    }
    println!("\n{}", lines.join("\n"));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Starts one server, and runs the selected cases until all cases end, the user interrupts the run, or a component of the
/// server exits. Stops the server.
async fn run_on_server(
    choice: ServerChoice,
    protocol: Protocol,
    args: &Args,
    interrupts: &mut Interrupts,
) -> anyhow::Result<RunEnd> {
    let selected = select_cases(args);
    let mut server = tokio::select! {
        biased;
        interrupt = interrupts.next() => return Ok(RunEnd::Interrupted(interrupt.announce())),
        server = prepare_server(choice, &selected) => server?,
    };
    let duration = Duration::from_secs(args.churn_seconds);
    server.set_churn(Churn { objects: args.churn_objects, duration });
    server.set_protocol(protocol);
    let server = Arc::new(server);
    println!("running {} cases on {} with {protocol}", selected.len(), server.description());
    let report = Report::default();
    let (stop, stopped) = watch::channel(false);
    let outcome = {
        let run = runner::run_cases(&server, selected, &report, stopped);
        tokio::pin!(run);
        tokio::select! {
            () = &mut run => Ok(None),
            error = server.wait_for_death() => Err(error),
            // Stopping a server that was started for this run discards all its objects: no clean-up is needed.
            interrupt = interrupts.next() => if server.was_started_for_run() {
                let _ = interrupt.announce();
                Ok(Some(interrupt))
            } else {
                eprintln!("{interrupt}: cleaning up; interrupt again to exit immediately");
                stop.send_replace(true);
                tokio::select! {
                    () = run => Ok(Some(interrupt)),
                    again = interrupts.next() => Ok(Some(again)),
                }
            }
        }
    };
    let name = server.description().to_owned();
    server.stop().await;
    for failure in &report.failure_lines() {
        eprintln!("{failure}");
    }
    let interrupt = outcome?;
    println!("on {name} with {protocol}");
    println!("{}", report.summary());
    Ok(match interrupt {
        Some(interrupt) => RunEnd::Interrupted(ExitCode::from(interrupt.exit_code())),
        None => RunEnd::Completed(report.summary()),
    })
}

/// Starts the server, and prepares the programs that the selected cases need.
async fn prepare_server(choice: ServerChoice, selected: &[SelectedCase]) -> anyhow::Result<Server> {
    let examples = async {
        if runner::any_case_needs(selected, Need::Examples) {
            choice::build_examples().await.map(Some)
        } else {
            Ok(None)
        }
    };
    let languages = async {
        let mut languages = LanguageClients::without_clients();
        if runner::any_case_needs(selected, Need::GoProgram) {
            languages.prepare_go().await?;
        }
        if runner::any_case_needs(selected, Need::Python) {
            languages.prepare_python().await;
        }
        anyhow::Ok(languages)
    };
    let go_modules = async {
        if runner::any_case_needs(selected, Need::Go) {
            compile_protobuf_program().await;
        }
        anyhow::Ok(())
    };
    // The preparations are independent, so they run concurrently.
    let (mut server, examples, languages, ()) =
        futures::try_join!(choice.start_server(), examples, languages, go_modules)?;
    server.set_languages(languages);
    if let Some(examples) = examples {
        server.set_examples(Ok(examples));
    }
    Ok(server)
}

/// Compiles and runs the program that describes the Protobuf messages: once for each Kubernetes version, with the modules
/// of the version. The first compilation can exceed the time limit of a case, so it happens here, before the
/// cases run. This function ignores the output and all failures. A case runs the program again, and checks
/// the output.
///
/// # Cancel safety
/// Dropping the future kills Go.
async fn compile_protobuf_program() {
    for version in xtask_protobuf::VERSIONS {
        let mut go = tokio::process::Command::from(xtask_protobuf::description_command(version));
        let _ = go.kill_on_drop(true).output().await;
    }
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
    fn check_choice(line: &str, expected: &ServerChoice) {
        let args = Cli::try_parse_from(std::iter::once("e2e").chain(line.split_whitespace())).unwrap().args;
        assert_eq!(args.server_choice(), *expected);
    }

    #[test]
    fn each_option_selects_its_server() {
        check_choice("--sim", &ServerChoice::Simulation);
        check_choice("verbs --kubeconfig", &ServerChoice::Kubeconfig(None));
        check_choice("verbs --kubeconfig some/file", &ServerChoice::Kubeconfig(Some("some/file".into())));
        check_choice("--kubernetes 1.33", &ServerChoice::Build("1.33".parse().unwrap()));
        for conflict in [["--sim", "--kubeconfig"], ["--matrix", "--sim"], ["--matrix", "--http=1.1"]] {
            assert!(Cli::try_parse_from(std::iter::once("e2e").chain(conflict)).is_err(), "{conflict:?}");
        }
    }

    #[test]
    fn a_filter_that_matches_nothing_is_an_error() {
        let args = Cli::try_parse_from(["e2e", "no-such-case", "--list"]).unwrap().args;
        assert!(run(&args).unwrap_err().to_string().contains("no case has no-such-case"));
    }
}
