//! A workload simulator: a simulated scheduler and simulated kubelets continuously change a small cluster. The built-in
//! controllers of deployments and other workloads run at the same time.
//!
//! Nodes are added, fail and are removed; deployments are updated and scaled; pods are scheduled, start, crash,
//! complete and terminate, with the status and the events of a real cluster. The simulated components and the built-in
//! controllers handle **every** deployment, replica set and pod of the simulation, including those that clients create.
//! So `kubectl create deployment` and `kubectl rollout status` complete.
//!
//! The simulator works in steps: in each step, it lists the nodes and pods, and every component reconciles them once.
//! It is designed for hundreds of pods, because each step lists all pods.

mod chaos;
mod engine;
mod kubelet;
pub(crate) mod objects;
pub(crate) mod pod_status;

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::{Controller, Sim};
use engine::Engine;

/// Builder of a workload simulator, with its settings; see [`WorkloadSimulator::builder`].
#[derive(Clone, Debug)]
pub struct WorkloadSimulatorBuilder {
    seed: u64,
    nodes: usize,
    deployments: usize,
    pace: Duration,
    chaos: bool,
}

impl WorkloadSimulatorBuilder {
    /// The seed of the random changes; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The approximate number of nodes in the cluster; 5 by default.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// The number of deployments to create; 6 by default. With 0, the simulator handles only the deployments that clients
    /// create.
    pub fn deployments(mut self, deployments: usize) -> Self {
        self.deployments = deployments;
        self
    }

    /// The interval between two steps of the simulator; 500 ms by default, at least 1 ms.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace.max(Duration::from_millis(1));
        self
    }

    /// Disables random failures, updates and scaling. Pods with the restart policy `Never` or `OnFailure` still
    /// complete after a random number of steps.
    pub fn calm(mut self) -> Self {
        self.chaos = false;
        self
    }

    /// Starts the workload simulator on `sim`. Creates the initial objects before it returns.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self, sim: &Sim) -> WorkloadSimulator {
        let mut engine = Engine::new(sim.clone(), self.seed, self.nodes, self.deployments, self.chaos);
        sim.set_kubelets_simulated(true);
        let started = start_controllers(sim);
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
        WorkloadSimulator { sim: sim.clone(), task, started }
    }
}

/// A running workload simulator. Dropping the value stops the simulator and the built-in controllers that the simulator
/// has started. The created objects stay.
#[derive(Debug)]
pub struct WorkloadSimulator {
    sim: Sim,
    task: JoinHandle<()>,
    /// The built-in controllers that the simulator has started.
    started: Vec<Controller>,
}

/// The built-in controllers that the simulator does not start. The simulator schedules pods and changes pods and nodes
/// itself. The pods of the simulator already contain the volumes with service account tokens.
const REPLACED_CONTROLLERS: [Controller; 4] =
    [Controller::Scheduler, Controller::PodLifecycle, Controller::NodeLifecycle, Controller::ServiceAccount];

/// Starts the built-in controllers that the simulator needs and that do not run. Returns them.
fn start_controllers(sim: &Sim) -> Vec<Controller> {
    let needed =
        Controller::ALL.iter().copied().filter(|controller| !REPLACED_CONTROLLERS.contains(controller));
    let started: Vec<Controller> = needed.filter(|controller| !sim.runs_controller(*controller)).collect();
    for controller in &started {
        sim.set_controller_delay(*controller, Some(Duration::ZERO));
    }
    started
}

impl WorkloadSimulator {
    /// Returns a builder with the default settings.
    pub fn builder() -> WorkloadSimulatorBuilder {
        WorkloadSimulatorBuilder {
            seed: 0,
            nodes: 5,
            deployments: 6,
            pace: Duration::from_millis(500),
            chaos: true,
        }
    }
}

impl Drop for WorkloadSimulator {
    fn drop(&mut self) {
        self.task.abort();
        for controller in &self.started {
            self.sim.set_controller_delay(*controller, None);
        }
        self.sim.set_kubelets_simulated(false);
    }
}
