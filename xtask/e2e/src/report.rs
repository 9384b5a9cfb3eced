//! `Report`: collects the results of a run, prints one line for each case, and counts the results.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CaseResult {
    /// The case passed. The duration is its running time.
    Passed(Duration),
    /// The case failed, with this error.
    Failed(String),
    /// The case was not run, for this reason.
    Skipped(String),
}

/// The numbers of passed, failed and skipped cases.
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

/// Collects results and prints each immediately.
#[derive(Debug, Default)]
pub(crate) struct Report {
    results: Mutex<Vec<(String, CaseResult)>>,
}

impl Report {
    /// Prints and records the result of a case.
    pub(crate) fn record_result(&self, name: &str, result: CaseResult) {
        println!("{}", format_result(name, &result));
        self.results.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), result));
    }

    /// The counts of the results so far.
    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for (_, result) in &*self.results.lock().unwrap_or_else(PoisonError::into_inner) {
            match result {
                CaseResult::Passed(_) => summary.passed += 1,
                CaseResult::Failed(_) => summary.failed += 1,
                CaseResult::Skipped(_) => summary.skipped += 1,
            }
        }
        summary
    }

    /// The lines of the failed cases, to print them again at the end of a run.
    pub(crate) fn failure_lines(&self) -> Vec<String> {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = results.iter().filter(|(_, result)| matches!(result, CaseResult::Failed(_)));
        failed.map(|(name, result)| format_result(name, result)).collect()
    }
}

/// The text that the report prints for a case: the result, the name of the case, and a detail. The detail is the running
/// time, the error, or the reason why the case was skipped.
fn format_result(name: &str, result: &CaseResult) -> String {
    match result {
        CaseResult::Passed(time) => format!("passed   {name} ({:.1} s)", time.as_secs_f32()),
        CaseResult::Failed(error) => format!("FAILED   {name}\n         {error}"),
        CaseResult::Skipped(reason) => format!("skipped  {name}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_results_and_keeps_the_lines_of_failures() {
        let report = Report::default();
        report.record_result("a", CaseResult::Passed(Duration::from_secs(1)));
        report.record_result("b", CaseResult::Failed("it broke".to_owned()));
        report.record_result("c", CaseResult::Skipped("no nodes".to_owned()));
        report.record_result("d", CaseResult::Skipped("no nodes".to_owned()));
        assert_eq!(report.summary().to_string(), "1 passed, 1 failed, 2 skipped");
        assert_eq!(report.failure_lines(), ["FAILED   b\n         it broke"]);
    }
}
