//! Tests of a controller whose reconciler, mapper or server misbehaves. The controller must continue, and
//! its work must stay bounded.

use crate::common::{Log, client, format_map, log_object, maps, poll_for, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::{Api, ResourceExt};
use kube_runtime::controller::{self, Action};
use kube_runtime::reflector::ObjectRef;
use kube_runtime::{Controller, watcher};
use kube_sim::Sim;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};

fn controller(sim: &Sim) -> Controller<ConfigMap> {
    Controller::new(maps(sim), watcher::Config::default())
}

fn secrets(sim: &Sim) -> Api<Secret> {
    Api::default_namespaced(client(sim))
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_each_second_lose_no_change_and_cause_few_requests() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    let mut results = controller(&sim).run(log_object, controller::backoff_on_error, log.clone()).boxed();
    for second in 0..120 {
        put_map(&sim, &format!("m{}", second % 7), &second.to_string());
        sim.end_watches();
        poll_for(1, &mut results).await;
    }
    poll_for(60, &mut results).await;
    let lines = log.take_lines();
    for second in 113..120 {
        let name = format!("m{}", second % 7);
        let last = lines.iter().rfind(|line| line.starts_with(&format!("{name}=")));
        assert_eq!(last, Some(&format!("{name}={second}")));
    }
    assert!(sim.journal().total() < 600, "{} requests", sim.journal().total());
}

#[tokio::test(start_paused = true)]
async fn a_reconciler_that_deletes_its_own_object_is_not_called_again_for_it() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let server = sim.clone();
    let reconcile = move |map: Arc<ConfigMap>, log: Arc<Log>| {
        log.add_line(format_map(&map));
        crate::common::delete_map(&server, &map.name_any());
        std::future::ready(Ok::<_, Infallible>(Action::requeue(Duration::from_secs(1))))
    };
    let mut results = controller(&sim).run(reconcile, controller::backoff_on_error, log.clone()).boxed();
    poll_for(3600, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1"]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_does_not_exist_is_not_reconciled_and_delays_no_other_object() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "absent", "uid": "no-such-uid"}]);
    sim.create(&json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "s", "namespace": "default", "ownerReferences": owner}}))
        .unwrap();
    let controller = controller(&sim).owns(secrets(&sim), watcher::Config::default());
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(60, &mut results).await;
    put_map(&sim, "a", "2");
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["a=1", "a=2"]);
}

#[tokio::test(start_paused = true)]
async fn a_mapper_that_returns_a_hundred_thousand_keys_does_not_delay_changes() {
    let (sim, log) = (Sim::new(), Arc::new(Log::default()));
    put_map(&sim, "a", "1");
    sim.create(
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}}),
    )
    .unwrap();
    let mapper = |_: Secret| {
        let names = (0..100_000).map(|n| format!("absent-{n}")).chain(["a".to_owned()]);
        names.map(|name| ObjectRef::<ConfigMap>::new(&name).within("default")).collect::<Vec<_>>()
    };
    let controller = controller(&sim).watches(secrets(&sim), watcher::Config::default(), mapper);
    let mut results = controller.run(log_object, controller::backoff_on_error, log.clone()).boxed();
    poll_for(60, &mut results).await;
    assert!(log.take_lines().iter().all(|line| line == "a=1"));
    put_map(&sim, "a", "2");
    poll_for(60, &mut results).await;
    assert_eq!(log.take_lines(), ["a=2"]);
}
