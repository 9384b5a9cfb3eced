//! Leader election by a `Lease`: of several processes, at most one is the leader.
//!
//! `observed_lease` decides, without IO, whether a lease is free and what to write to it. `election` sends the requests,
//! and `fence` refuses writes of a process that may no longer be the leader.

mod config;
mod election;
mod fence;
mod observed_lease;

pub use config::{Config, InvalidConfig};
pub use fence::{NotLeader, is_fenced};

use crate::controller::Gate;
use crate::random;
use election::{CandidacyState, Election};
use fence::{Fence, FenceLayer, TermSender};
use kube_client::{Api, Client};
use std::fmt;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// A candidate of a leader election, like client-go's `LeaderElector`.
///
/// All candidates use the same `Lease` (`coordination.k8s.io/v1`). The leader renews the lease; a candidate takes the
/// lease after it has observed no change of the lease for the lease duration. The process measures this time with its
/// own clock, and ignores the timestamps in the lease.
///
/// Coordinated leader election (`LeaseCandidate`, KEP-4355) is not supported: it is disabled by default in API servers,
/// and its leader is chosen by the control plane. This election works with every API server.
///
/// The candidate needs the permissions `get`, `create` and `update` for the lease.
///
/// ```
/// use futures::StreamExt;
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client};
/// use kube_runtime::controller::{self, Action};
/// use kube_runtime::leader::LeaderElector;
/// use kube_runtime::{Controller, watcher};
/// use std::{convert::Infallible, sync::Arc};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let leadership = LeaderElector::new(client.clone(), "default", "my-operator", "my-pod").start()?;
/// // Reconciles run while this process is the leader, and their writes are refused afterwards.
/// let context = Arc::new(leadership.client());
/// let reconcile = async |_, _: Arc<Client>| Ok::<_, Infallible>(Action::await_change());
/// let controller = Controller::new(Api::<Namespace>::all(client), watcher::Config::default())
///     .with_gate(leadership.gate());
/// let mut results = controller.run(reconcile, controller::backoff_on_error, context).boxed();
/// assert!(results.next().await.is_some_and(|result| result.is_ok()));
/// drop(results);
/// // Release the lease after the controller has ended. The next leader then does not have to wait.
/// leadership.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LeaderElector {
    client: Client,
    leases: Api<k8s_openapi::api::coordination::v1::Lease>,
    name: String,
    identity: String,
    config: Config,
}

impl LeaderElector {
    /// A candidate for the lease `name`. `holder` names this process in the lease, for instance by the name of its pod.
    /// The identity is `holder` with a random suffix, so that two processes never have the same identity.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, holder: &str) -> Self {
        let identity = format!("{holder}_{}", random::suffix());
        let leases = Api::namespaced(client.clone(), namespace);
        Self { client, leases, name: name.to_owned(), identity, config: Config::default() }
    }

    /// Sets the timings.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The name of the lease.
    #[cfg(feature = "manager")]
    pub(crate) fn lease_name(&self) -> &str {
        &self.name
    }

    /// The client of the election. The fence does not apply to this client.
    #[cfg(feature = "manager")]
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// The identity of this process in the lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Becomes a candidate: starts a task that acquires and renews the lease. The task ends with the [`Leadership`].
    ///
    /// # Errors
    ///
    /// If the timings are invalid; see [`Config::validate`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Leadership, InvalidConfig> {
        self.start_after(std::future::ready(()))
    }

    /// Like [`start`](Self::start), but the first attempt begins when `ready` completes.
    pub(crate) fn start_after(
        self,
        ready: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Leadership, InvalidConfig> {
        self.config.validate()?;
        let Self { client, leases, name, identity, config } = self;
        let (term, fence) = Fence::new();
        let (handle, gate) = Gate::new("leadership");
        let state = watch::Sender::new(CandidacyState::Candidate);
        let states = state.subscribe();
        let (stop, stopped) = oneshot::channel();
        let client = client.with_layer(&FenceLayer(fence.clone()));
        let known_identity = identity.clone();
        let election = Election::new(leases, name, identity, config, term.clone(), handle, state);
        let task = tokio::spawn(election.run(ready, stopped));
        Ok(Leadership {
            task: ElectionTask { handle: task, term },
            stop,
            gate,
            fence,
            client,
            states,
            identity: known_identity,
        })
    }
}

