//! `Inspector`: asks a running controller for its state. It costs nothing without requests.

use super::Controller;
use kube_client::Resource;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// The maximum number of requests that wait for the controller.
const MAX_REQUESTS: usize = 4;

/// A request for the state of a controller. The controller uses this sender to send the answer.
pub(super) type InspectionRequest = oneshot::Sender<Inspection>;

/// The state of a controller: its queue, its reconciles and its closed gates.
#[derive(Debug, Clone)]
pub(crate) struct Inspection {
    /// The number of keys that are ready.
    pub(crate) ready: usize,
    /// The number of keys that are not due yet.
    pub(crate) delayed: usize,
    /// The key that has been ready longest, if it waits for longer than the stall limit.
    pub(crate) stuck: Option<String>,
    pub(crate) running: Vec<RunningKey>,
    /// The names of the closed gates.
    pub(crate) closed_gates: Vec<String>,
}

/// A reconcile, or a call of the deletion handler, that runs as a task.
#[derive(Debug, Clone)]
pub(crate) struct RunningKey {
    pub(crate) key: String,
    /// The time since the first check of the `Monitor` that found the reconcile: a lower bound of its duration.
    pub(crate) elapsed: Duration,
    /// Whether the reconcile runs for longer than the stall limit.
    pub(crate) is_stuck: bool,
}

/// Asks a controller for its state.
#[derive(Debug, Clone)]
pub(crate) struct Inspector {
    requests: mpsc::Sender<InspectionRequest>,
}

impl<K: Resource> Controller<K> {
    /// Creates an inspector of the controller. The controller no longer answers an earlier inspector.
    pub(crate) fn create_inspector(&mut self) -> Inspector {
        let (requests, receiver) = mpsc::channel(MAX_REQUESTS);
        self.inspection_requests = Some(receiver);
        Inspector { requests }
    }

    /// The name and the readiness of each store whose first snapshot must be complete before a reconcile starts.
    pub(crate) fn awaited_stores(&self) -> impl Iterator<Item = (String, watch::Receiver<bool>)> {
        self.gates.stores()
    }
}

impl Inspector {
    /// The current state; `None` if the controller does not answer within `limit`, or if [`MAX_REQUESTS`]
    /// requests are already waiting. A controller does not answer while it shuts down, after it has ended, or
    /// while its task is blocked.
    pub(crate) async fn inspect(&self, limit: Duration) -> Option<Inspection> {
        let (sender, answer) = oneshot::channel();
        self.requests.try_send(sender).ok()?;
        tokio::time::timeout(limit, answer).await.ok()?.ok()
    }
}
