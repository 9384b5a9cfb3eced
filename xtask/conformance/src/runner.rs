//! Runs the cases on both servers, and compares the observations.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::json;

use crate::case::Case;
use crate::endpoint::{Call, Endpoint};
use crate::observation::{self, Difference, UnexpectedResponse};

/// The number of cases that run at the same time.
const CONCURRENT_CASES: usize = 8;

/// The real API server and kube-sim.
pub(crate) struct Servers {
    pub(crate) real: Endpoint,
    pub(crate) simulated: Endpoint,
}

/// The result of one case on both servers.
pub(crate) struct Outcome {
    pub(crate) case: Case,
    pub(crate) differences: Vec<Difference>,
    /// The responses that the case does not expect, with the name of their server.
    pub(crate) unexpected: Vec<(&'static str, UnexpectedResponse)>,
}

/// Runs `cases` on both servers. Returns one outcome for each case.
pub(crate) async fn run_cases(servers: &Servers, cases: Vec<Case>) -> anyhow::Result<Vec<Outcome>> {
    for endpoint in [&servers.real, &servers.simulated] {
        create_namespace(endpoint, SHARED_NAMESPACE).await?;
    }
    // First run the cases that store nothing. Objects that other cases store could change the discovery documents, or
    // have the same names as the objects of mutations.
    let numbered = cases.into_iter().enumerate();
    let (first, rest): (Vec<_>, Vec<_>) = numbered.partition(|(_, case)| case.stores_nothing());
    let mut outcomes = run_concurrently(servers, first).await?;
    outcomes.extend(run_concurrently(servers, rest).await?);
    Ok(outcomes)
}

/// Runs cases concurrently. The unique number of each scenario makes the name of its namespace unique; all mutations have
/// the same namespace. Returns the outcomes in the order of completion.
async fn run_concurrently(servers: &Servers, cases: Vec<(usize, Case)>) -> anyhow::Result<Vec<Outcome>> {
    let outcomes = cases.into_iter().map(|(index, case)| async move {
        let namespace = match &case {
            Case::Scenario(_) => format!("conformance-{index}"),
            // A mutation is a dry run, which stores no object. So all mutations can share one namespace.
            Case::Mutation(_) => SHARED_NAMESPACE.to_owned(),
        };
        let name = case.name().to_owned();
        run_case(servers, case, &namespace).await.with_context(|| format!("in the case {name}"))
    });
    stream::iter(outcomes).buffer_unordered(CONCURRENT_CASES).try_collect().await
}

/// The namespace of all mutations.
const SHARED_NAMESPACE: &str = "conformance";

/// Runs one case on both servers, and compares the observations.
async fn run_case(servers: &Servers, case: Case, namespace: &str) -> anyhow::Result<Outcome> {
    if let Case::Scenario(_) = case {
        create_namespace(&servers.real, namespace).await?;
        create_namespace(&servers.simulated, namespace).await?;
    }
    let real = case.observe(&servers.real, namespace).await.context("on the real server")?;
    let simulated = case.observe(&servers.simulated, namespace).await.context("on kube-sim")?;
    let differences = observation::differences(&real.observations, &simulated.observations);
    let of_real = real.unexpected.into_iter().map(|one| ("real server", one));
    let of_simulated = simulated.unexpected.into_iter().map(|one| ("kube-sim", one));
    Ok(Outcome { case, differences, unexpected: of_real.chain(of_simulated).collect() })
}

/// Creates a namespace with the service account that the admission of pods needs.
async fn create_namespace(endpoint: &Endpoint, name: &str) -> anyhow::Result<()> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    for (path, object) in [
        ("/api/v1/namespaces".to_owned(), namespace),
        (format!("/api/v1/namespaces/{name}/serviceaccounts"), account),
    ] {
        let response = endpoint.send(&Call::post(path.clone(), &object)).await?;
        // The status 409 means that the object already exists.
        anyhow::ensure!(
            response.is_success() || response.status == 409,
            "{} {path}: {} {}",
            Method::POST,
            response.status,
            response.message()
        );
    }
    Ok(())
}
