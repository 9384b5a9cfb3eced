//! The steps of `cargo xtask test`, as data: what each runs. All share one target folder and one set of features, so
//! that little is built twice.

use std::fmt;
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::ValueEnum;

use crate::cargo::cargo;
use crate::tidy;

/// Features of kube-client besides its default ones: none, and each alone.
const FEATURES: [&str; 3] = ["", "client", "schema"];
/// What must not be there without the `client` feature.
const NO_CLIENT_NO: [&str; 5] = ["tokio", "hyper", "hyper-util", "rustls", "tower"];
/// Packages that depend on no other of the workspace, not even in tests: a mistake in kube-client must not hide itself behind
/// the same mistake in kube-sim, and `xtask` has to build where another package does not.
const ALONE: [&str; 4] = ["kube-sim", "kube-derive", "xtask", "bench-load"];

/// One part of `cargo xtask test`, in the order of running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Step {
    /// The sources are formatted
    Fmt,
    /// The rules of the repository hold
    Tidy,
    /// No lint warns, for all targets
    Clippy,
    /// The documentation builds without a warning
    Doc,
    /// kube-client builds with fewer features, and packages need no others than they may
    Features,
    /// Unit tests, integration tests and the tests of the examples
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

/// The command that repeats what has failed.
pub(super) type Failure = String;

impl Step {
    /// What it makes sure of.
    pub(super) fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Runs it, with its output going where ours goes.
    pub(super) fn run(self) -> anyhow::Result<Result<(), Failure>> {
        if self == Self::Tidy {
            return tidy();
        }
        for invocation in self.invocations() {
            if !invocation.run()? {
                return Ok(Err(invocation.to_string()));
            }
        }
        if self == Self::Features { dependencies() } else { Ok(Ok(())) }
    }

    /// What cargo is called with.
    fn invocations(self) -> Vec<Invocation> {
        let deny = ["--", "-D", "warnings"];
        match self {
            Self::Fmt => vec![Invocation::new(&["fmt", "--all", "--check"])],
            Self::Tidy => Vec::new(),
            Self::Clippy => {
                vec![Invocation::new(&["clippy", "--workspace", "--all-targets"]).and(&deny)]
            }
            Self::Doc => vec![Invocation {
                env: Some(("RUSTDOCFLAGS", "-D warnings".to_owned())),
                ..Invocation::new(&["doc", "--workspace", "--no-deps"])
            }],
            Self::Features => {
                let fixed = ["clippy", "--package", "kube-client", "--no-default-features", "--features"];
                FEATURES.iter().map(|features| Invocation::new(&fixed).and(&[features]).and(&deny)).collect()
            }
            Self::Test => {
                // The tests of the examples run their programs, which `cargo test` would build as tests in their place.
                let targets = ["--lib", "--bins", "--tests"];
                vec![
                    Invocation::new(&["build", "--workspace", "--examples"]),
                    Invocation::new(&["test", "--workspace"]).and(&targets),
                ]
            }
            Self::Doctest => vec![Invocation::new(&["test", "--workspace", "--doc"])],
        }
    }
}

/// Runs the model tests alone, optimized, each on so many random sequences.
pub(super) fn models(sequences: u64) -> anyhow::Result<Result<(), Failure>> {
    let invocation = model_tests(sequences);
    Ok(if invocation.run()? { Ok(()) } else { Err(invocation.to_string()) })
}

fn model_tests(sequences: u64) -> Invocation {
    let fixed =
        ["test", "--release", "--package", "kube-runtime", "--lib", "--test", "filters", "--", "model_"];
    Invocation { env: Some(("KUBE_MODEL_SEQUENCES", sequences.to_string())), ..Invocation::new(&fixed) }
}

/// A call of cargo.
struct Invocation {
    arguments: Vec<String>,
    env: Option<(&'static str, String)>,
}

impl Invocation {
    fn new(arguments: &[&str]) -> Self {
        Self { arguments: Vec::new(), env: None }.and(arguments)
    }

    fn and(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = cargo();
        // A test must never find the cluster of whoever runs it.
        command
            .args(&self.arguments)
            .envs(self.env.clone())
            .env_remove("KUBECONFIG")
            .current_dir(crate::root());
        command
    }

    fn run(&self) -> anyhow::Result<bool> {
        let status = self.command().stdin(Stdio::null()).status();
        Ok(status.with_context(|| format!("cannot run `{self}`"))?.success())
    }
}

/// As a shell takes it.
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

fn tidy() -> anyhow::Result<Result<(), Failure>> {
    let findings = tidy::check()?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    Ok(if findings.is_empty() { Ok(()) } else { Err("cargo xtask tidy".to_owned()) })
}

/// Looks for packages that others must not depend on.
fn dependencies() -> anyhow::Result<Result<(), Failure>> {
    let without_client = ["--package", "kube-client", "--no-default-features", "--edges", "normal,build"];
    let mut outcome = refuse(&without_client, |line| NO_CLIENT_NO.contains(&name_in(line)))?;
    for package in ALONE {
        // Cargo shows the folder of a package that is not from a registry.
        let ours = |line: &str| line.contains("(/") && name_in(line) != package;
        outcome = outcome.and(refuse(&["--package", package], ours)?);
    }
    Ok(outcome)
}

/// Fails where a package depends on another that is refused.
fn refuse(arguments: &[&str], refused: impl Fn(&str) -> bool) -> anyhow::Result<Result<(), Failure>> {
    let tree = Invocation::new(&["tree", "--prefix", "none"]).and(arguments);
    let output = tree.command().stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run `{tree}`"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found: Vec<_> = text.lines().filter(|line| refused(line)).map(name_in).collect();
    if output.status.success() && found.is_empty() {
        return Ok(Ok(()));
    }
    eprintln!("`{}` must not depend on: {}", arguments[1], found.join(", "));
    Ok(Err(tree.to_string()))
}

/// The package in a line of `cargo tree`.
fn name_in(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_depend_on_no_others_than_they_may() {
        assert_eq!(dependencies().unwrap(), Ok(()));
    }

    #[test]
    fn a_dependency_that_is_refused_is_found() {
        let client = |name| refuse(&["--package", "kube-client"], move |line| name_in(line) == name).unwrap();
        assert_eq!(client("tokio"), Err("cargo tree --prefix none --package kube-client".to_owned()));
        assert_eq!(client("toki"), Ok(()));
        // In tests it depends on kube-sim.
        assert!(client("kube-sim").is_err());
    }

    #[test]
    fn what_repeats_a_step_can_be_pasted_into_a_shell() {
        let all = |step: Step| step.invocations().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(all(Step::Doc), ["RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps"]);
        assert_eq!(
            all(Step::Features)[0],
            "cargo clippy --package kube-client --no-default-features --features '' -- -D warnings"
        );
        assert!(model_tests(7).to_string().starts_with("KUBE_MODEL_SEQUENCES='7' cargo test --release"));
        assert_eq!(all(Step::Fmt), ["cargo fmt --all --check"]);
    }

    #[test]
    fn every_step_says_what_it_is_for() {
        for step in Step::value_variants() {
            assert!(!step.about().is_empty(), "{step}");
            assert_eq!(step.to_possible_value().unwrap().get_name(), step.to_string());
        }
    }

    #[test]
    fn a_failing_call_is_no_success() {
        assert!(!Invocation::new(&["no-such-subcommand"]).run().unwrap());
        assert!(Invocation::new(&["--version"]).run().unwrap());
    }
}
