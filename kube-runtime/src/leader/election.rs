//! `Election`: acquires, renews and releases a lease.

use super::config::{Config, JITTER_FACTOR};
use super::fence::TermSender;
use super::observed_lease::{ObservedLease, held_spec, released_spec};
use crate::controller::GateHandle;
use crate::metrics::set_leader_metric;
use crate::{random, time};
use futures::future::{Either, select};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube_client::api::PostParams;
use kube_client::{Api, Error, Resource};
use std::pin::pin;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// The state of a candidacy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CandidacyState {
    Candidate,
    Leader,
    Ended,
}

/// The result of an attempt to take or renew the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptResult {
    /// This process holds the lease.
    Held,
    /// Another process holds the lease.
    HeldByAnotherProcess,
}

/// The task of a candidate. Dropping the `Election` closes the gate and the fence.
pub(super) struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    config: Config,
    /// The last observed content of the lease.
    observed: Option<ObservedLease>,
    /// Opens and closes the fence.
    term: TermSender,
    gate: GateHandle,
    state: watch::Sender<CandidacyState>,
}

impl Election {
    pub(super) fn new(
        leases: Api<Lease>,
        name: String,
        identity: String,
        config: Config,
        term: TermSender,
        gate: GateHandle,
        state: watch::Sender<CandidacyState>,
    ) -> Self {
        Self { leases, name, identity, config, observed: None, term, gate, state }
    }

    /// Waits for `ready`, then acquires and renews the lease until the leadership is lost or `stop` is received. Releases
    /// the lease only after `stop`.
    pub(super) async fn run(
        mut self,
        ready: impl Future<Output = ()>,
        stop: oneshot::Receiver<()>,
    ) -> Result<(), Error> {
        let is_stopped = {
            let leading = pin!(async {
                ready.await;
                // Set the metric before the first attempt, so that each standby exports the value 0. An alert on a
                // missing leader needs these values.
                set_leader_metric(&self.name, false);
                self.acquire_and_renew().await;
            });
            match select(stop, leading).await {
                // If `stopped` is an error, the `Leadership` was dropped. The drop also aborts this task.
                Either::Left((stopped, _)) => stopped.is_ok(),
                Either::Right(_) => false,
            }
        };
        self.end_candidacy();
        if is_stopped { self.release_lease().await } else { Ok(()) }
    }

    /// Ends the candidacy: closes the fence and the gate, and sets the metric and the state.
    fn end_candidacy(&mut self) {
        set_leader_metric(&self.name, false);
        self.term.end();
        self.gate.close();
        self.state.send_replace(CandidacyState::Ended);
    }

    /// Acquires and renews the lease. Returns when the leadership is lost.
    async fn acquire_and_renew(&mut self) {
        let Config { renew_deadline, retry_period, .. } = self.config;
        let mut renewed = loop {
            let began = Instant::now();
            match timeout(renew_deadline, self.take_or_renew()).await {
                Ok(Ok(AttemptResult::Held)) => break began,
                Ok(Ok(AttemptResult::HeldByAnotherProcess)) => {}
                Ok(Err(error)) => self.log_failure("acquire", &error),
                Err(_) => self.log_failure("acquire", &"the request timed out"),
            }
            sleep(retry_period + random::duration_up_to(retry_period.mul_f64(JITTER_FACTOR))).await;
        };
        self.term.extend(renewed + renew_deadline);
        self.gate.open();
        set_leader_metric(&self.name, true);
        self.state.send_replace(CandidacyState::Leader);
        tracing::info!(lease = self.name, identity = self.identity, "became the leader");
        loop {
            let deadline = renewed + renew_deadline;
            sleep_until(deadline.min(Instant::now() + retry_period)).await;
            let began = Instant::now();
            // A renewal that succeeds after the deadline does not count: the fence has closed.
            match timeout_at(deadline, self.take_or_renew()).await {
                Ok(Ok(AttemptResult::Held)) if Instant::now() < deadline => {
                    renewed = began;
                    self.term.extend(renewed + renew_deadline);
                }
                Ok(Ok(AttemptResult::HeldByAnotherProcess)) => {
                    let holder = self.observed.as_ref().and_then(ObservedLease::holder);
                    tracing::warn!(
                        lease = self.name,
                        holder,
                        "lost the leadership: another process took the lease"
                    );
                    return;
                }
                Ok(Err(error)) => self.log_failure("renew", &error),
                Ok(Ok(AttemptResult::Held)) | Err(_) => self.log_failure("renew", &"the request timed out"),
            }
            if Instant::now() >= deadline {
                tracing::warn!(
                    lease = self.name,
                    ?renew_deadline,
                    "lost the leadership: cannot renew the lease"
                );
                return;
            }
        }
    }

