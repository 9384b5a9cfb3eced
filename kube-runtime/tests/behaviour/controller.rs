//! Tests of the controller, run against the simulated server.

use crate::common;
use crate::common::{Log, delete_map, error_chain, format_map, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::controller::{self, Action, Config, Error};
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

#[derive(Debug, thiserror::Error)]
#[error("test error")]
struct TestError;

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default())
}

/// Polls the controller for `seconds` of the paused clock. Returns the names of reconciled objects and the errors.
async fn poll_for(
    seconds: u64,
    results: &mut (impl futures::Stream<Item = ResultItem> + Unpin),
) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut items = Vec::new();
    while let Ok(Some(item)) = tokio::time::timeout_at(end, results.next()).await {
        items.push(match item {
            Ok((object, _)) => object.name,
            Err(error) => error_chain(&error),
        });
    }
    items
}

/// An item of the stream of a controller.
type ResultItem = Result<(kube_runtime::reflector::ObjectRef<ConfigMap>, Action), Error<TestError>>;

/// A reconciler that logs the object.
async fn log_object(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
    log.add_line(format_map(&map));
    Ok(Action::await_change())
}

#[tokio::test(start_paused = true)]
async fn existing_and_changed_objects_are_reconciled_but_deleted_objects_are_not() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let log = Arc::new(Log::default());
    let mut results = controller(&sim).run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    let mut first = log.take_lines();
    first.sort();
    assert_eq!(first, ["a=1", "b=1"]);
    put_map(&sim, "a", "2");
    delete_map(&sim, "b");
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a=2"]);
}

#[tokio::test(start_paused = true)]
async fn changes_during_a_reconcile_are_coalesced() {
    let sim = Sim::new();
    put_map(&sim, "a", "0");
    let log = Arc::new(Log::default());
    let reconcile = async |map: Arc<ConfigMap>, log: Arc<Log>| -> Result<Action, TestError> {
        log.add_line(format_map(&map));
        log.simulate_work(Duration::from_secs(5)).await;
        Ok(Action::await_change())
    };
    let mut results = controller(&sim)
        .run(
            move |map, log| Box::pin(reconcile(map, log)) as futures::future::BoxFuture<'static, _>,
            controller::backoff_on_error,
            log.clone(),
        )
        .boxed();
    let changes = async {
        for n in 1..=4 {
            sleep(Duration::from_secs(1)).await;
            put_map(&sim, "a", &n.to_string());
        }
    };
    futures::join!(poll_for(20, &mut results), changes);
    assert_eq!(log.take_lines(), ["a=0", "a=4"]);
    assert_eq!(log.peak.load(Ordering::SeqCst), 1);
}

/// A reconciler that logs the object, waits for two seconds and logs again.
async fn log_and_wait(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
    log.add_line(format_map(&map));
    log.simulate_work(Duration::from_secs(2)).await;
    log.add_line(format!("{} done", format_map(&map)));
    Ok(Action::await_change())
}

