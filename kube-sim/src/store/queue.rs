//! The queue of the controllers: keys, each with the time at which it is due.
//!
//! A key is in the queue at most once, with the earliest of its times. Keys that are due at the same time leave the queue
//! in the order in which they were added, so that a simulation is reproducible.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::StorageKey;

/// A controller that a simulation can run.
///
/// By default, a simulation runs [`Controller::BASIC`]. With [`SimBuilder::workloads`](crate::SimBuilder::workloads), a
/// simulation runs [`Controller::ALL`]. [`SimBuilder::controller_delay`](crate::SimBuilder::controller_delay) sets the
/// delay of a controller, and starts the controller if it does not run by default.
/// [`SimBuilder::without_controller`](crate::SimBuilder::without_controller) disables a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Controller {
    /// Serves the resources of CustomResourceDefinitions, and sets the conditions of the definitions. Stops serving the
    /// resources of a deleted definition.
    CustomResourceDefinition,
    /// Deletes objects whose owners do not exist, and completes deletions with the policies `Foreground` and `Orphan`.
    GarbageCollector,
    /// Does the work of kubelets for terminating pods: removes the pods from the store. Does not run while a
    /// [`WorkloadSimulator`](crate::workload::WorkloadSimulator) simulates kubelets.
    Kubelet,
    /// Deletes the contents of terminating namespaces, then the namespaces.
    Namespace,
    /// Creates the service account `default` in each namespace.
    ServiceAccount,
    /// Publishes the certificate authority of the server in the config map `kube-root-ca.crt` of each namespace.
    RootCaCertificate,
    /// Rolls out deployments: creates, scales and removes their replica sets.
    Deployment,
    /// Creates and deletes the pods of replica sets.
    ReplicaSet,
    /// Creates, replaces and deletes the pods of stateful sets. Creates the volume claims of the pods and the revisions of
    /// the stateful sets.
    StatefulSet,
    /// Runs a pod of each daemon set on each eligible node.
    DaemonSet,
    /// Runs the pods of jobs until enough of them have succeeded; deletes finished jobs after their time to live.
    Job,
    /// Creates jobs at the times of the schedules of cron jobs.
    CronJob,
    /// Writes the `EndpointSlice` and `Endpoints` objects of services.
    EndpointSlice,
    /// Counts the healthy pods that each PodDisruptionBudget selects.
    Disruption,
    /// Writes the usage of resource quotas. Quotas limit the objects even if this controller does not run.
    ResourceQuota,
    /// Taints nodes by their conditions. Deletes the pods that do not tolerate a taint of their node, and the pods of
    /// deleted nodes.
    NodeLifecycle,
    /// Binds pods to nodes.
    Scheduler,
    /// Starts and ends the containers of pods in place of kubelets: pods on nodes become ready, and the pods of jobs
    /// complete. The annotations in [`SimBuilder::workloads`](crate::SimBuilder::workloads) set the times at which a pod
    /// becomes ready and ends.
    PodLifecycle,
}

impl Controller {
    /// The controllers that a simulation runs by default.
    pub const BASIC: &[Self] =
        &[Self::CustomResourceDefinition, Self::GarbageCollector, Self::Kubelet, Self::Namespace];

    /// All controllers.
    pub const ALL: &[Self] = &[
        Self::CustomResourceDefinition,
        Self::GarbageCollector,
        Self::Kubelet,
        Self::Namespace,
        Self::ServiceAccount,
        Self::RootCaCertificate,
        Self::Deployment,
        Self::ReplicaSet,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::CronJob,
        Self::EndpointSlice,
        Self::Disruption,
        Self::ResourceQuota,
        Self::NodeLifecycle,
        Self::Scheduler,
        Self::PodLifecycle,
    ];
}

/// A key of the queue: an object, and the controller that must reconcile it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) controller: Controller,
    pub(crate) object: StorageKey,
    pub(crate) uid: Arc<str>,
}

/// The queue of all controllers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// The keys, sorted by position. The position of a key consists of the time at which the key is due, and
    /// the value of `added` when the key was added.
    due: BTreeMap<(Instant, u64), Key>,
    /// The position of each key in `due`.
    positions: BTreeMap<Key, (Instant, u64)>,
    /// The number of added keys.
    added: u64,
}

impl Queue {
    /// Adds a key that is due at `at`, unless it is in the queue with an earlier or equal time.
    pub(crate) fn add(&mut self, key: Key, at: Instant) {
        if let Some(position) = self.positions.get(&key) {
            if position.0 <= at {
                return;
            }
            self.due.remove(position);
        }
        self.added += 1;
        let position = (at, self.added);
        self.due.insert(position, key.clone());
        self.positions.insert(key, position);
    }

    /// The time at which the next key is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Removes and returns the next key if the key is due at `now`.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Key> {
        if self.next_due()? > now {
            return None;
        }
        let (_, key) = self.due.pop_first()?;
        self.positions.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> Key {
        Key {
            controller: Controller::GarbageCollector,
            object: (Arc::from("/configmaps"), Arc::from(name)),
            uid: Arc::from(name),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_leaves_the_queue_only_once_and_at_its_earliest_time() {
        let now = Instant::now();
        let seconds = |n: u64| now + Duration::from_secs(n);
        let mut queue = Queue::default();
        for (name, at) in [("c", 2), ("a", 1), ("b", 1), ("c", 3), ("d", 3), ("d", 0)] {
            queue.add(key(name), seconds(at));
        }
        let mut popped = |at: u64| -> Vec<String> {
            std::iter::from_fn(|| queue.pop(seconds(at))).map(|key| key.uid.to_string()).collect()
        };
        assert_eq!(popped(0), ["d"]);
        assert_eq!(popped(1), ["a", "b"]);
        assert_eq!(popped(1), Vec::<String>::new());
        assert_eq!(popped(9), ["c"]);
        assert_eq!(queue.next_due(), None);
    }
}
