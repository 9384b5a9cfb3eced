//! The row `list`: `Api::list` of all objects in one response.

use k8s_openapi::api::core::v1::Pod;

use super::{Digest, Job, Measure, Outcome};
use crate::library::{Api, ListParams};

/// Lists all pods once.
pub(crate) async fn list_pods(job: &Job) -> anyhow::Result<Outcome> {
    let pods: Api<Pod> = Api::all(job.client()?);
    let running = Measure::start()?;
    let list = pods.list(&ListParams::default()).await?;
    let measure = running.stop()?;
    let mut digest = Digest::default();
    for pod in &list.items {
        digest.add_object(serde_json::to_value(pod)?);
    }
    Ok(Outcome::new(list.items.len(), &measure).digest(digest))
}