/// A candidacy, which becomes the leadership when this process acquires the lease.
///
/// The leadership ends when [`Config::renew_deadline`] has passed since the start of the last successful renewal, when
/// another process takes the lease, at [`release`](Leadership::release), and when this value is dropped. After the end:
///
/// - The [gate](Leadership::gate) closes permanently, and controllers with the gate shut down with
///   [`GateDropped`](crate::controller::Error::GateDropped). A new candidacy needs a new [`LeaderElector`] and new
///   controllers; usually the process restarts instead.
/// - The [client](Leadership::client) refuses new writes and cancels writes in flight. The client does not depend on the
///   task of the election: after a pause of the process, the first poll of a write finds that the renew deadline has
///   passed.
///
/// Limits: a request whose bytes are in the socket cannot be recalled. The client does not detect a pause between its last
/// check and the transfer of these bytes to the socket, or a suspension that stops the monotonic clock of the machine.
#[must_use = "dropping the leadership ends it"]
pub struct Leadership {
    task: ElectionTask,
    stop: oneshot::Sender<()>,
    gate: Gate,
    fence: Fence,
    client: Client,
    states: watch::Receiver<CandidacyState>,
    identity: String,
}

impl Leadership {
    /// A gate that is open while this process is the leader; see
    /// [`Controller::with_gate`](crate::Controller::with_gate).
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// A client that sends writes only while this process is the leader; see [`Leadership`]. Reads are always sent. A
    /// refused or cancelled write fails with an error for which [`is_fenced`] is `true`. The server may have performed a
    /// cancelled write.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Whether this process is the leader now.
    pub fn is_leader(&self) -> bool {
        self.fence.is_open()
    }

    /// The identity of this process in the lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this process is the leader.
    ///
    /// # Errors
    ///
    /// If the candidacy or the leadership has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn acquired(&self) -> Result<(), NotLeader> {
        let mut states = self.states.clone();
        let state = states.wait_for(|state| *state != CandidacyState::Candidate).await;
        state.is_ok_and(|state| *state == CandidacyState::Leader).then_some(()).ok_or(NotLeader)
    }

    /// Waits until the leadership has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn lost(&self) {
        // The error means that the task has ended.
        let _ = self.states.clone().wait_for(|state| *state == CandidacyState::Ended).await;
    }

    /// Ends the leadership or the candidacy. If this process holds the lease, releases the lease, so that another
    /// candidate can take the lease at its next attempt. End the controllers before this call: from the call on, the
    /// [client](Leadership::client) refuses writes.
    ///
    /// Retries after a conflict. Cancels an acquisition in flight, and releases the lease if the acquisition took
    /// effect.
    ///
    /// # Errors
    ///
    /// If a request fails, or if the release takes longer than [`Config::renew_deadline`]. Other candidates then wait
    /// until the lease expires.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the release. Other candidates then wait until the lease expires.
    pub async fn release(self) -> Result<(), kube_client::Error> {
        let Self { mut task, stop, .. } = self;
        // The error means that the election has ended.
        let _ = stop.send(());
        // The error means that the runtime shuts down, or that the task panicked.
        (&mut task.handle).await.unwrap_or(Ok(()))
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership")
            .field("identity", &self.identity)
            .field("is_leader", &self.is_leader())
            .finish_non_exhaustive()
    }
}

/// The task of an election. Dropping the `ElectionTask` aborts the task, and closes the fence immediately.
struct ElectionTask {
    handle: JoinHandle<Result<(), kube_client::Error>>,
    term: TermSender,
}

impl Drop for ElectionTask {
    fn drop(&mut self) {
        self.term.end();
        self.handle.abort();
    }
}
