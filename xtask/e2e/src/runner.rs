//! Runs each case in its own namespace and cleans up after it. Cases run concurrently unless they are exclusive.

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
use super::report::{Report, Verdict};
use super::server::Server;
use super::support::{LABEL, named};

/// The number of concurrent cases. Most of their time is spent waiting for the server.
const TOGETHER: usize = 8;
/// The longest that a case may take.
const LIMIT: Duration = Duration::from_secs(180);
/// The longest that cleaning up after one case may take.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(30);

/// A case that is to be run, by its full name.
pub(crate) struct Selected {
    name: String,
    case: Case,
}

impl Selected {
    /// Its full name, `suite::case`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// The cases whose full name, `suite::case`, holds one of the filters; all if there is no filter.
pub(crate) fn select(suites: &[Suite], filters: &[String]) -> Vec<Selected> {
    let all = suites.iter().flat_map(|suite| {
        suite
            .cases
            .iter()
            .map(|case| Selected { name: format!("{}::{}", suite.name, case.name), case: *case })
    });
    all.filter(|selected| filters.is_empty() || filters.iter().any(|filter| selected.name.contains(filter)))
        .collect()
}

/// Whether any of the selected cases has this need.
pub(crate) fn any_needs(selected: &[Selected], need: super::case::Need) -> bool {
    selected.iter().any(|selected| selected.case.needs.contains(&need))
}

/// Runs cases on a server. When `stop` becomes true, running cases are cancelled and cleaned up, and no case starts.
pub(crate) async fn run(
    server: &Arc<Server>,
    selected: Vec<Selected>,
    report: &Report,
    stop: watch::Receiver<bool>,
) {
    let id = run_id();
    let run = Run { server, id: &id, report, stop };
    let numbered = selected.into_iter().enumerate();
    let (alone, together): (Vec<_>, Vec<_>) =
        numbered.partition(|(_, selected)| selected.case.is_exclusive());
    futures::stream::iter(together).for_each_concurrent(TOGETHER, |(n, selected)| run.one(n, selected)).await;
    for (n, selected) in alone {
        run.one(n, selected).await;
    }
    let begun = Instant::now();
    let verdict = match leftovers::none(server, &id).await {
        Ok(()) => Verdict::Passed(begun.elapsed()),
        Err(failure) => Verdict::Failed(format!("{failure:#}")),
    };
    report.tell("all: nothing_is_left_behind", verdict);
}

/// The prefix of all namespaces and unique names of a run. It is random, so that runs on one cluster do not collide.
fn run_id() -> String {
    let random: String = std::iter::repeat_with(fastrand::lowercase).take(6).collect();
    format!("e2e-{random}")
}

struct Run<'a> {
    server: &'a Arc<Server>,
    id: &'a str,
    report: &'a Report,
    stop: watch::Receiver<bool>,
}

impl Run<'_> {
    async fn one(&self, n: usize, selected: Selected) {
        let Selected { name, case } = selected;
        let lacked = case.needs.iter().find_map(|need| self.server.lacks(*need));
        let verdict = match lacked {
            Some(why) => Verdict::Skipped(why.to_owned()),
            None if *self.stop.borrow() => Verdict::Skipped("the run was interrupted".to_owned()),
            None => {
                let begun = Instant::now();
                match self.attempt(n, &case).await {
                    Ok(()) => Verdict::Passed(begun.elapsed()),
                    Err(error) => Verdict::Failed(format!("{error:#}")),
                }
            }
        };
        self.report.tell(&name, verdict);
    }

    async fn attempt(&self, n: usize, case: &Case) -> anyhow::Result<()> {
        let namespace = format!("{}-{n}", self.id);
        let client = self.server.client(&namespace)?;
        make_namespace(&client, &namespace).await?;
        let env = Env::new(self.server.clone(), client, namespace);
        let outcome = self.limited(case, env.clone()).await;
        let settled = if case.is_exclusive() { self.server.settle().await } else { Ok(()) };
        let cleaned = tokio::time::timeout(CLEAN_UP_LIMIT, clean_up(&env)).await;
        outcome?;
        settled.context("cannot restart the stopped components of the cluster")?;
        cleaned.context("cleaning up took too long")?
    }

    /// Runs the case until it returns, panics, exceeds `LIMIT` or is interrupted.
    async fn limited(&self, case: &Case, env: Env) -> anyhow::Result<()> {
        let mut stop = self.stop.clone();
        let run = AssertUnwindSafe((case.run)(env)).catch_unwind();
        tokio::select! {
            outcome = tokio::time::timeout(LIMIT, run) => match outcome {
                Ok(Ok(outcome)) => outcome.map_err(|failure| anyhow::anyhow!("{failure}")),
                Ok(Err(panic)) => Err(anyhow::anyhow!("it panicked: {}", panic_text(panic.as_ref()))),
                Err(_) => Err(anyhow::anyhow!("the case timed out after {LIMIT:?}")),
            },
            _ = stop.wait_for(|stop| *stop) => Err(anyhow::anyhow!("the run was interrupted")),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

async fn make_namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let mut namespace = Namespace { metadata: named(name), ..Namespace::default() };
    namespace.metadata.labels = Some(BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())]));
    let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await;
    made.map(drop).context("cannot make a namespace for the case")
}

async fn clean_up(env: &Env) -> anyhow::Result<()> {
    let mut first = Ok(());
    for task in env.take_clean_up() {
        first = first.and(task.await);
    }
    let namespaces: Api<Namespace> = Api::all(env.client());
    match namespaces.delete(env.namespace(), &DeleteParams::background()).await {
        Err(error) if !error.is_not_found() => first.and(Err(error).context("cannot delete the namespace")),
        _ => first,
    }
}
