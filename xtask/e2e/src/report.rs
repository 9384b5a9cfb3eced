//! The output of a run: a line for each case, and a last line with the counts.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The behaviour holds. With the duration of the case.
    Passed(Duration),
    /// The behaviour does not hold. With the reason.
    Failed(String),
    /// The case did not run. With the reason.
    Skipped(String),
}

/// The number of cases for each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Collects verdicts and prints each immediately.
#[derive(Debug, Default)]
pub(crate) struct Report {
    verdicts: Mutex<Vec<(String, Verdict)>>,
}

impl Report {
    /// Prints and stores the verdict of a case.
    pub(crate) fn tell(&self, name: &str, verdict: Verdict) {
        println!("{}", line(name, &verdict));
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), verdict));
    }

    /// The numbers so far.
    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for (_, verdict) in &*self.verdicts.lock().unwrap_or_else(PoisonError::into_inner) {
            match verdict {
                Verdict::Passed(_) => summary.passed += 1,
                Verdict::Failed(_) => summary.failed += 1,
                Verdict::Skipped(_) => summary.skipped += 1,
            }
        }
        summary
    }

    /// The lines of all failed cases, to repeat them at the end of the output.
    pub(crate) fn failures(&self) -> Vec<String> {
        let verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
        failed.map(|(name, verdict)| line(name, verdict)).collect()
    }
}

fn line(name: &str, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed(time) => format!("passed   {name} ({:.1} s)", time.as_secs_f32()),
        Verdict::Failed(why) => format!("FAILED   {name}\n         {why}"),
        Verdict::Skipped(why) => format!("skipped  {name}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_repeats_failures() {
        let report = Report::default();
        report.tell("a", Verdict::Passed(Duration::from_secs(1)));
        report.tell("b", Verdict::Failed("it broke".to_owned()));
        report.tell("c", Verdict::Skipped("no nodes".to_owned()));
        report.tell("d", Verdict::Skipped("no nodes".to_owned()));
        assert_eq!(report.summary().to_string(), "1 passed, 1 failed, 2 skipped");
        assert_eq!(report.failures(), ["FAILED   b\n         it broke"]);
    }
}
