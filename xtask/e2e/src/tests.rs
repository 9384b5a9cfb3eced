//! Runs the suites on kube-sim. Each suite that kube-sim can run has a test with the name of the suite.

use std::sync::Arc;

use tokio::sync::watch;

use super::report::Report;
use super::server::Server;
use super::{runner, suites};

/// Runs one suite, and panics if a case fails or no case passes. Prints skipped cases with their reasons.
fn check_suite(suite: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Arc::new(Server::start_simulation().await.unwrap());
        let suites: Vec<_> = suites::ALL.iter().copied().filter(|known| known.name == suite).collect();
        assert_eq!(suites.len(), 1, "there is no suite {suite}");
        let report = Report::default();
        let (_stop, stopped) = watch::channel(false);
        runner::run_cases(&server, runner::select_cases(&suites, &[]), &report, stopped).await;
        let failures = report.failure_lines();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert!(report.summary().passed > 0);
    });
}

/// Defines a test for each given suite, and a test that fails if a suite is neither given nor skipped on kube-sim.
macro_rules! suites {
    ($($suite:ident),+ $(,)?) => {
        $(#[test]
        fn $suite() {
            check_suite(stringify!($suite));
        })+

        #[test]
        fn every_suite_has_a_test_or_is_skipped_on_kube_sim() {
            let all: Vec<_> = suites::ALL.iter().map(|suite| suite.name).collect();
            let skipped_on_kube_sim = [
                "testdata", "processes", "logs", "ports", "copies", "kubelet", "disruption", "restore", "rotation", "examples",
                "example_commands", "fencing", "languages",
            ];
            let tested = [$(stringify!($suite)),+];
            for suite in all {
                assert!(tested.contains(&suite) || skipped_on_kube_sim.contains(&suite), "{suite} has no test");
            }
        }
    };
}

suites!(
    verbs,
    actions,
    patch,
    selectors,
    paging,
    watch,
    watch_list,
    expired_versions,
    conflict,
    finalizers,
    formats,
    crd,
    object_types,
    streams,
    controller,
    auth,
    access,
    churn,
    schemas,
    cel,
    derived,
    closed_connections,
    validation,
    wait,
    events,
    discovery,
    connections,
    webhooks,
    runtime_webhooks,
    admission_plugins,
    admission_policies,
    mutating_policies,
    workloads,
    rollouts,
    built_in_controllers
);
