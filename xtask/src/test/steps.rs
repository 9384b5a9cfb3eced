//! The steps of `cargo xtask test`, as data: what each runs. All share one target folder and one set of features, so
//! that little is built twice.

use std::fmt;
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::ValueEnum;

use crate::cargo::cargo;
use crate::tidy::{self, Repository, Weight};

/// Features of kube-client besides its default ones: none, and each alone.
const FEATURES: [&str; 3] = ["", "client", "schema"];
/// What must not be there without the `client` feature.
const NO_CLIENT_NO: [&str; 5] = ["tokio", "hyper", "hyper-util", "rustls", "tower"];

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
    /// kube-client builds with fewer features, and without `client` needs no tokio and no hyper
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
        if self == Self::Features { without_client() } else { Ok(Ok(())) }
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
            .current_dir(tidy::root());
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
    let findings = tidy::check(&Repository::load(tidy::root())?);
    for finding in &findings {
        eprintln!("{finding}");
    }
    let refused = findings.iter().any(|finding| finding.weight == Weight::Error);
    Ok(if refused { Err("cargo xtask tidy".to_owned()) } else { Ok(()) })
}

/// What kube-client depends on without its `client` feature.
fn without_client() -> anyhow::Result<Result<(), Failure>> {
    let arguments = ["tree", "--package", "kube-client", "--no-default-features"];
    let tree = Invocation::new(&arguments).and(&["--edges", "normal,build", "--prefix", "none"]);
    let output = tree.command().stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot run `{tree}`"))?;
    let found = found_in(&String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        return Ok(Err(tree.to_string()));
    }
    if found.is_empty() {
        return Ok(Ok(()));
    }
    eprintln!(
        "without its `client` feature kube-client depends on {}: make the dependency optional, and add it to `client`",
        found.join(", ")
    );
    Ok(Err(tree.to_string()))
}

/// What of a list of packages must not be there.
fn found_in(tree: &str) -> Vec<&'static str> {
    let names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    NO_CLIENT_NO.into_iter().filter(|name| names.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_a_runtime_is_refused() {
        assert_eq!(
            found_in("kube-client v0.1.0 (x)\nserde v1.0.0\ntokio v1.2.3 (*)\nhyper v1.0.0"),
            ["tokio", "hyper"]
        );
        assert_eq!(found_in("kube-client v0.1.0 (x)\nserde v1.0.0\ntokio-x v1.2.3"), [""; 0]);
    }

    #[test]
    fn without_its_client_feature_the_real_crate_needs_no_runtime() {
        assert_eq!(without_client().unwrap(), Ok(()));
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