#[tokio::test(start_paused = true)]
async fn the_controller_limits_concurrent_reconciles() {
    let sim = Sim::new();
    for n in 0..10 {
        put_map(&sim, &format!("m{n}"), "1");
    }
    let log = Arc::new(Log::default());
    let limited = controller(&sim).with_config(Config::default().concurrency(3));
    let mut results = limited.run(log_and_wait, controller::backoff_on_error, log.clone()).boxed();
    let start = Instant::now();
    for _ in 0..10 {
        results.next().await.unwrap().unwrap();
    }
    assert_eq!(log.peak.load(Ordering::SeqCst), 3);
    assert_eq!(start.elapsed().as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_per_object() {
    async fn fail_if_named_bad(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
        log.add_line(format_map(&map));
        if map.name_any() == "bad" { Err(TestError) } else { Ok(Action::await_change()) }
    }
    let sim = Sim::new();
    put_map(&sim, "bad", "1");
    put_map(&sim, "good", "1");
    let config = Config::default().failure_backoff(Duration::from_secs(1), Duration::from_secs(60));
    let log = Arc::new(Log::default());
    let mut results = controller(&sim)
        .with_config(config)
        .run(fail_if_named_bad, controller::backoff_on_error, log.clone())
        .boxed();
    let items = poll_for(16, &mut results).await;
    assert_eq!(
        log.take_lines().iter().filter(|line| *line == "bad=1").count(),
        5,
        "at 0, 1, 3, 7 and 15 seconds"
    );
    let failed = "cannot reconcile ConfigMap default/bad: test error";
    assert_eq!(items.iter().filter(|line| *line == failed).count(), 5, "{items:?}");
    assert_eq!(items.iter().filter(|line| *line == "good").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_reconcile_of_only_one_object() {
    async fn panic_if_named_bad(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
        log.add_line(format_map(&map));
        assert!(map.name_any() != "bad" || log.take_lines().len() > 2, "boom");
        Ok(Action::await_change())
    }
    let sim = Sim::new();
    put_map(&sim, "bad", "1");
    let log = Arc::new(Log::default());
    let mut results =
        controller(&sim).run(panic_if_named_bad, controller::backoff_on_error, log.clone()).boxed();
    let error = results.next().await.unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::ReconcilerPanicked(object, message) if object.name == "bad" && message == "boom")
    );
    put_map(&sim, "good", "1");
    let items = poll_for(1, &mut results).await;
    assert!(items.contains(&"good".to_owned()), "{items:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_the_first_wait_is_an_error_that_names_the_object() {
    async fn panic_after_wait(_: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
        log.simulate_work(Duration::from_secs(1)).await;
        panic!("boom");
    }
    let sim = Sim::new();
    put_map(&sim, "bad", "1");
    let mut results = controller(&sim)
        .run(panic_after_wait, controller::backoff_on_error, Arc::new(Log::default()))
        .boxed();
    let error = results.next().await.unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::ReconcilerPanicked(object, message) if object.name == "bad" && message == "boom")
    );
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_is_spawned_at_its_first_wait() {
    async fn log_task_id(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
        log.add_line(format!("{} begins in {}", map.name_any(), tokio::task::id()));
        if map.name_any() == "waiting" {
            log.simulate_work(Duration::from_secs(1)).await;
            log.add_line(format!("{} ends in {}", map.name_any(), tokio::task::id()));
        }
        Ok(Action::await_change())
    }
    let sim = Sim::new();
    put_map(&sim, "waiting", "1");
    put_map(&sim, "still", "1");
    let log = Arc::new(Log::default());
    let mut results = controller(&sim).run(log_task_id, controller::backoff_on_error, log.clone()).boxed();
    let own = tokio::spawn(async move {
        poll_for(5, &mut results).await;
        tokio::task::id()
    });
    let own = own.await.unwrap();
    let lines = log.take_lines();
    for begun in ["still", "waiting"] {
        assert!(lines.contains(&format!("{begun} begins in {own}")), "{own} in {lines:?}");
    }
    let end = lines.iter().find(|line| line.starts_with("waiting ends")).unwrap();
    assert_ne!(*end, format!("waiting ends in {own}"));
}

#[tokio::test(start_paused = true)]
async fn many_inline_reconciles_yield_to_the_runtime() {
    let sim = Sim::new();
    for n in 0..500 {
        put_map(&sim, &format!("map-{n}"), "1");
    }
    let log = Arc::new(Log::default());
    let mut results = controller(&sim).run(log_object, controller::backoff_on_error, log.clone()).boxed();
    let turns = Arc::new(AtomicUsize::new(0));
    let counter = turns.clone();
    let other = tokio::spawn(async move {
        loop {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    results.next().await.unwrap().unwrap();
    let before = turns.load(Ordering::SeqCst);
    for _ in 1..500 {
        results.next().await.unwrap().unwrap();
    }
    assert!(turns.load(Ordering::SeqCst) >= before + 3, "{turns:?} after {before}");
    other.abort();
}

/// Checks that the reconciles of one object, which is requeued continuously, do not prevent the reconciles of
/// another object.
async fn check_that_requeues_do_not_starve_another_object() {
    async fn reconcile(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
        if map.name_any() == "restless" {
            return Ok(Action::requeue(Duration::ZERO));
        }
        log.add_line(format_map(&map));
        tokio::task::yield_now().await;
        Ok(Action::await_change())
    }
    let sim = Sim::new();
    put_map(&sim, "restless", "1");
    let (send, mut named) = tokio::sync::mpsc::unbounded_channel();
    let log = Arc::new(Log::default());
    let mut results = controller(&sim)
        .reconcile_on(futures::stream::poll_fn(move |cx| named.poll_recv(cx)))
        .run(reconcile, controller::backoff_on_error, log.clone())
        .boxed();
    // The object `waiting` is created and modified. Then a trigger requests its reconcile.
    for (step, value) in ["1", "2", "2"].into_iter().enumerate() {
        if step < 2 {
            put_map(&sim, "waiting", value);
        } else {
            send.send(kube_runtime::reflector::ObjectRef::new("waiting").within("default")).unwrap();
        }
        let mut other_results = 0;
        while results.next().await.unwrap().unwrap().0.name != "waiting" {
            other_results += 1;
            assert!(other_results < 10_000, "only `restless` was reconciled in step {step}");
        }
        assert_eq!(log.take_lines(), [format!("waiting={value}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn continuous_requeues_do_not_starve_another_object() {
    check_that_requeues_do_not_starve_another_object().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_coop_budget_continuous_requeues_do_not_starve_another_object() {
    tokio::task::coop::unconstrained(check_that_requeues_do_not_starve_another_object()).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_error_policy_fails_the_reconcile_of_only_one_object() {
    async fn fail_if_named_bad(map: Arc<ConfigMap>, _: Arc<()>) -> Result<Action, TestError> {
        if map.name_any() == "bad" { Err(TestError) } else { Ok(Action::await_change()) }
    }
    let sim = Sim::new();
    put_map(&sim, "bad", "1");
    let policy = |_: Arc<ConfigMap>, _: &TestError, _: Arc<()>| -> Action { panic!("boom") };
    let mut results = controller(&sim).run(fail_if_named_bad, policy, Arc::new(())).boxed();
    let error = results.next().await.unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::ReconcilerPanicked(object, message) if object.name == "bad" && message == "boom")
    );
    put_map(&sim, "good", "1");
    let items = poll_for(1, &mut results).await;
    assert!(items.contains(&"good".to_owned()), "{items:?}");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_reconciled_again_after_the_requested_time_or_at_a_change() {
    async fn requeue_after_an_hour(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
        log.add_line(format_map(&map));
        Ok(Action::requeue(Duration::from_secs(3600)))
    }
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let log = Arc::new(Log::default());
    let mut results =
        controller(&sim).run(requeue_after_an_hour, controller::backoff_on_error, log.clone()).boxed();
    poll_for(3601, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "a=1"]);
    put_map(&sim, "a", "2");
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["a=2"]);
}

#[tokio::test(start_paused = true)]
async fn durations_of_any_length_do_not_overflow() {
    async fn requeue_after_maximum(map: Arc<ConfigMap>, log: Arc<Log>) -> Result<Action, TestError> {
        log.add_line(format_map(&map));
        Ok(Action::requeue(Duration::MAX))
    }
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let log = Arc::new(Log::default());
    let config = Config::default().drain_timeout(Duration::MAX);
    let wc = watcher::Config::default().timeout(Duration::MAX);
    let controller = Controller::new(maps(&sim), wc).with_config(config);
    let mut results =
        controller.run(requeue_after_maximum, controller::backoff_on_error, log.clone()).boxed();
    poll_for(3600, &mut results).await;
    put_map(&sim, "a", "2");
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "a=2"]);
}

/// Creates or updates a secret that the config map `owner` owns, or that has no owner.
async fn put_secret(sim: &Sim, secrets: &Api<Secret>, name: &str, owner: Option<&str>) {
    let references = match owner {
        None => serde_json::json!([]),
        Some(owner) => {
            let owner = maps(sim).get(owner).await.unwrap();
            serde_json::json!([owner.controller_owner_ref(&()).unwrap()])
        }
    };
    if secrets.get_opt(name).await.unwrap().is_none() {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.into());
        secrets.create(&PostParams::default(), &secret).await.unwrap();
    }
    let patch = serde_json::json!({"metadata": {"ownerReferences": references}});
    secrets.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn owners_of_created_reassigned_and_deleted_objects_are_reconciled() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let secrets: Api<Secret> = Api::default_namespaced(common::client(&sim));
    let log = Arc::new(Log::default());
    let mut results = controller(&sim)
        .owns(secrets.clone(), watcher::Config::default())
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    put_secret(&sim, &secrets, "child", Some("a")).await;
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1"]);
    put_secret(&sim, &secrets, "child", Some("b")).await;
    poll_for(1, &mut results).await;
    let mut both = log.take_lines();
    both.sort();
    assert_eq!(both, ["a=1", "b=1"]);
    put_secret(&sim, &secrets, "child", None).await;
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["b=1"]);
    put_secret(&sim, &secrets, "child", Some("a")).await;
    secrets.delete("child", &DeleteParams::default()).await.unwrap();
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1"]);
    let watches = sim.journal().count(|entry| entry.resource == "secrets" && entry.verb == "watch");
    assert_eq!(watches, 1);
}

#[tokio::test(start_paused = true)]
async fn the_controller_reports_a_failed_watch_and_recovers() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    sim.faults().add(Rule::new(Fault::status(500)).verb("watch").times(1));
    let log = Arc::new(Log::default());
    let mut results = controller(&sim).run(log_object, controller::backoff_on_error, log.clone()).boxed();
    let items = poll_for(5, &mut results).await;
    assert!(items[0].starts_with("cannot open a watch of"), "{items:?}");
    assert_eq!(log.take_lines(), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_finishes_in_flight_reconciles_and_starts_no_others() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        put_map(&sim, name, "1");
    }
    let log = Arc::new(Log::default());
    let results = controller(&sim)
        .with_config(Config::default().concurrency(1))
        .graceful_shutdown_on(sleep(Duration::from_secs(1)))
        .run(log_and_wait, controller::backoff_on_error, log.clone());
    let start = Instant::now();
    assert_eq!(results.count().await, 1);
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(log.take_lines().len(), 2, "one began and ended");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cancels_reconciles_after_the_drain_timeout() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let log = Arc::new(Log::default());
    let config = Config::default().drain_timeout(Duration::from_millis(500));
    let mut results = controller(&sim)
        .with_config(config)
        .graceful_shutdown_on(sleep(Duration::from_secs(1)))
        .run(log_and_wait, controller::backoff_on_error, log.clone())
        .boxed();
    let error = results.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::ReconcilerCancelled(_)), "{error}");
    assert!(results.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_cancels_in_flight_reconciles() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let log = Arc::new(Log::default());
    let mut results = controller(&sim).run(log_and_wait, controller::backoff_on_error, log.clone()).boxed();
    poll_for(1, &mut results).await;
    drop(results);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(log.take_lines(), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn mappers_and_triggers_enqueue_objects() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "1");
    let log = Arc::new(Log::default());
    let secrets: Api<Secret> = Api::default_namespaced(common::client(&sim));
    let (send, all) = futures::channel::mpsc::unbounded();
    let mut results = controller(&sim)
        .watches(secrets.clone(), watcher::Config::default(), |secret| {
            Some(kube_runtime::reflector::ObjectRef::new(&secret.name_any()).within("default"))
        })
        .reconcile_all_on(all)
        .run(log_object, controller::backoff_on_error, log.clone())
        .boxed();
    poll_for(1, &mut results).await;
    log.take_lines();
    put_secret(&sim, &secrets, "b", None).await;
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines(), ["b=1"]);
    send.unbounded_send(()).unwrap();
    poll_for(1, &mut results).await;
    assert_eq!(log.take_lines().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_reconciler_and_the_error_policy_may_borrow_local_variables() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let (reconciled, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reconcile = |_: Arc<ConfigMap>, _: Arc<()>| {
        reconciled.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Err::<Action, _>(std::io::Error::other("no")))
    };
    let policy = |_: Arc<ConfigMap>, _: &std::io::Error, _: Arc<()>| {
        failed.fetch_add(1, Ordering::SeqCst);
        Action::await_change()
    };
    let controller = Controller::new(maps(&sim), watcher::Config::default());
    let item: Result<_, controller::Error<std::io::Error, watcher::Error>> =
        controller.run(reconcile, policy, Arc::new(())).boxed().next().await.unwrap();
    assert!(item.is_err());
    assert_eq!((reconciled.into_inner(), failed.into_inner()), (1, 1));
}
