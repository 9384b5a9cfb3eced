//! The rows that measure `Api::get`: sequential calls and concurrent calls over TCP, and calls to an in-process service.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use tower::service_fn;

use super::{Control, Digest, Job, Measure, Outcome};
use crate::library::{Api, Body, Client, ResourceExt};

/// The number of distinct pods that are requested.
const DISTINCT_PODS: usize = 64;
/// The number of concurrent tasks.
const TASKS: usize = 32;

/// Measures sequential get requests over TCP.
pub(crate) async fn get_sequentially(job: &Job) -> anyhow::Result<Outcome> {
    let names = pod_names(job)?;
    let client = job.client()?;
    get_all(&client, &names, names.len()).await?;
    let running = Measure::start()?;
    get_all(&client, &names, job.calls).await?;
    outcome_with_digest(job.calls, &running.stop()?, &client, &names).await
}

/// Measures get requests over TCP in [`TASKS`] concurrent tasks. Each task sends its requests in sequence.
pub(crate) async fn get_concurrently(job: &Job) -> anyhow::Result<Outcome> {
    let names = pod_names(job)?;
    let client = job.client()?;
    get_all(&client, &names, names.len()).await?;
    let running = Measure::start()?;
    let each = job.calls / TASKS;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (client, names) = (client.clone(), names.clone());
        tasks.spawn(async move { get_all(&client, &names, each).await });
    }
    for result in tasks.join_all().await {
        result?;
    }
    outcome_with_digest(each * TASKS, &running.stop()?, &client, &names).await
}

/// Measures get requests for a small object of an in-process service, so that the client's overhead dominates.
pub(crate) async fn get_in_process(job: &Job) -> anyhow::Result<Outcome> {
    let text = Bytes::from(Control::for_job(job).request("api/v1/configmaps/0")?);
    let expected = "settings-0";
    let service = service_fn(move |request: Request<Body>| {
        let text = text.clone();
        async move {
            let known = request.uri().path().ends_with(expected);
            let response = Response::builder().status(if known { 200 } else { 404 });
            response.header("content-type", "application/json").body(Full::new(text))
        }
    });
    let maps: Api<ConfigMap> = Api::namespaced(Client::new(service, "default"), "team-0000");
    maps.get(expected).await?;
    let running = Measure::start()?;
    for _ in 0..job.calls {
        let map = maps.get(expected).await?;
        anyhow::ensure!(map.name_any() == expected, "received another object: {}", map.name_any());
    }
    Ok(Outcome::new(job.calls, &running.stop()?))
}

/// The namespaces and names of the requested pods.
pub(super) fn pod_names(job: &Job) -> anyhow::Result<Vec<(String, String)>> {
    Control::for_job(job).pod_names(DISTINCT_PODS)
}

/// Sends `count` get requests in sequence, cycling through `names`.
async fn get_all(client: &Client, names: &[(String, String)], count: usize) -> anyhow::Result<()> {
    for (namespace, name) in names.iter().cycle().take(count) {
        get_pod(client, namespace, name).await?;
    }
    Ok(())
}

/// Gets a pod.
pub(super) async fn get_pod(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Pod> {
    let pod = Api::<Pod>::namespaced(client.clone(), namespace).get(name).await?;
    anyhow::ensure!(pod.name_any() == name, "received another object: {}", pod.name_any());
    Ok(pod)
}

/// The outcome of a finished measurement, with the digest of the pods. Gets each pod once more to compute the digest.
async fn outcome_with_digest(
    calls: usize,
    measure: &Measure,
    client: &Client,
    names: &[(String, String)],
) -> anyhow::Result<Outcome> {
    let mut digest = Digest::default();
    for (namespace, name) in names {
        digest.add_object(serde_json::to_value(&get_pod(client, namespace, name).await?)?);
    }
    Ok(Outcome::new(calls, measure).digest(digest))
}
