//! Runs each case in its own namespace, and cleans up after the case. Cases run concurrently unless they are exclusive.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube_client::api::{DeleteParams, PostParams};
use kube_client::{Api, Client};
use tokio::sync::watch;

use super::case::{Case, Suite};
use super::env::Env;
use super::leftovers;
use super::report::{CaseResult, Report};
use super::server::Server;
use super::support::{MANAGED_BY_LABEL, eventually, named_metadata};

/// The number of cases that run concurrently. A case spends most of its time waiting for the server.
const CONCURRENCY: usize = 8;
/// The time limit for one case.
const CASE_TIMEOUT: Duration = Duration::from_secs(180);
/// The time limit for cleaning up after one case.
const CLEAN_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// The time limit for the server to accept the request that deletes the namespace of a case.
const DELETION_TIMEOUT: Duration = Duration::from_secs(30);

/// A case that matches the filters, with its full name.
pub(crate) struct SelectedCase {
    name: String,
    case: Case,
}

impl SelectedCase {
    /// The full name, `suite::case`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Selects the cases whose full name, `suite::case`, contains one of the filters. If there are no filters, selects all
/// cases.
pub(crate) fn select_cases(suites: &[Suite], filters: &[String]) -> Vec<SelectedCase> {
    let all = suites.iter().flat_map(|suite| {
        suite
            .cases
            .iter()
            .map(|case| SelectedCase { name: format!("{}::{}", suite.name, case.name), case: *case })
    });
    all.filter(|selected| filters.is_empty() || filters.iter().any(|filter| selected.name.contains(filter)))
        .collect()
}

/// Whether any of the cases has this need.
pub(crate) fn any_case_needs(selected: &[SelectedCase], need: super::case::Need) -> bool {
    selected.iter().any(|selected| selected.case.needs.contains(&need))
}

/// Runs cases on a server. Then waits until all objects of the cases are deleted, and records the result of this wait
/// as the last result. When `stop` becomes true, the running cases are cancelled and cleaned up, and the cases that have not
/// started are skipped.
pub(crate) async fn run_cases(
    server: &Arc<Server>,
    selected: Vec<SelectedCase>,
    report: &Report,
    stop: watch::Receiver<bool>,
) {
    let id = random_run_id();
    let run = RunState { server, id: &id, report, stop };
    let numbered = selected.into_iter().enumerate();
    let (exclusive, concurrent): (Vec<_>, Vec<_>) =
        numbered.partition(|(_, selected)| selected.case.is_exclusive());
    futures::stream::iter(concurrent)
        .for_each_concurrent(CONCURRENCY, |(n, selected)| run.run_case(n, selected))
        .await;
    for (n, selected) in exclusive {
        run.run_case(n, selected).await;
    }
    let start = Instant::now();
    let result = match leftovers::wait_until_deleted(server, &id).await {
        Ok(()) => CaseResult::Passed(start.elapsed()),
        Err(failure) => CaseResult::Failed(format!("{failure:#}")),
    };
    report.record_result("all: every_created_object_is_deleted", result);
}

/// A random id. The name or the namespace of each object of a run contains the id, so that runs on the same cluster do
/// not collide.
fn random_run_id() -> String {
    let random: String = std::iter::repeat_with(fastrand::lowercase).take(6).collect();
    format!("e2e-{random}")
}

/// The state that all cases of a run share.
struct RunState<'a> {
    server: &'a Arc<Server>,
    id: &'a str,
    report: &'a Report,
    stop: watch::Receiver<bool>,
}

impl RunState<'_> {
    /// Runs or skips a case, and records the result.
    async fn run_case(&self, n: usize, selected: SelectedCase) {
        let SelectedCase { name, case } = selected;
        let missing = case.needs.iter().find_map(|need| self.server.unmet_need_reason(*need));
        let result = match missing {
            Some(reason) => CaseResult::Skipped(reason.to_owned()),
            None if *self.stop.borrow() => CaseResult::Skipped("the run was interrupted".to_owned()),
            None => {
                let start = Instant::now();
                match self.run_in_new_namespace(n, &case).await {
                    Ok(()) => CaseResult::Passed(start.elapsed()),
                    Err(error) => CaseResult::Failed(format!("{error:#}")),
                }
            }
        };
        self.report.record_result(&name, result);
    }

    /// Runs a case in a new namespace, and then cleans up.
    async fn run_in_new_namespace(&self, n: usize, case: &Case) -> anyhow::Result<()> {
        let namespace = format!("{}-{n}", self.id);
        let client = self.server.client(&namespace)?;
        create_namespace(&client, &namespace).await?;
        let env = Env::new(self.server.clone(), client, namespace);
        let outcome = self.run_with_timeout(case, env.clone()).await;
        let restored = if case.is_exclusive() { self.server.restart_components().await } else { Ok(()) };
        let cleaned = tokio::time::timeout(CLEAN_UP_TIMEOUT, clean_up(&env)).await;
        outcome?;
        restored.context("cannot restart the cluster after the case")?;
        cleaned.with_context(|| format!("clean-up has not ended after {CLEAN_UP_TIMEOUT:?}"))?
    }

    /// Runs the case until it returns, panics, exceeds the time limit or is interrupted.
    async fn run_with_timeout(&self, case: &Case, env: Env) -> anyhow::Result<()> {
        let mut stop = self.stop.clone();
        let run = AssertUnwindSafe((case.run)(env)).catch_unwind();
        tokio::select! {
            outcome = tokio::time::timeout(CASE_TIMEOUT, run) => match outcome {
                Ok(Ok(outcome)) => outcome.map_err(|failure| anyhow::anyhow!("{failure}")),
                Ok(Err(panic)) => Err(anyhow::anyhow!("the case panicked: {}", panic_message(panic.as_ref()))),
                Err(_) => Err(anyhow::anyhow!("the case has not ended after {CASE_TIMEOUT:?}")),
            },
            _ = stop.wait_for(|stop| *stop) => Err(anyhow::anyhow!("the run was interrupted")),
        }
    }
}

/// The message in the payload of a panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

/// Creates the namespace of a case, with [`MANAGED_BY_LABEL`].
async fn create_namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let mut namespace = Namespace { metadata: named_metadata(name), ..Namespace::default() };
    namespace.metadata.labels =
        Some(BTreeMap::from([(MANAGED_BY_LABEL.0.to_owned(), MANAGED_BY_LABEL.1.to_owned())]));
    let created = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
    created.map(drop).context("cannot create the namespace of the case")
}

/// Deletes the case's registered objects and namespace. Returns the first error, after all deletions.
async fn clean_up(env: &Env) -> anyhow::Result<()> {
    let mut first = Ok(());
    for deletion in env.take_deletions() {
        first = first.and(deletion.await);
    }
    let namespaces: Api<Namespace> = Api::all(env.client());
    // Retry: the API server still calls a webhook that the case has deleted, until the server's cache of
    // webhook configurations is up to date.
    let deleted = eventually("the namespace of the case is deleted", DELETION_TIMEOUT, async || {
        match namespaces.delete(env.namespace(), &DeleteParams::background()).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Some(())),
        }
    });
    first.and(deleted.await.map_err(|failure| anyhow::anyhow!("{failure}")))
}
