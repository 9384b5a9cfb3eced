//! `Load`: a workload that is in full swing when it is first looked at.

use std::time::{Duration, Instant};

use kube_sim::Sim;
use kube_sim::workload::Workload;

/// How fast the first pods start, and how long they may take at most.
const START_PACE: Duration = Duration::from_millis(5);
const START_AT_MOST: Duration = Duration::from_secs(2);

/// How a cluster is kept busy.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "it is made in this crate only")]
pub struct Load {
    /// About how many nodes there are.
    pub nodes: usize,
    /// How many deployments there are.
    pub deployments: usize,
    /// The seed of everything that happens by chance.
    pub seed: u64,
    /// The time between two steps.
    pub pace: Duration,
    /// Whether nothing breaks or changes by itself.
    pub calm: bool,
}

impl Load {
    /// Starts it: the deployments are there and their pods run when this returns.
    ///
    /// # Cancel safety
    /// Cancelling stops it; what it created stays.
    pub async fn start(self, sim: &Sim) -> Workload {
        let builder = Workload::builder().seed(self.seed).nodes(self.nodes);
        let begin = Instant::now();
        let first = builder.clone().deployments(self.deployments).pace(START_PACE).calm().start(sim);
        while begin.elapsed() < START_AT_MOST && !has_settled(sim, self.deployments) {
            tokio::time::sleep(START_PACE).await;
        }
        drop(first);
        // The deployments are there: it only has to look after them.
        let builder = builder.deployments(0).pace(self.pace);
        if self.calm { builder.calm() } else { builder }.start(sim)
    }
}

/// Whether every deployment has all its pods.
fn has_settled(sim: &Sim, deployments: usize) -> bool {
    let found = sim.list("apps/v1", "Deployment", "").unwrap_or_default();
    let is_complete = |deployment: &serde_json::Value| {
        deployment["status"]["availableReplicas"].as_u64() == deployment["spec"]["replicas"].as_u64()
    };
    found.len() >= deployments && found.iter().all(is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pods_run_from_the_start() {
        let sim = Sim::builder().nodes(2).build();
        let pace = Duration::from_secs(3600);
        let load = Load { nodes: 2, deployments: 2, seed: 1, pace, calm: true };
        let _workload = load.start(&sim).await;
        let pods = sim.list("v1", "Pod", "").unwrap();
        assert!(pods.len() > 1 && pods.iter().all(|pod| pod["status"]["phase"] == "Running"), "{pods:#?}");
        assert!(has_settled(&sim, 2) && !has_settled(&sim, 3));
    }
}
