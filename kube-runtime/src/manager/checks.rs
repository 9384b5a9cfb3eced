//! `Checks`: the checks of `/healthz` and `/readyz`. `Report`: the results of the checks, as text.

use std::{
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A check of a probe. The error is the reason of the failure.
type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The checks of the probes, each with its name.
#[derive(Default)]
pub(super) struct Checks {
    health: Vec<(String, Check)>,
    ready: Vec<(String, Check)>,
}

/// The result of the checks of a probe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) passed: bool,
    /// A line for `ping`, which always passes, and one for each check.
    pub(super) lines: String,
}

impl Checks {
    pub(super) fn add_health_check(
        &mut self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.health.push((name.to_owned(), Arc::new(check)));
    }

    pub(super) fn add_ready_check(
        &mut self,
        name: &str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.ready.push((name.to_owned(), Arc::new(check)));
    }

    /// Runs the checks of `/healthz`.
    pub(super) fn run_health_checks(&self) -> Report {
        run_checks(&self.health)
    }

    /// Runs the checks of `/readyz`, except the checks of the caches.
    pub(super) fn run_ready_checks(&self) -> Report {
        run_checks(&self.ready)
    }
}

impl Report {
    /// Adds the result of a check. The format of the line is that of Kubernetes' components.
    pub(super) fn add_result(&mut self, name: &str, result: Result<(), String>) {
        // Writing to a string does not fail.
        let _ = match result {
            Ok(()) => writeln!(self.lines, "[+]{name} ok"),
            Err(reason) => {
                self.passed = false;
                writeln!(self.lines, "[-]{name} failed: {reason}")
            }
        };
    }
}

/// Runs checks. A check that panics fails.
fn run_checks(checks: &[(String, Check)]) -> Report {
    let mut report = Report { passed: true, lines: "[+]ping ok\n".to_owned() };
    for (name, check) in checks {
        let result = catch_unwind(AssertUnwindSafe(|| check()));
        report.add_result(name, result.unwrap_or_else(|_| Err("the check panicked".to_owned())));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_check_fails_and_the_other_checks_run() {
        let mut checks = Checks::default();
        checks.add_health_check("panics", || panic!("a test"));
        checks.add_health_check("works", || Ok(()));
        let report = checks.run_health_checks();
        assert!(!report.passed);
        assert_eq!(report.lines, "[+]ping ok\n[-]panics failed: the check panicked\n[+]works ok\n");
    }
}
