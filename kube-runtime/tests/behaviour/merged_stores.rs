//! Tests of shared informers and controllers whose store contains the objects of several collections.

use crate::common::{client, maps};
use crate::store_modifiers::drain_deltas;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::Api;
use kube_runtime::controller::{self, Action};
use kube_runtime::reflector::Storage;
use kube_runtime::watcher::Config;
use kube_runtime::{Controller, SharedInformer};
use kube_sim::Sim;
use kube_sim::fault::{Action as Fault, Rule};
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Creates or updates a config map with the key `v` and the label `app`.
fn put_labelled_map(sim: &Sim, namespace: &str, name: &str, value: &str, app: &str) {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": value},
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}}});
    let written = sim.update(&object).or_else(|_| sim.create(&object));
    written.unwrap();
}

/// For each of two namespaces: the API of its config maps, and the configuration of the watcher.
fn apis_with_configs(sim: &Sim) -> [(Api<ConfigMap>, Config); 2] {
    ["default", "kube-public"].map(|namespace| (Api::namespaced(client(sim), namespace), Config::default()))
}

#[tokio::test(start_paused = true)]
async fn a_store_of_two_namespaces_is_ready_after_both_lists_and_is_updated_by_relists() {
    let sim = Sim::new();
    put_labelled_map(&sim, "default", "a", "1", "x");
    put_labelled_map(&sim, "kube-public", "a", "2", "x");
    sim.faults().add(Rule::new(Fault::status(500)).resource("configmaps").namespace("kube-public").times(2));
    let informer = SharedInformer::merged(apis_with_configs(&sim), Storage::typed());
    let mut changes = informer.subscribe();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!informer.store().is_ready(), "one list has failed");
    assert_eq!(drain_deltas(&mut changes).await, ["+default/a=1", "+kube-public/a=2"]);
    assert!(informer.store().is_ready());
    // The versions of the watches expire. Therefore both parts relist, and find the changes that no watch
    // reported.
    sim.end_watches();
    put_labelled_map(&sim, "kube-public", "b", "3", "x");
    sim.delete("v1", "ConfigMap", "default", "a").unwrap();
    sim.compact_all();
    assert_eq!(drain_deltas(&mut changes).await, ["+kube-public/b=3", "-default/a=1 vanished"]);
    assert_eq!(informer.store().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_stored_once_until_no_selector_matches_it() {
    let sim = Sim::new();
    put_labelled_map(&sim, "default", "a", "1", "x");
    let selected = |labels| (maps(&sim), Config::default().labels(labels));
    let parts = [selected("app in (x, y)"), selected("app in (y, z)")];
    let informer = SharedInformer::merged(parts, Storage::compact());
    let mut changes = informer.subscribe();
    assert_eq!(drain_deltas(&mut changes).await, ["+default/a=1"]);
    for (value, app) in [("2", "y"), ("3", "z")] {
        put_labelled_map(&sim, "default", "a", value, app);
        assert_eq!(drain_deltas(&mut changes).await, [format!("~default/a={value}")], "{app}");
    }
    put_labelled_map(&sim, "default", "a", "4", "w");
    let last = drain_deltas(&mut changes).await;
    assert!(matches!(&last[..], [deleted] if deleted.starts_with("-default/a=")), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_two_namespaces_reconciles_the_objects_of_both() {
    let sim = Sim::new();
    for namespace in ["default", "kube-public", "kube-public"] {
        put_labelled_map(&sim, namespace, "a", "1", "x");
    }
    let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
    let controller = Controller::merged(apis_with_configs(&sim), Storage::compact(), ());
    let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    let mut reconciled = Vec::new();
    while let Ok(Some(result)) = timeout(Duration::from_secs(60), results.next()).await {
        reconciled.push(result.unwrap().0.namespace.unwrap());
    }
    reconciled.sort();
    assert_eq!(reconciled, ["default", "kube-public"]);
}
