//! `Report`: compares the observations of two servers, and prints the differences.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use xtask_control_plane::build::Kubectl;

use crate::known_differences::KnownDifferences;
use crate::script::{Script, Step};
use crate::session::Observation;

/// The counts of the differences in a run, and the names of the commands whose results differ.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    known: &'a KnownDifferences,
    /// Whether known differences are printed, in addition to the unknown differences.
    verbose: bool,
    /// The number of compared commands.
    commands: usize,
    /// The number of differences.
    differences: usize,
    /// The number of unknown differences: the command is not in `data/known.yaml`.
    unknown: usize,
    /// The names of all commands whose results differ, in the form of `data/known.yaml`.
    names: BTreeSet<String>,
}

impl<'a> Report<'a> {
    /// A report without comparisons.
    pub(crate) fn new(known: &'a KnownDifferences, verbose: bool) -> Self {
        Self { known, verbose, commands: 0, differences: 0, unknown: 0, names: BTreeSet::new() }
    }

    /// Compares the observations of a script, and prints the differences.
    pub(crate) fn compare_observations(
        &mut self,
        script: &Script,
        kubectl: &Kubectl,
        real: &[Observation],
        simulated: &[Observation],
    ) {
        for ((step, real), simulated) in script.steps.iter().zip(real).zip(simulated) {
            self.commands += 1;
            let Some(text) = difference(step, real, simulated) else { continue };
            self.differences += 1;
            let name = format!("{}: {}", script.name, step.run.lines().next().unwrap_or_default());
            let version = &kubectl.version;
            match self.known.reason(&name) {
                Some(reason) if self.verbose => println!("[{version}] {name}\n  known: {reason}\n{text}"),
                Some(_) => {}
                None => {
                    self.unknown += 1;
                    println!("[{version}] {name}\n{text}");
                }
            }
            self.names.insert(name);
        }
    }

    /// Prints the counts. After a complete run (all scripts with all versions), also prints the obsolete entries: the known
    /// differences that did not occur. Returns false if there is an obsolete entry or an unknown difference.
    pub(crate) fn finish(self, complete: bool) -> bool {
        let obsolete: Vec<_> =
            if complete { self.known.obsolete_commands(&self.names).collect() } else { Vec::new() };
        for entry in &obsolete {
            println!("no longer different, remove it from data/known.yaml: {entry}");
        }
        println!(
            "{} commands; {} are equal; {} unknown differences",
            self.commands,
            self.commands - self.differences,
            self.unknown
        );
        self.unknown == 0 && obsolete.is_empty()
    }
}

/// Describes the differences between two observations; `None` if the observations are equal. If `step.quiet` is true,
/// compares only the exit codes. If `step.simulated` is set, ignores `real`: kube-sim must exit with code 0 and print the
/// text of `step.simulated`.
fn difference(step: &Step, real: &Observation, simulated: &Observation) -> Option<String> {
    let mut text = String::new();
    // Writing to a string is infallible: the results of `writeln!` are ignored.
    if let Some(expected) = &step.simulated {
        if simulated.code != 0 || simulated.stdout.trim_end() != expected.trim_end() {
            let _ = writeln!(text, "  exit code {}, {}", simulated.code, simulated.stderr);
            text.push_str(&changed_lines(expected, &simulated.stdout));
        }
    } else {
        if real.code != simulated.code {
            let _ = writeln!(text, "  exit code: real {}, kube-sim {}", real.code, simulated.code);
        }
        for (one, other) in [(&real.stdout, &simulated.stdout), (&real.stderr, &simulated.stderr)] {
            if !step.quiet && one != other {
                text.push_str(&changed_lines(one, other));
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The lines between the common beginning and the common end of two texts: first the lines of `real` with `-`, then the
/// lines of `simulated` with `+`.
fn changed_lines(real: &str, simulated: &str) -> String {
    let (real, simulated): (Vec<_>, Vec<_>) = (real.lines().collect(), simulated.lines().collect());
    let begin = real.iter().zip(&simulated).take_while(|(one, other)| one == other).count();
    let rest = real[begin..].iter().rev().zip(simulated[begin..].iter().rev());
    let end = rest.take_while(|(one, other)| one == other).count();
    let mut text = String::new();
    for (mark, lines) in [('-', &real), ('+', &simulated)] {
        for line in &lines[begin..lines.len() - end] {
            let _ = writeln!(text, "  {mark} {line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(yaml: &str) -> Step {
        yaml_serde::from_str(yaml).unwrap()
    }

    fn observation(code: u8, stdout: &str) -> Observation {
        Observation { code, stdout: stdout.to_owned(), stderr: String::new() }
    }

    #[test]
    fn changed_lines_omits_the_common_beginning_and_end() {
        assert_eq!(changed_lines("a\nb\nc\nd", "a\nx\nc\ny\nd"), "  - b\n  - c\n  + x\n  + c\n  + y\n");
        assert_eq!(changed_lines("a\na", "a"), "  - a\n");
    }

    #[test]
    fn exit_codes_and_outputs_are_compared() {
        let plain = step("kubectl get pods");
        let one = observation(0, "a");
        assert_eq!(difference(&plain, &one, &observation(0, "a")), None);
        assert!(difference(&plain, &one, &observation(1, "a")).unwrap().contains("real 0, kube-sim 1"));
        assert!(difference(&plain, &one, &observation(0, "b")).is_some());
        let quiet = step("{run: x, quiet: true}");
        assert_eq!(difference(&quiet, &one, &observation(0, "b")), None);
        assert!(difference(&quiet, &one, &observation(1, "a")).is_some());
    }

    #[test]
    fn a_command_for_kube_sim_is_compared_with_the_expected_output() {
        let step = step("{run: x, simulated: a}");
        let none = observation(0, "");
        assert_eq!(difference(&step, &none, &observation(0, "a\n")), None);
        assert!(difference(&step, &none, &observation(1, "a")).is_some());
        assert!(difference(&step, &none, &observation(0, "b")).is_some());
    }
}
