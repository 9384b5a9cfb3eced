//! `WorkloadOptions`: the options of a simulated workload. `WorkloadOptions::start` starts the workload, and waits at most
//! two seconds until the pods of the deployments are available.

use std::time::{Duration, Instant};

use kube_sim::Sim;
use kube_sim::workload::WorkloadSimulator;

/// The time between two steps of the workload while [`WorkloadOptions::start`] waits for the pods of the deployments.
const START_PACE: Duration = Duration::from_millis(5);
/// The maximum time for which [`WorkloadOptions::start`] waits for the pods of the deployments.
const START_LIMIT: Duration = Duration::from_secs(2);

/// The options of a simulated workload.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "the tasks of this workspace build it by literal")]
pub struct WorkloadOptions {
    /// The approximate number of nodes.
    pub nodes: usize,
    /// The number of deployments to create.
    pub deployments: usize,
    /// The seed of all random choices.
    pub seed: u64,
    /// The time between two steps.
    pub pace: Duration,
    /// Whether the workload makes no random changes.
    pub calm: bool,
}

impl WorkloadOptions {
    /// Creates the deployments with a fast and calm workload, and waits at most two seconds until their pods are
    /// available. Then replaces the fast workload by a workload with these options.
    ///
    /// # Cancel safety
    /// Cancelling stops the fast workload. The created objects stay.
    pub async fn start(self, sim: &Sim) -> WorkloadSimulator {
        let builder = WorkloadSimulator::builder().seed(self.seed).nodes(self.nodes);
        let begin = Instant::now();
        let first = builder.clone().deployments(self.deployments).pace(START_PACE).calm().start(sim);
        while begin.elapsed() < START_LIMIT && !all_replicas_are_available(sim, self.deployments) {
            tokio::time::sleep(START_PACE).await;
        }
        drop(first);
        // The deployments exist: the second workload creates no deployments, and only manages existing deployments.
        let builder = builder.deployments(0).pace(self.pace);
        if self.calm { builder.calm() } else { builder }.start(sim)
    }
}

/// Whether at least `deployments` deployments exist, and all their replicas are available.
fn all_replicas_are_available(sim: &Sim, deployments: usize) -> bool {
    let found = sim.list("apps/v1", "Deployment", "").unwrap_or_default();
    let is_complete = |deployment: &serde_json::Value| {
        // The deployment controller omits the count if it is zero.
        let available = deployment["status"]["availableReplicas"].as_u64().unwrap_or(0);
        Some(available) == deployment["spec"]["replicas"].as_u64()
    };
    found.len() >= deployments && found.iter().all(is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pods_are_running_when_start_returns() {
        let sim = Sim::builder().nodes(2).build();
        let pace = Duration::from_secs(3600);
        let options = WorkloadOptions { nodes: 2, deployments: 2, seed: 1, pace, calm: true };
        let _workload = options.start(&sim).await;
        let pods = sim.list("v1", "Pod", "").unwrap();
        assert!(pods.len() > 1 && pods.iter().all(|pod| pod["status"]["phase"] == "Running"), "{pods:#?}");
        assert!(all_replicas_are_available(&sim, 2) && !all_replicas_are_available(&sim, 3));
    }

    #[test]
    fn a_deployment_without_replicas_is_available() {
        let sim = Sim::new();
        let deployment = |name: &str, replicas: u32| {
            serde_json::json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {
                        "metadata": {"labels": {"app": name}},
                        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
                    },
                },
            })
        };
        sim.create(&deployment("idle", 0)).unwrap();
        assert!(all_replicas_are_available(&sim, 1));
        sim.create(&deployment("web", 1)).unwrap();
        assert!(!all_replicas_are_available(&sim, 1));
    }
}
