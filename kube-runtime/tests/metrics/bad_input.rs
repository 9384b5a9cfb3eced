//! Tests of the metrics and the log about reconcilers, mappers, objects and leases that cause problems. The tests of
//! servers that misbehave are in `watches.rs`.

use crate::common::{
    Log as ReconcileLog, client, delete_map, format_map, log_object, maps, poll_for, put_map,
};
use crate::log::Log;
use crate::script::{Script, event, map, maps_of, paged_list_config, unnamed_map};
use crate::{FailedError, MAPS_PATH, record_metrics};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, pending, ready};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::{Api, ResourceExt};
use kube_runtime::controller::{self, Action};
use kube_runtime::leader::LeaderElector;
use kube_runtime::reflector::ObjectRef;
use kube_runtime::{Controller, Manager, watcher};
use kube_sim::Sim;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A reconciler that causes a problem. It runs only for the object `bad`.
type BadReconciler = fn(Sim) -> BoxFuture<'static, Result<Action, FailedError>>;

/// A reconciler that causes a problem, and the expected metric, log lines and reconciles.
struct Case {
    bad: BadReconciler,
    /// The metric that counts the problem, with its labels.
    metric: &'static str,
    /// A text in the log lines about the problem, and the maximum number of these lines; `None` if no warning is
    /// logged.
    lines: Option<(&'static str, usize)>,
    /// The number of reconciles of the object `bad` in 15 minutes.
    reconciles: std::ops::Range<usize>,
}

/// Runs a manager for 15 minutes. Its reconciler calls `bad` for the object `bad`, and succeeds for the object
/// `good`. Checks the reconciles, the metric and the log.
async fn check_case(Case { bad, metric, lines, reconciles }: Case) {
    let (recorded, log, sim) = (record_metrics(), Log::capture(), Sim::new());
    let seen = Arc::new(ReconcileLog::default());
    put_map(&sim, "bad", "1");
    put_map(&sim, "good", "1");
    let server = sim.clone();
    let reconcile = move |map: Arc<ConfigMap>, seen: Arc<ReconcileLog>| {
        seen.add_line(format_map(&map));
        if map.name_any() == "bad" { bad(server.clone()) } else { ready(Ok(Action::await_change())).boxed() }
    };
    let config = controller::Config::default().concurrency(2).stall_limit(Duration::from_secs(60));
    let controller =
        Controller::new(maps(&sim), watcher::Config::default()).named("maps").with_config(config);
    let mut manager = Manager::new(client(&sim)).without_server();
    manager.controller(controller, reconcile, controller::backoff_on_error, seen.clone());
    let running = tokio::spawn(manager.shutdown_on(sleep(Duration::from_secs(900))).run());
    sleep(Duration::from_secs(890)).await;
    put_map(&sim, "good", "2");
    running.await.unwrap().unwrap();

    let seen = seen.take_lines();
    let (bad, good): (Vec<_>, Vec<_>) = seen.into_iter().partition(|line| line.starts_with("bad"));
    assert_eq!(good, ["good=1", "good=2"], "{metric}");
    assert!(reconciles.contains(&bad.len()), "{metric}: {} reconciles", bad.len());
    assert!(recorded.value(metric).is_some_and(|value| value >= 1.0), "{metric}");
    match lines {
        Some((part, limit)) => {
            let lines = log.lines_with(part);
            assert!((1..=limit).contains(&lines.len()), "{part}: {lines:?}");
            assert!(lines.iter().all(|line| line.contains("bad")), "{lines:?}");
        }
        None => assert_eq!(log.lines_with(" WARN "), Vec::<String>::new()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_problem_of_a_reconciler_is_counted_and_logged_and_affects_no_other_object() {
    let cases = [
        Case {
            bad: |_| panic!("a test"),
            metric: "controller_runtime_reconcile_panics_total controller=maps",
            lines: Some(("the reconciler panicked: a test", 30)),
            reconciles: 10..30,
        },
        Case {
            bad: |_| async { panic!("a test") }.boxed(),
            metric: "controller_runtime_reconcile_panics_total controller=maps",
            lines: Some(("the reconciler panicked: a test", 30)),
            reconciles: 10..30,
        },
        Case {
            bad: |_| pending().boxed(),
            metric: "kube_runtime_stuck_reconciles_total controller=maps",
            lines: Some(("a reconcile does not end", 1)),
            reconciles: 1..2,
        },
        Case {
            bad: |_| ready(Err(FailedError)).boxed(),
            metric: "controller_runtime_reconcile_errors_total controller=maps",
            lines: Some(("failed", 30)),
            reconciles: 10..30,
        },
        Case {
            bad: |_| ready(Ok(Action::requeue(Duration::from_millis(50)))).boxed(),
            metric: "kube_runtime_hot_loops_total controller=maps",
            lines: Some(("hot loop", 1)),
            reconciles: 10_000..20_000,
        },
        Case {
            bad: |sim| {
                delete_map(&sim, "bad");
                ready(Ok(Action::requeue(Duration::from_secs(1)))).boxed()
            },
            metric: "controller_runtime_reconcile_total controller=maps result=requeue_after",
            lines: None,
            reconciles: 1..2,
        },
    ];
    for case in cases {
        check_case(case).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapper_that_returns_many_keys_is_counted_each_time_and_logged_once() {
    let (recorded, log, sim) = (record_metrics(), Log::capture(), Sim::new());
    put_map(&sim, "a", "1");
    for name in ["s1", "s2"] {
        let metadata = json!({"name": name, "namespace": "default"});
        sim.create(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})).unwrap();
    }
    let mapper = |_: Secret| {
        (0..100_000).map(|n| ObjectRef::<ConfigMap>::new(&format!("absent-{n}")).within("default"))
    };
    let secrets = Api::<Secret>::default_namespaced(client(&sim));
    let controller = Controller::new(maps(&sim), watcher::Config::default()).watches(
        secrets,
        watcher::Config::default(),
        mapper,
    );
    let seen = Arc::new(ReconcileLog::default());
    let mut results = controller.run(log_object, controller::backoff_on_error, seen.clone()).boxed();
    poll_for(30, &mut results).await;
    put_map(&sim, "a", "2");
    poll_for(30, &mut results).await;
    assert_eq!(seen.take_lines(), ["a=1", "a=2"]);
    let name = "kube_runtime_large_mappings_total name=/api/v1/namespaces/default/secrets";
    assert_eq!(recorded.value(name), Some(2.0));
    let lines = log.lines_with("a change requests the reconcile of many objects");
    assert!(lines.len() == 1 && lines[0].contains("100000") && lines[0].contains("default/s1"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn each_object_without_a_name_is_counted_and_one_is_logged() {
    let (recorded, log) = (record_metrics(), Log::capture());
    let script = Script {
        lists: vec![vec![unnamed_map("3"), map("a", "4", "1")]],
        watches: vec![vec![event("ADDED", &unnamed_map("6")), event("DELETED", &unnamed_map("7"))]],
        ..Script::default()
    };
    let (maps, _) = maps_of(script, "5");
    poll_for(30, &mut watcher(maps, paged_list_config()).boxed()).await;
    let name = format!("kube_runtime_undecodable_objects_total name={MAPS_PATH}");
    assert_eq!(recorded.value(&name), Some(3.0));
    let lines = log.lines_with("cannot decode ConfigMap without a readable name");
    assert!(lines.len() == 1 && lines[0].contains(MAPS_PATH), "{lines:?}");
    assert!(lines[0].contains("metadata.name is missing or empty"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stolen_lease_is_logged_with_its_new_holder_and_ends_the_manager() {
    let (recorded, log, sim) = (record_metrics(), Log::capture(), Sim::new());
    let elector = LeaderElector::new(client(&sim), "default", "operator", "pod");
    let manager = Manager::elected(elector).unwrap().without_server();
    let running = tokio::spawn(manager.shutdown_on(pending()).run());
    sleep(Duration::from_secs(10)).await;
    let leader = "leader_election_master_status name=operator";
    assert_eq!(recorded.value(leader), Some(1.0));
    let mut lease = sim.get("coordination.k8s.io/v1", "Lease", "default", "operator").unwrap();
    lease["spec"]["holderIdentity"] = "thief".into();
    sim.update(&lease).unwrap();
    let error = timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the leadership for the lease operator was lost");
    assert_eq!(recorded.value(leader), Some(0.0));
    let lines = log.lines_with("lost the leadership");
    assert!(lines.len() == 1 && lines[0].contains("thief") && lines[0].contains("operator"), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn two_managers_with_one_identity_do_not_reconcile_at_the_same_time() {
    let (log, sim) = (Log::capture(), Sim::new());
    put_map(&sim, "a", "1");
    let seen = Arc::new(ReconcileLog::default());
    let managers = ["one", "two"].map(|name| {
        let elector = LeaderElector::new(client(&sim), "default", "operator", "pod");
        let mut manager = Manager::elected(elector).unwrap().without_server();
        let reconcile = move |map: Arc<ConfigMap>, seen: Arc<ReconcileLog>| {
            seen.add_line(format!("{name} {}", format_map(&map)));
            ready(Ok::<_, FailedError>(Action::await_change()))
        };
        let controller = Controller::new(maps(&sim), watcher::Config::default());
        manager.controller(controller, reconcile, controller::backoff_on_error, seen.clone());
        tokio::spawn(manager.shutdown_on(sleep(Duration::from_secs(600))).run())
    });
    for value in 2..10 {
        sleep(Duration::from_secs(60)).await;
        put_map(&sim, "a", &value.to_string());
    }
    for manager in managers {
        manager.await.unwrap().unwrap();
    }
    let lines = seen.take_lines();
    let leader = lines[0].split(' ').next().unwrap();
    let expected: Vec<_> = (1..10).map(|value| format!("{leader} a={value}")).collect();
    assert_eq!(lines, expected);
    let leaders = log.lines_with("became the leader");
    assert!(leaders.len() == 1 && leaders[0].contains("identity=\"pod_"), "{leaders:?}");
}
