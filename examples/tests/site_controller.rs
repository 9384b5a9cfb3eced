//! Tests of `site_controller` on `kube-sim`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../site_controller.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "it is a program, and its `main` is not used here"
)]
mod site_controller;

use kube_client::{Client, CustomResourceExt};
use kube_sim::Sim;
use kube_sim::fault::{Action, Rule};
use serde::Deserialize;
use serde_json::{Value, json};
use site_controller::{Site, manager};
use std::{collections::BTreeSet, time::Duration};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A simulated cluster with the CRD of `Site`.
fn sim_with_site_crd() -> Sim {
    let sim = Sim::new();
    sim.create(&serde_json::to_value(Site::crd()).unwrap()).unwrap();
    sim
}

/// Starts the controller in the namespace `kube-system`. The controller stops after `seconds`.
fn start_controller(sim: &Sim, seconds: u64) -> JoinHandle<Result<(), kube_runtime::manager::Error>> {
    let manager = manager(&Client::new(sim.service(), "kube-system"), "pod").unwrap();
    tokio::spawn(manager.without_server().shutdown_on(sleep(Duration::from_secs(seconds))).run())
}

/// The object in `site.yaml`.
fn site() -> Value {
    yaml_serde::from_str(include_str!("../site.yaml")).unwrap()
}

fn get_config_map(sim: &Sim, namespace: &str, name: &str) -> Option<Value> {
    sim.get("v1", "ConfigMap", namespace, name).ok()
}

/// Reads the site `docs` from the simulated cluster.
fn get_docs_site(sim: &Sim) -> Value {
    sim.get("example.com/v1", "Site", "default", "docs").unwrap()
}

/// Returns the number of requests that write, except the writes of leases.
fn count_writes(sim: &Sim) -> usize {
    let verbs = ["create", "update", "patch", "delete"];
    sim.journal().count(|entry| verbs.contains(&entry.verb) && entry.resource != "leases")
}

#[tokio::test(start_paused = true)]
async fn the_controller_publishes_a_site_and_then_writes_nothing() {
    let sim = sim_with_site_crd();
    sim.create(&site()).unwrap();
    let running = start_controller(&sim, 600);
    sleep(Duration::from_secs(30)).await;
    let pages = get_config_map(&sim, "default", "pages-docs").unwrap();
    let index = "<!doctype html><title>Documentation</title><h1>Documentation</h1><p>Read the &lt;manual> &amp; enjoy</p>";
    assert_eq!(pages["data"]["index.html"], index);
    assert_eq!(
        get_config_map(&sim, "kube-system", "site-index").unwrap()["data"],
        json!({"default.docs": "Documentation"})
    );
    let status = get_docs_site(&sim)["status"].take();
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["conditions"][0]["message"], "2 pages in pages-docs");
    let events = sim.list("events.k8s.io/v1", "Event", "default").unwrap();
    assert!(events.iter().any(|event| event["reason"] == "Published"), "{events:?}");
    let before = count_writes(&sim);
    sleep(Duration::from_secs(500)).await;
    assert_eq!(count_writes(&sim), before);
    running.await.unwrap().unwrap();
    let lease = sim.get("coordination.k8s.io/v1", "Lease", "kube-system", "site-controller").unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn the_controller_publishes_changes_of_a_site_and_restores_its_config_map() {
    let sim = sim_with_site_crd();
    sim.create(&site()).unwrap();
    start_controller(&sim, 600);
    sleep(Duration::from_secs(30)).await;
    let mut changed = get_docs_site(&sim);
    changed["spec"]["pages"] = json!({"index": "new"});
    sim.update(&changed).unwrap();
    sleep(Duration::from_secs(30)).await;
    let data = get_config_map(&sim, "default", "pages-docs").unwrap()["data"].take();
    assert_eq!(data.as_object().unwrap().len(), 1, "{data}");
    sim.delete("v1", "ConfigMap", "default", "pages-docs").unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(get_config_map(&sim, "default", "pages-docs").unwrap()["data"], data);
}

#[tokio::test(start_paused = true)]
async fn the_controller_removes_a_deleted_site_from_the_index_even_if_requests_fail() {
    let sim = sim_with_site_crd();
    sim.create(&site()).unwrap();
    let mut other = site();
    other["metadata"]["name"] = "blog".into();
    sim.create(&other).unwrap();
    start_controller(&sim, 600);
    sleep(Duration::from_secs(30)).await;
    sim.faults().add(Rule::new(Action::status(503)).verb("patch").resource("configmaps").times(5));
    sim.delete("example.com/v1", "Site", "default", "docs").unwrap();
    sleep(Duration::from_secs(120)).await;
    assert!(sim.get("example.com/v1", "Site", "default", "docs").is_err());
    let index = get_config_map(&sim, "kube-system", "site-index").unwrap();
    assert_eq!(index["data"], json!({"default.blog": "Documentation"}));
    let managers = index["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(managers.len(), 1, "the deleted site manages no field: {managers:?}");
    assert_eq!(get_config_map(&sim, "default", "pages-docs"), None, "the garbage collector deletes it");
}

/// The permissions in `site_controller.yaml`, as `verb resource`.
fn granted_permissions() -> BTreeSet<String> {
    let documents = yaml_serde::Deserializer::from_str(include_str!("../site_controller.yaml"));
    let documents = documents.map(|document| Value::deserialize(document).unwrap());
    let texts = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
    let mut found = BTreeSet::new();
    for rule in documents.flat_map(|document| document["rules"].as_array().cloned().unwrap_or_default()) {
        for resource in texts(&rule["resources"]) {
            found.extend(texts(&rule["verbs"]).iter().map(|verb| format!("{verb} {resource}")));
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn the_deployment_has_exactly_the_necessary_permissions() {
    let sim = sim_with_site_crd();
    sim.create(&site()).unwrap();
    sim.journal().clear();
    let running = start_controller(&sim, 1200);
    sleep(Duration::from_secs(30)).await;
    for title in ["a", "b", "a", "b"] {
        let mut changed = get_docs_site(&sim);
        changed["spec"]["title"] = title.into();
        sim.update(&changed).unwrap();
        sleep(Duration::from_secs(10)).await;
    }
    sim.delete("example.com/v1", "Site", "default", "docs").unwrap();
    running.await.unwrap().unwrap();
    let mut used = BTreeSet::new();
    for entry in sim.journal().entries() {
        let status = if entry.path.ends_with("/status") { "/status" } else { "" };
        used.insert(format!("{} {}{status}", entry.verb, entry.resource));
    }
    // Add the permissions that the journal does not show. A patch that creates a config map also needs `create`. The
    // finalizer needs `get` after a conflict. A watcher needs `list` if the server has no streaming lists. Some clusters
    // require `update` of `sites/finalizers` for owner references.
    used.extend(
        ["create configmaps", "get sites", "list sites", "list configmaps", "update sites/finalizers"]
            .map(Into::into),
    );
    assert_eq!(used, granted_permissions());
}
