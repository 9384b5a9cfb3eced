//! `cargo xtask test`: runs all checks that need only the Rust toolchain. The fast checks run first.
//!
//! [`Step`] defines the checks; this file runs them, prints their durations and stops at the first failure.

mod steps;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;

pub use steps::Step;

/// Runs all checks that need only the Rust toolchain: format, rules, lints, documentation, features, tests and
/// examples.
///
/// Stops at the first failure, and prints the command that repeats the failed check. If kubectl is not on the PATH, the
/// tests that run kubectl are skipped.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only these steps, in their usual order; all by default.
    #[arg(value_name = "STEP", value_enum)]
    steps: Vec<Step>,

    /// Run only the model tests of kube-runtime, in release mode, each on this many random sequences of operations. A
    /// model test compares the library with a simple model of the library. The step `test` runs each model test on
    /// 2000 sequences.
    #[arg(long, value_name = "SEQUENCES", conflicts_with = "steps")]
    models: Option<u64>,
}

/// Runs the subcommand.
///
/// # Errors
/// When a step cannot be started, for example because cargo is missing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(sequences) = args.models {
        let start = Instant::now();
        if let Err(failure) = steps::run_model_tests(sequences)? {
            eprintln!("error: a model test failed; repeat it with:");
            eprintln!("    {failure}");
            return Ok(ExitCode::FAILURE);
        }
        println!("test: {sequences} sequences of each model passed in {}", Elapsed(start.elapsed()));
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |step: &Step| args.steps.is_empty() || args.steps.contains(step);
    let steps: Vec<_> = Step::value_variants().iter().copied().filter(wanted).collect();
    let start = Instant::now();
    for step in &steps {
        eprintln!("==> {step}: {}", step.help_text());
        let begin = Instant::now();
        if let Err(failure) = step.run()? {
            eprintln!("error: {step} failed after {}; repeat it with:", Elapsed(begin.elapsed()));
            eprintln!("    {failure}");
            return Ok(ExitCode::FAILURE);
        }
        eprintln!("    {step} passed in {}", Elapsed(begin.elapsed()));
    }
    let names: Vec<_> = steps.iter().map(ToString::to_string).collect();
    let skipped = if steps.contains(&Step::Test) && !is_on_path("kubectl") {
        " (kubectl is not on the PATH: skipped the tests that run it)"
    } else {
        ""
    };
    println!("test: {} passed in {}{skipped}", names.join(", "), Elapsed(start.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// Displays a duration as `1.2 s` or `12 min 34 s`.
struct Elapsed(Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(f, "{:.1} s", self.0.as_secs_f32())
        } else {
            write!(f, "{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

/// Whether a folder of the PATH contains a file with the name `program`.
fn is_on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| Path::new(&folder).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_seconds_or_minutes() {
        assert_eq!(Elapsed(Duration::from_millis(1_240)).to_string(), "1.2 s");
        assert_eq!(Elapsed(Duration::from_secs(754)).to_string(), "12 min 34 s");
    }

    #[test]
    fn only_an_existing_program_is_on_the_path() {
        assert!(is_on_path("sh"));
        assert!(!is_on_path("no-such-program"));
    }
}
