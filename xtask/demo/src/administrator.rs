//! An administrator of the cluster: scales deployments and drains nodes, and reports how the built-in controllers
//! react.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube_client::api::{EvictParams, ListParams, Patch, PatchParams};
use kube_client::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::nodes::not_ready_condition;
use super::tally::Tally;

/// The label of the deployments that the workload creates.
const WORKLOAD_LABEL: &str = "app.kubernetes.io/managed-by=kube-sim";
/// The pause before each action.
const PAUSE: Duration = Duration::from_millis(900);
/// The interval between two checks of a rollout or a drain.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The time limit of a rollout and of a drain.
const ACTION_LIMIT: Duration = Duration::from_secs(20);

/// Scales deployments and drains nodes until the task is aborted. A failed action is displayed, and not retried.
pub(super) async fn administer(client: Client, tally: Arc<Tally>, seed: u64) {
    let scaling = Administrator::new(client.clone(), tally.clone(), seed);
    let draining = Administrator::new(client, tally, seed ^ 1);
    tokio::join!(scale_deployments(scaling), drain_nodes(draining));
}

async fn scale_deployments(mut administrator: Administrator) {
    loop {
        sleep(PAUSE).await;
        let outcome = administrator.scale_deployment().await;
        administrator.report(outcome);
    }
}

async fn drain_nodes(mut administrator: Administrator) {
    loop {
        sleep(PAUSE).await;
        let outcome = administrator.drain_node().await;
        administrator.report(outcome);
    }
}

struct Administrator {
    deployments: Api<Deployment>,
    nodes: Api<Node>,
    pods: Api<Pod>,
    client: Client,
    tally: Arc<Tally>,
    random: fastrand::Rng,
}

impl Administrator {
    fn new(client: Client, tally: Arc<Tally>, seed: u64) -> Self {
        Self {
            deployments: Api::all(client.clone()),
            nodes: Api::all(client.clone()),
            pods: Api::all(client.clone()),
            client,
            tally,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn report(&self, outcome: anyhow::Result<String>) {
        self.tally.send_message(outcome.unwrap_or_else(|error| format!("operator: {error:#}")));
    }

    /// Scales a random deployment, as `kubectl scale` does, and waits until the rollout is done.
    async fn scale_deployment(&mut self) -> anyhow::Result<String> {
        let all = self.deployments.list(&ListParams::default().labels(WORKLOAD_LABEL)).await?.items;
        anyhow::ensure!(!all.is_empty(), "there is no deployment to scale");
        let chosen = &all[self.random.usize(..all.len())];
        let (namespace, name) = (chosen.namespace().unwrap_or_default(), chosen.name_any());
        let before = chosen.spec.replicas.unwrap_or(1);
        let replicas = if before > 5 { 2 } else { before + 2 };
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &namespace);
        let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let begin = Instant::now();
        api.patch_scale(&name, &PatchParams::default(), &scale).await?;
        let rolled_out = async {
            loop {
                let deployment = api.get(&name).await?;
                let status = deployment.status.unwrap_or_default();
                let observed = status.observed_generation >= deployment.metadata.generation;
                // The random changes of the demo may have scaled the deployment in the meantime.
                let wanted = deployment.spec.replicas.unwrap_or(1);
                let mut conditions = status.conditions.iter().flatten();
                let is_available = conditions
                    .any(|c| c.type_.as_deref() == Some("Available") && c.status.as_deref() == Some("True"));
                if observed && is_available && status.updated_replicas.unwrap_or(0) == wanted {
                    return anyhow::Ok(status.available_replicas.unwrap_or(0));
                }
                sleep(POLL_INTERVAL).await;
            }
        };
        let what = || format!("deployment {namespace}/{name} scaled from {before} to {replicas}");
        let available =
            timeout(ACTION_LIMIT, rolled_out).await.with_context(|| format!("{}: no rollout", what()))??;
        self.tally.rollouts.increment();
        Ok(format!("{}: {available} pods available after {:.1} s", what(), begin.elapsed().as_secs_f32()))
    }

    /// Cordons a random ready node, evicts the node's pods, as `kubectl drain` does, and waits until the pods have left.
    /// Then uncordons the node.
    async fn drain_node(&mut self) -> anyhow::Result<String> {
        let nodes = self.nodes.list(&ListParams::default()).await?.items;
        let ready: Vec<&Node> = nodes.iter().filter(|node| not_ready_condition(node).is_none()).collect();
        anyhow::ensure!(ready.len() > 1, "no node can be drained: {} ready", ready.len());
        let node = ready[self.random.usize(..ready.len())].name_any();
        self.nodes.cordon(&node).await?;
        let drained = timeout(ACTION_LIMIT, self.evict_pods(&node)).await;
        // The node can be deleted in the meantime.
        let uncordoned = self.nodes.uncordon(&node).await;
        let moved = drained.with_context(|| format!("node {node} is not drained"))??;
        if let Err(error) = uncordoned
            && !error.is_not_found()
        {
            return Err(error).context("cannot uncordon a node");
        }
        self.tally.drained_nodes.increment();
        self.tally.moved_pods.add(moved);
        Ok(format!("node {node} drained: {moved} pods moved to other nodes"))
    }

    /// Evicts the pods on a node until there are none. Returns the number of evicted pods.
    async fn evict_pods(&self, node: &str) -> anyhow::Result<u64> {
        let on_node = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let mut evicted = std::collections::BTreeSet::new();
        loop {
            let pods = self.pods.list(&on_node).await?.items;
            if pods.is_empty() {
                return Ok(evicted.len() as u64);
            }
            for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
                let api: Api<Pod> =
                    Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
                match api.evict(&pod.name_any(), &EvictParams::default()).await {
                    Ok(_) => {
                        evicted.insert(pod.uid());
                    }
                    // The pod no longer exists, or a disruption budget may allow the eviction later.
                    Err(error) if error.is_not_found() || error.is_too_many_requests() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
