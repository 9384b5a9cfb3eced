//! `Report`: the result of `go test -json`. This module parses the events that `go test` prints, and runs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;

/// The maximum number of lines that [`Report::failures`] contains for each failed test, package or build.
const MAX_OUTPUT_LINES: usize = 60;

/// An event of `go test -json`. An event of a build has an import path in place of a package.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    test: Option<String>,
    elapsed: Option<f64>,
    #[serde(default)]
    output: String,
    #[serde(default)]
    import_path: String,
}

/// The tests of a run: which passed and which failed, and the time of each package.
#[derive(Debug, Default)]
pub struct Report {
    /// The tests that passed, as `PACKAGE.TEST`.
    passed: BTreeSet<String>,
    /// The output of each test, package or build that failed.
    failed: BTreeMap<String, String>,
    /// The time of each package with tests, from the start to the end of the package's test program.
    times: BTreeMap<String, Duration>,
}

impl Report {
    /// Parses the events, one JSON object in each line. Ignores other lines.
    #[must_use]
    pub fn parse(events: &str) -> Self {
        let mut report = Self::default();
        let mut output = BTreeMap::<String, String>::new();
        let events = events.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
        for event in events {
            let name = event.name();
            match event.action.as_str() {
                "output" | "build-output" => output.entry(name).or_default().push_str(&event.output),
                "pass" if event.test.is_some() => {
                    report.passed.insert(name);
                }
                "fail" | "build-fail" => {
                    report.failed.insert(name.clone(), output.remove(&name).unwrap_or_default());
                }
                _ => {}
            }
            if let ("pass" | "fail", None, Some(elapsed)) =
                (event.action.as_str(), &event.test, event.elapsed)
            {
                report.times.insert(event.package, Duration::try_from_secs_f64(elapsed).unwrap_or_default());
            }
        }
        report
    }

    /// Whether at least one test passed, and no test, package or build failed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        !self.passed.is_empty() && !self.has_failures()
    }

    /// Whether a test, a package or a build failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        !self.failed.is_empty()
    }

    /// The tests that passed in only one of two runs.
    #[must_use]
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        self.passed.symmetric_difference(&other.passed).map(String::as_str).collect()
    }

    /// The end of the output of each test, package and build that failed.
    #[must_use]
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for (name, output) in &self.failed {
            let lines: Vec<_> = output.lines().collect();
            let begin = lines.len().saturating_sub(MAX_OUTPUT_LINES);
            // Writing to a string is infallible.
            let _ = writeln!(text, "failed: {name}");
            for line in &lines[begin..] {
                let _ = writeln!(text, "    {line}");
            }
        }
        text
    }

    /// The number of passed tests, the number of failures, and the times. Each failed test, package or build is one failure.
    #[must_use]
    pub fn summary(&self) -> String {
        let total: Duration = self.times.values().sum();
        let times: Vec<_> =
            self.times.iter().map(|(name, time)| format!("{name} {:.2} s", time.as_secs_f64())).collect();
        format!(
            "{} passed, {} failed in {:.2} s ({})",
            self.passed.len(),
            self.failed.len(),
            total.as_secs_f64(),
            times.join(", ")
        )
    }
}

impl Event {
    fn name(&self) -> String {
        match &self.test {
            Some(test) => format!("{}.{test}", self.package),
            None if self.package.is_empty() => self.import_path.clone(),
            None => self.package.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS_OF_PASSED_RUN: &str = r#"{"Action":"start","Package":"x/a"}
{"Action":"run","Package":"x/a","Test":"TestOne"}
{"Action":"output","Package":"x/a","Test":"TestOne","Output":"--- PASS: TestOne (0.10s)\n"}
{"Action":"pass","Package":"x/a","Test":"TestOne","Elapsed":0.1}
{"Action":"pass","Package":"x/a","Elapsed":1.25}
{"Action":"skip","Package":"x/none","Elapsed":0}
"#;

    #[test]
    fn the_summary_counts_the_tests_and_has_the_time_of_each_package() {
        let report = Report::parse(EVENTS_OF_PASSED_RUN);
        assert!(report.has_passed());
        assert_eq!(report.summary(), "1 passed, 0 failed in 1.25 s (x/a 1.25 s)");
        assert_eq!(report.failures(), "");
    }

    #[test]
    fn a_failure_has_its_output() {
        let events = r#"{"Action":"output","Package":"x/a","Test":"TestOne","Output":"expected 1\n"}
{"Action":"fail","Package":"x/a","Test":"TestOne","Elapsed":0.1}
{"Action":"fail","Package":"x/a","Elapsed":2}
{"ImportPath":"x/b","Action":"build-output","Output":"undefined: y\n"}
{"ImportPath":"x/b","Action":"build-fail"}
"#;
        let report = Report::parse(events);
        assert!(report.has_failures() && !report.has_passed());
        assert_eq!(
            report.failures(),
            "failed: x/a\nfailed: x/a.TestOne\n    expected 1\nfailed: x/b\n    undefined: y\n"
        );
    }

    #[test]
    fn a_run_without_tests_has_not_passed() {
        assert!(!Report::parse("").has_passed());
        assert!(!Report::parse("{\"Action\":\"pass\",\"Package\":\"x/a\",\"Elapsed\":1}\n").has_passed());
    }

    #[test]
    fn differences_are_the_tests_that_passed_in_only_one_run() {
        let other = EVENTS_OF_PASSED_RUN.replace("TestOne", "TestTwo");
        let (one, two) = (Report::parse(EVENTS_OF_PASSED_RUN), Report::parse(&other));
        assert_eq!(one.differences(&two), ["x/a.TestOne", "x/a.TestTwo"]);
        assert!(one.differences(&one).is_empty());
    }
}
