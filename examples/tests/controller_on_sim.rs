//! Tests of a controller on `kube-sim`; `docs/testing.md` quotes this code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube_client::api::{DeleteParams, Patch, PatchParams};
use kube_client::{Api, Client, Resource, ResourceExt};
use kube_runtime::controller::{Action, Controller, backoff_on_error};
use kube_runtime::watcher;
use kube_sim::fault::{self, Rule};
use kube_sim::{Lag, Sim};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The reconciler under test: every namespace has a ConfigMap `about`.
async fn reconcile(namespace: Arc<Namespace>, client: Arc<Client>) -> kube_client::Result<Action> {
    let about = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "about", "ownerReferences": [namespace.controller_owner_ref(&())]},
        "data": {"namespace": namespace.name_any()},
    });
    let maps: Api<ConfigMap> = Api::namespaced(Client::clone(&client), &namespace.name_any());
    maps.patch("about", &PatchParams::apply("first-controller").force(), &Patch::Apply(about)).await?;
    Ok(Action::await_change())
}

fn start_controller(sim: &Sim) -> JoinHandle<()> {
    start_controller_with_client(Client::new(sim.service(), "default"))
}

fn start_controller_with_client(client: Client) -> JoinHandle<()> {
    let controller = Controller::new(Api::<Namespace>::all(client.clone()), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client.clone()), watcher::Config::default());
    tokio::spawn(controller.run(reconcile, backoff_on_error, Arc::new(client)).for_each(async |_| {}))
}

fn config_maps(sim: &Sim) -> Api<ConfigMap> {
    Api::namespaced(Client::new(sim.service(), "default"), "default")
}

#[tokio::test(start_paused = true)]
async fn a_deleted_config_map_is_created_again() {
    let sim = Sim::new();
    start_controller(&sim);
    sleep(Duration::from_secs(10)).await;
    config_maps(&sim).delete("about", &DeleteParams::default()).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    let about = config_maps(&sim).get("about").await.unwrap();
    assert_eq!(about.data.unwrap()["namespace"], "default");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_write_is_retried() {
    let sim = Sim::new();
    let refused = Rule::new(fault::Action::status(503)).verb("patch").resource("configmaps").times(5);
    let refused = sim.faults().add(refused);
    start_controller(&sim);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(sim.faults().hits(refused), 5);
    config_maps(&sim).get("about").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_loses_no_change() {
    let sim = Sim::new();
    start_controller(&sim);
    sleep(Duration::from_secs(10)).await;
    sim.faults().add(Rule::new(fault::Action::Reset).verb("watch").times(3));
    sim.compact_all();
    sim.end_watches();
    sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})).unwrap();
    sleep(Duration::from_secs(600)).await;
    assert!(sim.get("v1", "ConfigMap", "new", "about").is_ok());
}

#[tokio::test(start_paused = true)]
async fn stale_reads_only_delay_the_reconcile() {
    let sim = Sim::new();
    let replicas = [sim.replica(Lag::Time(Duration::from_secs(7))), sim.replica(Lag::Versions(4))];
    start_controller_with_client(Client::new(sim.balanced(&replicas), "default"));
    sleep(Duration::from_secs(60)).await;
    sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})).unwrap();
    sim.end_watches();
    sleep(Duration::from_secs(600)).await;
    assert!(sim.get("v1", "ConfigMap", "new", "about").is_ok());
}

fn count_writes(sim: &Sim) -> usize {
    sim.journal().count(|request| !matches!(request.verb, "get" | "list" | "watch"))
}

#[tokio::test(start_paused = true)]
async fn the_controller_stops_writing_after_every_object_is_reconciled() {
    let sim = Sim::new();
    start_controller(&sim);
    sleep(Duration::from_secs(60)).await;
    let writes_before = count_writes(&sim);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(count_writes(&sim), writes_before);
    assert!(writes_before > 0);
}

#[test]
fn this_file_contains_every_rust_block_of_the_guide() {
    let code = include_str!("controller_on_sim.rs");
    let guide = include_str!("../../docs/testing.md");
    let blocks: Vec<_> =
        guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5, "{blocks:?}");
    for block in blocks {
        assert!(code.contains(block.trim_end()), "not in this file:\n{block}");
    }
}
