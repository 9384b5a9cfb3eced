//! Tests of the leader election. The times are those of the paused clock. By default, the lease duration is 15 s, the
//! renew deadline 10 s and the retry period 2 s.

use crate::common::{Log, client, format_map, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::PostParams;
use kube_client::{Api, ResourceExt};
use kube_runtime::controller::{self, Action, Error};
use kube_runtime::leader::{Config, LeaderElector, Leadership, is_fenced};
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

fn start_candidate(sim: &Sim, holder: &str) -> Leadership {
    LeaderElector::new(client(sim), "default", "operator", holder).start().unwrap()
}

/// Adds a candidate, and waits until it is the leader.
async fn elect_leader(sim: &Sim, holder: &str) -> Leadership {
    let leadership = start_candidate(sim, holder);
    timeout(Duration::from_secs(60), leadership.acquired()).await.unwrap().unwrap();
    leadership
}

/// The spec of the lease.
fn lease_spec(sim: &Sim) -> serde_json::Value {
    sim.get("coordination.k8s.io/v1", "Lease", "default", "operator").unwrap()["spec"].clone()
}

/// Creates the lease with this spec, or replaces its spec.
async fn put_lease(sim: &Sim, spec: serde_json::Value) {
    let leases = Api::<Lease>::default_namespaced(client(sim));
    let lease = json!({"metadata": {"name": "operator"}, "spec": spec});
    let mut lease: Lease = serde_json::from_value(lease).unwrap();
    if let Some(known) = leases.get_opt("operator").await.unwrap() {
        lease.metadata = known.metadata;
        leases.replace("operator", &PostParams::default(), &lease).await.unwrap();
    } else {
        leases.create(&PostParams::default(), &lease).await.unwrap();
    }
}

/// Whether the candidate is the leader, or becomes the leader within `seconds`.
async fn becomes_leader_within(leadership: &Leadership, seconds: u64) -> bool {
    timeout(Duration::from_secs(seconds), leadership.acquired()).await.is_ok_and(|acquired| acquired.is_ok())
}

#[tokio::test(start_paused = true)]
async fn a_candidate_acquires_a_lease_that_does_not_exist_and_renews_it() {
    let sim = Sim::new();
    let leadership = elect_leader(&sim, "a").await;
    let first = lease_spec(&sim);
    assert_eq!(first["holderIdentity"], leadership.identity());
    assert_eq!((&first["leaseDurationSeconds"], &first["leaseTransitions"]), (&json!(15), &json!(0)));
    let reads = sim.journal().count_of("get", "leases");
    sleep(Duration::from_secs(600)).await;
    assert!(leadership.is_leader() && leadership.gate().is_open());
    assert_eq!(sim.journal().count_of("get", "leases"), reads, "a renewal needs no read");
    assert!(sim.journal().count_of("update", "leases") >= 290);
    assert_eq!(lease_spec(&sim)["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_candidate_acquires_a_free_lease_at_once_and_a_held_lease_after_its_duration() {
    for (spec_before, at_once) in [
        (json!({}), true),
        (json!({"leaseDurationSeconds": 1, "leaseTransitions": 4}), true),
        (
            json!({"holderIdentity": "other", "leaseDurationSeconds": 30, "renewTime": "1970-01-01T00:00:00.000000Z"}),
            false,
        ),
    ] {
        let sim = Sim::new();
        put_lease(&sim, spec_before.clone()).await;
        let leadership = start_candidate(&sim, "a");
        assert_eq!(becomes_leader_within(&leadership, 1).await, at_once, "{spec_before}");
        assert_eq!(
            becomes_leader_within(&leadership, 28).await,
            at_once,
            "the time in the lease does not count"
        );
        assert!(becomes_leader_within(&leadership, 10).await, "{spec_before}");
        let transitions = spec_before["leaseTransitions"].as_i64().unwrap_or_default();
        assert_eq!(lease_spec(&sim)["leaseTransitions"], transitions + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unreleased_lease_is_taken_only_after_it_has_expired() {
    let sim = Sim::new();
    let first = elect_leader(&sim, "a").await;
    let second = start_candidate(&sim, "b");
    assert!(!becomes_leader_within(&second, 600).await);
    drop(first);
    assert!(!becomes_leader_within(&second, 12).await, "the lease was not released");
    assert!(becomes_leader_within(&second, 10).await);
    assert_eq!(lease_spec(&sim)["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_at_the_next_attempt() {
    let sim = Sim::new();
    let first = elect_leader(&sim, "a").await;
    let second = start_candidate(&sim, "b");
    let gate = first.gate();
    sleep(Duration::from_secs(10)).await;
    first.release().await.unwrap();
    assert!(!gate.is_open());
    assert!(lease_spec(&sim)["holderIdentity"].is_null());
    assert!(becomes_leader_within(&second, 5).await);
}

#[tokio::test(start_paused = true)]
async fn a_release_retries_after_conflicts() {
    let sim = Sim::new();
    let leadership = elect_leader(&sim, "a").await;
    sim.faults().add(Rule::new(Fault::status(409)).verb("update").resource("leases").times(3));
    leadership.release().await.unwrap();
    assert!(lease_spec(&sim)["holderIdentity"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_hangs_is_an_error_after_ten_seconds() {
    let sim = Sim::new();
    let leadership = elect_leader(&sim, "a").await;
    sim.faults().add(Rule::new(Fault::Delay(Duration::from_secs(3600))).verb("update").resource("leases"));
    let error = timeout(Duration::from_secs(11), leadership.release()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("operator was not released within 10s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_release_cancels_a_renewal_or_an_acquisition_in_flight() {
    for verb in ["update", "get"] {
        let sim = Sim::new();
        let leadership = elect_leader(&sim, "a").await;
        if verb == "get" {
            // The first update of the renewal fails. Then the leader reads the lease, and this read is delayed.
            sim.faults().add(Rule::new(Fault::status(500)).verb("update").resource("leases").times(1));
        }
        sim.faults()
            .add(Rule::new(Fault::Delay(Duration::from_secs(5))).verb(verb).resource("leases").times(1));
        sleep(Duration::from_secs(3)).await;
        leadership.release().await.unwrap();
        assert!(lease_spec(&sim)["holderIdentity"].is_null(), "{verb}");
    }
    // A candidate calls `release` while its acquisition is in flight.
    let sim = Sim::new();
    let leadership = start_candidate(&sim, "a");
    leadership.release().await.unwrap();
    let lease = sim.get("coordination.k8s.io/v1", "Lease", "default", "operator");
    assert!(lease.is_err() || lease.unwrap()["spec"]["holderIdentity"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_falls_back_to_a_read_and_keeps_the_leadership() {
    let sim = Sim::new();
    let leadership = elect_leader(&sim, "a").await;
    // Another client changes the lease's metadata. Therefore the resource version that the leader has is
    // outdated.
    let mut lease = sim.get("coordination.k8s.io/v1", "Lease", "default", "operator").unwrap();
    lease["metadata"]["labels"] = json!({"a": "b"});
    sim.update(&lease).unwrap();
    sleep(Duration::from_secs(30)).await;
    assert!(leadership.is_leader());
    // The requests fail for less than the renew deadline.
    sim.faults().add(Rule::new(Fault::status(500)).resource("leases").times(6));
    sleep(Duration::from_secs(30)).await;
    assert!(leadership.is_leader());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_is_no_leader_after_the_renew_deadline() {
    for fault in [Fault::status(500), Fault::Delay(Duration::from_secs(3600))] {
        let sim = Sim::new();
        let leadership = elect_leader(&sim, "a").await;
        let second = start_candidate(&sim, "b");
        sleep(Duration::from_secs(3)).await;
        sim.faults().add(Rule::new(fault).verb("update").resource("leases").times(20));
        sleep(Duration::from_secs(6)).await;
        assert!(leadership.is_leader());
        timeout(Duration::from_secs(5), leadership.lost()).await.unwrap();
        assert!(!leadership.is_leader() && !leadership.gate().is_open() && !second.is_leader());
        leadership.acquired().await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stolen_lease_ends_the_leadership_at_the_next_renewal() {
    let sim = Sim::new();
    let leadership = elect_leader(&sim, "a").await;
    put_lease(&sim, json!({"holderIdentity": "thief", "leaseDurationSeconds": 15})).await;
    timeout(Duration::from_secs(3), leadership.lost()).await.unwrap();
    assert_eq!(lease_spec(&sim)["holderIdentity"], "thief");
    leadership.release().await.unwrap();
    assert_eq!(lease_spec(&sim)["holderIdentity"], "thief", "only the own lease is released");
}

#[tokio::test(start_paused = true)]
async fn two_processes_with_one_name_have_different_identities() {
    let sim = Sim::new();
    let (one, other) = (start_candidate(&sim, "pod"), start_candidate(&sim, "pod"));
    sleep(Duration::from_secs(60)).await;
    assert!(one.is_leader() != other.is_leader());
    assert_ne!(one.identity(), other.identity());
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes_with_the_fenced_client() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let first = elect_leader(&sim, "a").await;
    let second = start_candidate(&sim, "b");
    let fenced = Api::<ConfigMap>::default_namespaced(second.client());
    let map = fenced.get("a").await.unwrap();
    let error = fenced.replace("a", &PostParams::default(), &map).await.unwrap_err();
    assert!(
        is_fenced(&error) && error.to_string().contains("PUT /api/v1/namespaces/default/configmaps/a"),
        "{error}"
    );
    assert!(!error.is_retryable() && !is_fenced(&fenced.get("missing").await.unwrap_err()));
    let allowed = Api::<ConfigMap>::default_namespaced(first.client());
    allowed.replace("a", &PostParams::default(), &map).await.unwrap();
    drop(first);
    assert!(is_fenced(&allowed.delete("a", &kube_client::api::DeleteParams::default()).await.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_write_in_flight_continues_while_renewals_succeed_and_is_cancelled_at_the_renew_deadline() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let leadership = elect_leader(&sim, "a").await;
    let fenced = Api::<ConfigMap>::default_namespaced(leadership.client());
    let map = fenced.get("a").await.unwrap();
    sim.faults().add(Rule::new(Fault::Delay(Duration::from_secs(60))).verb("update").resource("configmaps"));
    fenced.replace("a", &PostParams::default(), &map).await.unwrap();
    let map = fenced.get("a").await.unwrap();
    sim.faults().add(Rule::new(Fault::status(500)).resource("leases"));
    let began = Instant::now();
    let error = fenced.replace("a", &PostParams::default(), &map).await.unwrap_err();
    assert!(is_fenced(&error) && error.to_string().contains("cancelled"), "{error}");
    assert!(began.elapsed() <= Duration::from_secs(10), "not later than the renew deadline");
}

#[tokio::test(start_paused = true)]
async fn the_fence_closes_even_if_the_task_of_the_election_does_not_run() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let leadership = elect_leader(&sim, "a").await;
    let fenced = Api::<ConfigMap>::default_namespaced(leadership.client());
    let map = fenced.get("a").await.unwrap();
    // Simulates a suspended process: no task runs until the lease has expired.
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(is_fenced(&fenced.replace("a", &PostParams::default(), &map).await.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_controller_reconciles_only_on_the_leader_and_ends_when_the_leadership_is_lost() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let run = |leadership: &Leadership| {
        let log = Arc::new(Log::default());
        let reconcile = async |map: Arc<ConfigMap>, log: Arc<Log>| -> Result<Action, Infallible> {
            log.add_line(format_map(&map));
            Ok(Action::await_change())
        };
        let results =
            Controller::new(maps(&sim), watcher::Config::default()).with_gate(leadership.gate()).run(
                move |map, log| Box::pin(reconcile(map, log)) as futures::future::BoxFuture<'static, _>,
                controller::backoff_on_error,
                log.clone(),
            );
        (results.boxed(), log)
    };
    let (first, second) = (elect_leader(&sim, "a").await, start_candidate(&sim, "b"));
    let ((mut one, active), (mut other, standby)) = (run(&first), run(&second));
    assert!(one.next().await.unwrap().is_ok());
    assert!(timeout(Duration::from_secs(60), other.next()).await.is_err(), "the candidate only watches");
    drop(first);
    let rest: Vec<_> = one.collect().await;
    assert!(matches!(&rest[..], [Err(Error::GateDropped { gate })] if gate == "leadership"), "{rest:?}");
    let taken_over = timeout(Duration::from_secs(60), other.next()).await.unwrap().unwrap().unwrap();
    assert_eq!((active.take_lines(), standby.take_lines()), (vec!["a=1".to_owned()], vec!["a=1".into()]));
    assert_eq!(
        taken_over.0.name,
        Api::<ConfigMap>::default_namespaced(client(&sim)).get("a").await.unwrap().name_any()
    );
}

#[tokio::test]
async fn contradicting_timings_are_refused() {
    let config = Config::default().renew_deadline(Duration::from_secs(15));
    let elector = LeaderElector::new(client(&Sim::new()), "default", "operator", "a").with_config(config);
    let error = elector.start().unwrap_err().to_string();
    assert!(error.contains("lease duration, 15s, must be greater than the renew deadline, 15s"), "{error}");
}
