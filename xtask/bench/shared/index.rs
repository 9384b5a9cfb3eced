//! The row `index-lookups`: uses an index of a store to look up the pods of each node. The store holds all pods.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

use super::store::{ListStrategy, digest_of_store, start_filling_store};
use super::{Job, Measure, Outcome, Report};
use crate::library::{self, Api};

/// Measures look-ups. Each look-up returns the pods of one node. The row cycles through all nodes.
pub(crate) async fn measure_index_lookups(job: &Job) -> anyhow::Result<Report> {
    let (store, writer) = library::store(());
    let Some(pods_of_node) = library::index_by_node(&store) else {
        return Ok(Report::Absent { reason: "kube's stores have no indexes".to_owned() });
    };
    let pods: Api<Pod> = Api::all(job.client()?);
    let filled = start_filling_store((store, writer), pods, ListStrategy::List.config(), |_| {});
    filled.store.wait_until_ready().await?;
    let pods = filled.store.state();
    let nodes: BTreeSet<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    let found: usize = nodes.iter().map(|node| pods_of_node(node).len()).sum();
    let all = pods.len();
    anyhow::ensure!(found == all, "the index has {found} pods instead of {all}");
    let running = Measure::start()?;
    for node in nodes.iter().cycle().take(job.calls) {
        anyhow::ensure!(!pods_of_node(node).is_empty(), "the index has no pods of {node}");
    }
    let measure = running.stop()?;
    Ok(Report::Done(Outcome::new(job.calls, &measure).digest(digest_of_store(&filled.store)?)))
}
