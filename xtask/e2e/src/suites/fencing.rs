//! Fencing: a leader whose process was stopped by SIGSTOP, or that was cut off from the network, writes
//! nothing after its lease has expired. The cases compare the end of the lease with the times of the writes
//! that the server received.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube_client::Api;
use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::running_example::RunningExample;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check};
use crate::support::eventually;
use xtask_control_plane::TcpProxy;

suite!("fencing":
    a_stopped_leader_writes_nothing_after_its_lease_expires [Examples, RequestLog],
    a_leader_without_network_writes_nothing_after_its_lease_expires [Examples, RequestLog],
);

/// The lease duration of the example `leader_election`.
const LEASE_DURATION: Duration = Duration::from_secs(6);
/// The name of the lease of the example `leader_election`.
const LEASE_NAME: &str = "leader-election-example";
/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The interval at which a [`Recorder`] reads the lease and the journal of kube-sim. Renewals are a second apart.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A task that records the renewals of the lease, and the patches in the journal of kube-sim. Dropping this value stops the
/// task.
struct Recorder {
    seen: Arc<Mutex<Records>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Records {
    /// The last `renewTime` of each leader. The key is the part of the leader's identity before the `_`.
    renewals: HashMap<String, Timestamp>,
    /// The path of each patch in the journal of kube-sim, and the time at which the recorder read the entry. This time
    /// is not earlier than the request.
    requests: Vec<(Timestamp, String)>,
}

impl Recorder {
    fn start(env: &Env) -> Self {
        let seen = Arc::new(Mutex::new(Records::default()));
        Self { seen: seen.clone(), task: tokio::spawn(record_renewals_and_patches(env.clone(), seen)) }
    }

    fn records(&self) -> std::sync::MutexGuard<'_, Records> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the candidate `name` has renewed the lease.
    async fn wait_for_renewal(&self, name: &str) -> Outcome {
        let what = format!("{name} renews the lease");
        eventually(&what, TIMEOUT, async || Ok(self.records().renewals.contains_key(name).then_some(())))
            .await
    }

    /// Returns one time for each write of the config map `name`. With a cluster, this is the time at which the server
    /// received the write. With kube-sim, only patches count, and this is the time at which the recorder read the journal
    /// entry of the patch.
    fn times_of_writes(&self, env: &Env, name: &str) -> Outcome<Vec<Timestamp>> {
        let Some(cluster) = env.server().cluster() else {
            let path = format!("/api/v1/namespaces/{}/configmaps/{name}", env.namespace());
            let seen = self.records();
            return Ok(seen.requests.iter().filter(|(_, of)| *of == path).map(|(time, _)| *time).collect());
        };
        let mut times = Vec::new();
        for event in cluster.audit_events()? {
            let about = &event["objectRef"];
            let is_wanted = about["resource"] == "configmaps"
                && about["namespace"] == env.namespace()
                && about["name"] == name;
            if is_wanted {
                times.push(parse_time(&event["requestReceivedTimestamp"])?);
            }
        }
        Ok(times)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn parse_time(value: &Value) -> anyhow::Result<Timestamp> {
    let text = value.as_str().context("the event has no time")?;
    text.parse().with_context(|| format!("{text} is not a time"))
}

/// Reads the lease and the journal of kube-sim repeatedly. Adds the renewals and the patches that it finds to
/// `seen`.
async fn record_renewals_and_patches(env: Env, seen: Arc<Mutex<Records>>) {
    let leases: Api<Lease> = env.api();
    let mut read = 0;
    loop {
        // The next iteration repeats a failed read.
        let lease = leases.get_opt(LEASE_NAME).await.ok().flatten().and_then(|lease| lease.spec);
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let holder = lease.as_ref().and_then(|spec| spec.holder_identity.as_deref()?.split('_').next());
            let renewal = lease.as_ref().and_then(|spec| Some(spec.renew_time.as_ref()?.0));
            if let (Some(holder), Some(renewal)) = (holder, renewal) {
                seen.renewals.insert(holder.to_owned(), renewal);
            }
            if let Some(sim) = env.server().simulation() {
                // The journal may already have dropped the oldest of the new entries.
                let (entries, total) = (sim.journal().entries(), sim.journal().total());
                let new = usize::try_from(total - read).unwrap_or(usize::MAX).min(entries.len());
                read = total;
                let writes = entries[entries.len() - new..].iter().filter(|entry| entry.verb == "patch");
                let now = Timestamp::now();
                seen.requests.extend(writes.map(|entry| (now, entry.path.clone())));
            }
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Starts two candidates and waits until `one` leads and writes. If `url` is set, `one` sends its requests to `url` instead
/// of the server's URL in the kubeconfig.
async fn start_candidates(
    env: &Env,
    url: Option<&str>,
) -> Outcome<(RunningExample, RunningExample, Recorder)> {
    let recorder = Recorder::start(env);
    let one = RunningExample::start_at(env, url, "leader_election", &["one"], &[])?;
    one.wait_for_line(&["one", "is the leader"]).await?;
    let two = RunningExample::start(env, "leader_election", &["two"])?;
    two.wait_for_line(&["two", "is a candidate"]).await?;
    eventually("the leader writes", TIMEOUT, async || {
        let writes = recorder.times_of_writes(env, "one").map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok((writes.len() > 3).then_some(()))
    })
    .await?;
    Ok((one, two, recorder))
}

/// Waits for writes of `two`. Checks that the last write of `one` is at most [`LEASE_DURATION`] after the last renewal of
/// `one`.
async fn check_writes(env: &Env, recorder: &Recorder) -> Outcome {
    eventually("the second leader writes", TIMEOUT, async || {
        let writes = recorder.times_of_writes(env, "two").map_err(|failure| anyhow::anyhow!("{failure}"))?;
        Ok((writes.len() > 3).then_some(()))
    })
    .await?;
    let renewal = *recorder.records().renewals.get("one").context("no renewal of `one` was seen")?;
    let end = renewal + LEASE_DURATION;
    let writes = recorder.times_of_writes(env, "one")?;
    let last = writes.iter().max().context("`one` has not written")?;
    check!(*last <= end, "last renewal {renewal}, end of its lease {end}, last write {last}");
    Ok(())
}

async fn a_stopped_leader_writes_nothing_after_its_lease_expires(env: Env) -> Outcome {
    let (one, two, recorder) = start_candidates(&env, None).await?;
    one.send_signal(Signal::STOP)?;
    two.wait_for_line(&["two", "is the leader"]).await?;
    recorder.wait_for_renewal("two").await?;
    one.send_signal(Signal::CONT)?;
    // A write became due while the process was stopped. The process finds that it is not the leader, and
    // ends without this write.
    one.wait_for_exit(0).await?;
    check_writes(&env, &recorder).await?;
    two.terminate().await
}

async fn a_leader_without_network_writes_nothing_after_its_lease_expires(env: Env) -> Outcome {
    let port = env.config().cluster_url.port_u16().context("the URL of the server has no port")?;
    let proxy = TcpProxy::listen(port).await?;
    let (one, two, recorder) = start_candidates(&env, Some(&proxy.url())).await?;
    proxy.silence();
    one.wait_for_line(&["leadership was lost"]).await?;
    two.wait_for_line(&["two", "is the leader"]).await?;
    recorder.wait_for_renewal("two").await?;
    one.wait_for_exit(0).await?;
    check_writes(&env, &recorder).await?;
    two.terminate().await
}