    fn log_failure(&self, verb: &str, error: &dyn std::fmt::Display) {
        tracing::warn!(lease = self.name, identity = self.identity, "cannot {verb} the lease: {error}");
    }

    /// Takes or renews the lease if no other process holds it. The holder first writes without a read, and reads the
    /// lease only if that write fails.
    async fn take_or_renew(&mut self) -> Result<AttemptResult, Error> {
        if let Some(known) = &self.observed
            && known.holder() == Some(&self.identity)
        {
            match self.replace_lease(&known.lease, self.held_spec(Some(&known.lease))).await {
                Ok(lease) => return Ok(self.record_held_lease(lease)),
                Err(error) => tracing::debug!(%error, "reading the lease after a failed renewal"),
            }
        }
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            let mut lease = Lease { spec: Some(self.held_spec(None)), ..Lease::default() };
            lease.meta_mut().name = Some(self.name.clone());
            let created = self.leases.create(&PostParams::default(), &lease).await?;
            return Ok(self.record_held_lease(created));
        };
        let now = Instant::now();
        let observed = ObservedLease::new(lease, self.observed.as_ref(), now);
        let is_free = !observed.is_held_by_another_process(&self.identity, &self.config, now);
        let lease = observed.lease.clone();
        self.observed = Some(observed);
        if !is_free {
            return Ok(AttemptResult::HeldByAnotherProcess);
        }
        let lease = self.replace_lease(&lease, self.held_spec(Some(&lease))).await?;
        Ok(self.record_held_lease(lease))
    }

    /// Records the lease that this process has written. Returns the result of the successful attempt.
    fn record_held_lease(&mut self, lease: Lease) -> AttemptResult {
        self.observed = Some(ObservedLease::new(lease, None, Instant::now()));
        AttemptResult::Held
    }

    /// The spec that this process writes to take or renew the lease. `before` is the current lease, if it exists.
    fn held_spec(&self, before: Option<&Lease>) -> LeaseSpec {
        held_spec(before, &self.identity, &self.config, time::now())
    }

    /// Writes `spec` to the lease. Fails with a conflict if the lease has changed since `before`.
    async fn replace_lease(&self, before: &Lease, spec: LeaseSpec) -> Result<Lease, Error> {
        let lease = Lease { spec: Some(spec), ..before.clone() };
        self.leases.replace(&self.name, &PostParams::default(), &lease).await
    }

    /// Releases the lease if this process holds it.
    async fn release_lease(&self) -> Result<(), Error> {
        let limit = self.config.renew_deadline;
        let releasing = async {
            loop {
                // Read the lease in each attempt: the server may still apply a renewal that `run` cancelled.
                let Some(lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
                let spec = lease.spec.clone().unwrap_or_default();
                if spec.holder_identity.as_ref() != Some(&self.identity) {
                    return Ok(());
                }
                match self.replace_lease(&lease, released_spec(&spec, time::now())).await {
                    Err(error) if error.is_conflict() => sleep(self.config.retry_period / 10).await,
                    result => return result.map(drop),
                }
            }
        };
        timeout(limit, releasing).await.unwrap_or_else(|_| {
            Err(Error::Request {
                what: format!("the lease {} was not released within {limit:?}", self.name),
                source: None,
            })
        })
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.end_candidacy();
    }
}
