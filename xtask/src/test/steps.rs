//! The steps of `cargo xtask test`, and the cargo commands of each step. All steps share one target folder, and all steps
//! except `features` build the workspace with the same features. Therefore cargo builds few crates twice.

use std::fmt;
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::ValueEnum;

use crate::cargo::cargo;
use crate::tidy;

/// The values of `--features` for kube-core in the step `features`: no feature, and each feature alone.
const CORE_FEATURES: [&str; 3] = ["", "schema", "cel"];
/// The values of `--features` for kube-client in the step `features`: no feature, and single features. The step omits the
/// features that select the cryptography or the certificate authorities of TLS.
const CLIENT_FEATURES: [&str; 6] = ["", "client", "schema", "ws", "cel", "metrics"];
/// The values of `--features` for kube-runtime in the step `features`: no feature, and each feature alone.
const RUNTIME_FEATURES: [&str; 5] = ["", "metrics", "manager", "webhook", "zstd"];
/// The values of `--features` for kube-sim in the step `features`: no feature, and each feature alone.
const SIM_FEATURES: [&str; 2] = ["", "cli"];
/// kube-core must not depend on these crates. Only the feature `client` of kube-client may add them to the dependencies of
/// kube-client.
const CLIENT_ONLY_CRATES: [&str; 5] = ["tokio", "hyper", "hyper-util", "rustls", "tower"];
/// Packages that must depend on no other package of the workspace, not even in tests. If kube-client and kube-sim shared
/// code, tests that use both would not find the bugs of the shared code. `xtask` must build even if other packages do not
/// compile.
const STANDALONE_PACKAGES: [&str; 4] = ["kube-sim", "kube-derive", "xtask", "bench-load"];

/// A step of `cargo xtask test`. The order of the variants is the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Step {
    /// The sources are formatted
    Fmt,
    /// The rules of the repository hold
    Tidy,
    /// Clippy gives no warning for any target
    Clippy,
    /// The documentation builds without a warning
    Doc,
    /// kube-core, kube-client, kube-runtime and kube-sim pass clippy with no feature and with single features, the tests
    /// of kube-core pass without the other packages, and no package has a forbidden dependency
    Features,
    /// Unit tests, integration tests and the tests of the examples pass
    Test,
    /// The examples in the documentation run
    Doctest,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Features => "features",
            Self::Test => "test",
            Self::Doctest => "doctest",
        })
    }
}

/// The command that repeats a failed check.
pub(super) type RepeatCommand = String;

impl Step {
    /// The help text of the step.
    pub(super) fn help_text(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Runs the step. If a check fails, the inner error is the command that repeats the check.
    pub(super) fn run(self) -> anyhow::Result<Result<(), RepeatCommand>> {
        if self == Self::Tidy {
            return run_tidy();
        }
        for invocation in self.invocations() {
            if !invocation.run()? {
                return Ok(Err(invocation.to_string()));
            }
        }
        if self == Self::Features { check_dependencies() } else { Ok(Ok(())) }
    }

    /// The cargo commands that must succeed in the step, except `cargo tree`, which [`check_dependencies`] runs.
    fn invocations(self) -> Vec<Invocation> {
        let deny = ["--", "-D", "warnings"];
        match self {
            Self::Fmt => vec![Invocation::new(&["fmt", "--all", "--check"])],
            Self::Tidy => Vec::new(),
            Self::Clippy => {
                vec![Invocation::new(&["clippy", "--workspace", "--all-targets"]).with_arguments(&deny)]
            }
            Self::Doc => vec![Invocation {
                env: Some(("RUSTDOCFLAGS", "-D warnings".to_owned())),
                ..Invocation::new(&["doc", "--workspace", "--no-deps"])
            }],
            Self::Features => {
                let core = CORE_FEATURES.map(|features| ("kube-core", features));
                let client = CLIENT_FEATURES.map(|features| ("kube-client", features));
                let runtime = RUNTIME_FEATURES.map(|features| ("kube-runtime", features));
                let sim = SIM_FEATURES.map(|features| ("kube-sim", features));
                let invocation = |(package, features)| {
                    let fixed = ["clippy", "--package", package, "--no-default-features", "--features"];
                    Invocation::new(&fixed).with_arguments(&[features]).with_arguments(&deny)
                };
                // Built alone, the tests of kube-core have only the features of the dependencies that a crate without
                // kube-client has.
                let kinds = Invocation::new(&["test", "--quiet", "--package", "kube-core", "--tests"]);
                core.into_iter()
                    .chain(client)
                    .chain(runtime)
                    .chain(sim)
                    .map(invocation)
                    .chain([kinds])
                    .collect()
            }
            Self::Test => {
                // The tests of the examples run the example programs, but `cargo test` with `targets` does
                // not build these programs. Therefore build them first. `cargo build` also has `--bins`,
                // because CI runs xtask programs.
                let targets = ["--lib", "--bins", "--tests"];
                vec![
                    Invocation::new(&["build", "--workspace", "--bins", "--examples"]),
                    Invocation::new(&["test", "--workspace"]).with_arguments(&targets),
                ]
            }
            Self::Doctest => vec![Invocation::new(&["test", "--workspace", "--doc"])],
        }
    }
}

/// Runs only the model tests, in release mode, each on `sequences` random sequences.
pub(super) fn run_model_tests(sequences: u64) -> anyhow::Result<Result<(), RepeatCommand>> {
    let invocation = model_tests_invocation(sequences);
    Ok(if invocation.run()? { Ok(()) } else { Err(invocation.to_string()) })
}

/// The command of [`run_model_tests`].
fn model_tests_invocation(sequences: u64) -> Invocation {
    let fixed =
        ["test", "--release", "--package", "kube-runtime", "--lib", "--test", "behaviour", "--", "model_"];
    Invocation { env: Some(("KUBE_MODEL_SEQUENCES", sequences.to_string())), ..Invocation::new(&fixed) }
}

/// One cargo command.
struct Invocation {
    arguments: Vec<String>,
    env: Option<(&'static str, String)>,
}

impl Invocation {
    fn new(arguments: &[&str]) -> Self {
        Self { arguments: Vec::new(), env: None }.with_arguments(arguments)
    }

    fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Returns a [`Command`] that runs cargo with these arguments in the root folder of the workspace.
    fn command(&self) -> Command {
        let mut command = cargo();
        // Remove KUBECONFIG: a test must not connect to the developer's own cluster.
        command
            .args(&self.arguments)
            .envs(self.env.clone())
            .env_remove("KUBECONFIG")
            .current_dir(crate::root());
        command
    }

    /// Runs the command. Returns whether it succeeded.
    fn run(&self) -> anyhow::Result<bool> {
        let status = self.command().stdin(Stdio::null()).status();
        Ok(status.with_context(|| format!("cannot run `{self}`"))?.success())
    }
}

/// Displays the command as text that a shell can run.
impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = &self.env {
            write!(f, "{name}='{value}' ")?;
        }
        f.write_str("cargo")?;
        for argument in &self.arguments {
            if argument.is_empty() || argument.contains(' ') {
                write!(f, " '{argument}'")?;
            } else {
                write!(f, " {argument}")?;
            }
        }
        Ok(())
    }
}

/// Checks the rules of [`tidy`], and prints the violations.
fn run_tidy() -> anyhow::Result<Result<(), RepeatCommand>> {
    let findings = tidy::check()?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    Ok(if findings.is_empty() { Ok(()) } else { Err("cargo xtask tidy".to_owned()) })
}

/// Checks that kube-core, and kube-client without its `client` feature, depend on no crate of [`CLIENT_ONLY_CRATES`], and that
/// kube-core and each package of [`STANDALONE_PACKAGES`] depend on no other package of the workspace.
fn check_dependencies() -> anyhow::Result<Result<(), RepeatCommand>> {
    let without_client = ["--package", "kube-client", "--no-default-features", "--edges", "normal,build"];
    let core = ["--package", "kube-core", "--all-features", "--edges", "normal,build"];
    let client_only = |line: &str| CLIENT_ONLY_CRATES.contains(&package_in(line));
    let mut outcome = check_tree(&without_client, client_only)?.and(check_tree(&core, client_only)?);
    // `cargo tree` prints a folder only for packages that are not from a registry.
    let is_other = |line: &str, package| line.contains("(/") && package_in(line) != package;
    outcome = outcome.and(check_tree(&core, |line| is_other(line, "kube-core"))?);
    for package in STANDALONE_PACKAGES {
        outcome = outcome.and(check_tree(&["--package", package], |line| is_other(line, package))?);
    }
    Ok(outcome)
}

/// Fails if `cargo tree` with these arguments fails, or prints a line that `refused` matches.
fn check_tree(
    arguments: &[&str],
    refused: impl Fn(&str) -> bool,
) -> anyhow::Result<Result<(), RepeatCommand>> {
    let tree = Invocation::new(&["tree", "--prefix", "none"]).with_arguments(arguments);
    let output = tree.command().stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run `{tree}`"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Vec<_> = text.lines().filter(|line| refused(line)).map(package_in).collect();
    if output.status.success() && found.is_empty() {
        return Ok(Ok(()));
    }
    eprintln!("`{}` must not depend on: {}", arguments[1], found.join(", "));
    Ok(Err(tree.to_string()))
}

/// The package name in a line of `cargo tree`.
fn package_in(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_package_has_a_forbidden_dependency() {
        assert_eq!(check_dependencies().unwrap(), Ok(()));
    }

    #[test]
    fn a_forbidden_dependency_is_found() {
        let client =
            |name| check_tree(&["--package", "kube-client"], move |line| package_in(line) == name).unwrap();
        assert_eq!(client("tokio"), Err("cargo tree --prefix none --package kube-client".to_owned()));
        assert_eq!(client("toki"), Ok(()));
        // `cargo tree` also prints dev-dependencies, such as kube-sim.
        assert!(client("kube-sim").is_err());
    }

    #[test]
    fn displayed_commands_are_quoted_for_a_shell() {
        let all = |step: Step| step.invocations().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(all(Step::Doc), ["RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps"]);
        assert_eq!(
            all(Step::Features)[0],
            "cargo clippy --package kube-core --no-default-features --features '' -- -D warnings"
        );
        assert!(
            model_tests_invocation(7)
                .to_string()
                .starts_with("KUBE_MODEL_SEQUENCES='7' cargo test --release")
        );
        assert_eq!(all(Step::Fmt), ["cargo fmt --all --check"]);
    }

    #[test]
    fn every_step_has_a_help_text() {
        for step in Step::value_variants() {
            assert!(!step.help_text().is_empty(), "{step}");
            assert_eq!(step.to_possible_value().unwrap().get_name(), step.to_string());
        }
    }

    #[test]
    fn run_returns_whether_the_command_succeeded() {
        assert!(!Invocation::new(&["no-such-subcommand"]).run().unwrap());
        assert!(Invocation::new(&["--version"]).run().unwrap());
    }
}
