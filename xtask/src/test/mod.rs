//! `cargo xtask test`: everything that needs Rust alone, in the order in which it fails soonest.
//!
//! [`Step`] says what there is to do; this file runs it and tells how long it took. It stops at the first failure.

mod steps;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ValueEnum;

pub use steps::Step;

/// Runs everything that needs Rust alone: format, rules, lints, documentation, features, tests and examples.
///
/// Stops at the first failure, with the command that repeats it. Tests that drive kubectl are skipped where there is
/// none.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these steps, in their usual order; all of them by default.
    #[arg(value_name = "STEP", value_enum)]
    steps: Vec<Step>,

    /// Run the model tests of kube-runtime instead, optimized, each on this many random sequences. They are part of the step
    /// `test`, with 2000.
    #[arg(long, value_name = "SEQUENCES", conflicts_with = "steps")]
    models: Option<u64>,
}

/// Runs the subcommand.
///
/// # Errors
/// When a step cannot be run at all, as where cargo is missing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(sequences) = args.models {
        let start = Instant::now();
        if let Err(failure) = steps::models(sequences)? {
            eprintln!("error: a model test failed; repeat it with:");
            eprintln!("    {failure}");
            return Ok(ExitCode::FAILURE);
        }
        println!("test: {sequences} sequences of each model passed in {}", Took(start.elapsed()));
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = |step: &Step| args.steps.is_empty() || args.steps.contains(step);
    let steps: Vec<_> = Step::value_variants().iter().copied().filter(wanted).collect();
    let start = Instant::now();
    for step in &steps {
        eprintln!("==> {step}: {}", step.about());
        let begin = Instant::now();
        if let Err(failure) = step.run()? {
            eprintln!("error: {step} failed after {}; repeat it with:", Took(begin.elapsed()));
            eprintln!("    {failure}");
            return Ok(ExitCode::FAILURE);
        }
        eprintln!("    {step} passed in {}", Took(begin.elapsed()));
    }
    let names: Vec<_> = steps.iter().map(ToString::to_string).collect();
    let skipped = if steps.contains(&Step::Test) && !on_path("kubectl") {
        " (kubectl is not on the PATH: the tests that drive it were skipped)"
    } else {
        ""
    };
    println!("test: {} passed in {}{skipped}", names.join(", "), Took(start.elapsed()));
    Ok(ExitCode::SUCCESS)
}

/// A duration as people say it.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            write!(f, "{:.1} s", self.0.as_secs_f32())
        } else {
            write!(f, "{} min {} s", seconds / 60, seconds % 60)
        }
    }
}

/// Whether there is a program of that name on the PATH.
fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| Path::new(&folder).join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(Took(Duration::from_millis(1_240)).to_string(), "1.2 s");
        assert_eq!(Took(Duration::from_secs(754)).to_string(), "12 min 34 s");
    }

    #[test]
    fn finds_programs() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program"));
    }
}
