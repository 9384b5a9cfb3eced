//! A sample load: a small cluster at work, so that clients have something to watch.
//!
//! Nodes come, go and break; deployments roll and scale; pods are scheduled, start, crash, complete and stop, each with
//! the status and the events that a real one shows. The load plays the deployment controller, the scheduler and the
//! kubelets for **every** deployment, replica set and pod in the simulation, those included that others create: with
//! it, `kubectl create deployment` and `kubectl rollout status` work to the end.
//!
//! It is meant for hundreds of pods: each step looks at all of them.

mod chaos;
mod controllers;
mod engine;
mod kubelet;
pub(crate) mod objects;

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::Sim;
use engine::Engine;

/// How a load looks; see [`Workload::builder`].
#[derive(Clone, Debug)]
pub struct WorkloadBuilder {
    seed: u64,
    nodes: usize,
    deployments: usize,
    pace: Duration,
    chaos: bool,
}

impl WorkloadBuilder {
    /// The seed of everything that happens by chance; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many nodes there are about; 5 by default.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// How many deployments it creates; 6 by default. With 0 it only takes care of what others create.
    pub fn deployments(mut self, deployments: usize) -> Self {
        self.deployments = deployments;
        self
    }

    /// The time between two steps; half a second by default, and at least a millisecond.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace.max(Duration::from_millis(1));
        self
    }

    /// Nothing breaks, rolls or crashes by itself: only what others ask for happens.
    pub fn calm(mut self) -> Self {
        self.chaos = false;
        self
    }

    /// Starts the load on a simulation. The first objects are there when this returns.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self, sim: &Sim) -> Workload {
        let mut engine = Engine::new(sim.clone(), self.seed, self.nodes, self.deployments, self.chaos);
        sim.run_kubelets(true);
        engine.set_up();
        let pace = self.pace;
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(pace);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                engine.step();
            }
        });
        Workload { sim: sim.clone(), task }
    }
}

/// A running load. It stops when this is dropped; what it created stays.
#[derive(Debug)]
pub struct Workload {
    sim: Sim,
    task: JoinHandle<()>,
}

impl Workload {
    /// Settings for a load.
    pub fn builder() -> WorkloadBuilder {
        WorkloadBuilder { seed: 0, nodes: 5, deployments: 6, pace: Duration::from_millis(500), chaos: true }
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.task.abort();
        self.sim.run_kubelets(false);
    }
}
