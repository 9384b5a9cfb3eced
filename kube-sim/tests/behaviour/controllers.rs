//! Tests of the built-in controllers: delays, disabled controllers, finalizers, and a long chain of owners.

use std::time::Duration;

use crate::common::{CONFIG_MAPS, PODS, Watch, config_map, delete, get, merge_patch, pod, post};
use kube_sim::{Controller, Sim};
use serde_json::{Value, json};

const DELAY: Duration = Duration::from_secs(5);

/// A config map with an owner reference to the config map `owner`.
fn config_map_owned_by(name: &str, owner: &Value) -> Value {
    let mut map = config_map(name);
    map["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
    }]);
    map
}

#[tokio::test(start_paused = true)]
async fn a_namespace_stays_terminating_during_the_delay_of_the_namespace_controller() {
    let sim = Sim::builder().namespace("x").controller_delay(Controller::Namespace, DELAY).build();
    let maps = "/api/v1/namespaces/x/configmaps";
    post(&sim, maps, config_map("a")).await.ok();
    assert_eq!(delete(&sim, "/api/v1/namespaces/x").await.ok()["status"]["phase"], "Terminating");
    tokio::time::advance(DELAY / 2).await;
    get(&sim, &format!("{maps}/a")).await.ok();
    post(&sim, maps, config_map("late")).await.fails(403, "Forbidden");
    tokio::time::advance(DELAY / 2).await;
    get(&sim, &format!("{maps}/a")).await.fails(404, "NotFound");
    get(&sim, "/api/v1/namespaces/x").await.fails(404, "NotFound");
}

#[tokio::test(start_paused = true)]
async fn dependents_are_deleted_after_the_delay_of_the_garbage_collector() {
    let sim = Sim::builder().controller_delay(Controller::GarbageCollector, DELAY).build();
    for policy in ["Background", "Foreground"] {
        let owner = post(&sim, CONFIG_MAPS, config_map("owner")).await.ok();
        post(&sim, CONFIG_MAPS, config_map_owned_by("child", &owner)).await.ok();
        delete(&sim, &format!("{CONFIG_MAPS}/owner?propagationPolicy={policy}")).await.ok();
        assert_eq!(get(&sim, &format!("{CONFIG_MAPS}/owner")).await.code == 200, policy == "Foreground");
        get(&sim, &format!("{CONFIG_MAPS}/child")).await.ok();
        tokio::time::advance(DELAY).await;
        get(&sim, &format!("{CONFIG_MAPS}/child")).await.fails(404, "NotFound");
        tokio::time::advance(DELAY).await;
        get(&sim, &format!("{CONFIG_MAPS}/owner")).await.fails(404, "NotFound");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_sees_the_changes_of_a_delayed_controller() {
    let sim = Sim::builder().controller_delay(Controller::GarbageCollector, DELAY).build();
    let owner = post(&sim, CONFIG_MAPS, config_map("owner")).await.ok();
    post(&sim, CONFIG_MAPS, config_map_owned_by("child", &owner)).await.ok();
    let mut watch =
        Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1&fieldSelector=metadata.name%3Dchild")).await;
    assert_eq!(watch.next_type_and_name().await, ("ADDED".to_owned(), "child".to_owned()));
    let next = tokio::spawn(async move { watch.next_type_and_name().await });
    tokio::task::yield_now().await;
    delete(&sim, &format!("{CONFIG_MAPS}/owner")).await.ok();
    assert_eq!(next.await.unwrap(), ("DELETED".to_owned(), "child".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn disabled_controllers_do_not_react() {
    let sim = Sim::builder()
        .namespace("x")
        .without_controller(Controller::GarbageCollector)
        .without_controller(Controller::Kubelet)
        .without_controller(Controller::Namespace)
        .build();
    let owner = post(&sim, CONFIG_MAPS, config_map("owner")).await.ok();
    post(&sim, CONFIG_MAPS, config_map_owned_by("child", &owner)).await.ok();
    delete(&sim, &format!("{CONFIG_MAPS}/owner")).await.ok();
    delete(&sim, "/api/v1/namespaces/x").await.ok();
    let mut placed = pod("placed");
    placed["spec"]["nodeName"] = "node-0".into();
    post(&sim, PODS, placed).await.ok();
    delete(&sim, &format!("{PODS}/placed")).await.ok();
    tokio::time::advance(Duration::from_secs(3600)).await;
    get(&sim, &format!("{CONFIG_MAPS}/child")).await.ok();
    get(&sim, &format!("{PODS}/placed")).await.ok();
    let namespace = get(&sim, "/api/v1/namespaces/x").await.ok();
    assert_eq!(namespace["status"]["phase"], "Terminating");
}

#[tokio::test(start_paused = true)]
async fn a_definition_is_served_after_the_delay_of_the_definition_controller() {
    let sim = Sim::builder().controller_delay(Controller::CustomResourceDefinition, DELAY).build();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }}],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let things = "/apis/example.com/v1/namespaces/default/things";
    post(&sim, definitions, definition).await.ok();
    assert_eq!(get(&sim, things).await.code, 404);
    let path = format!("{definitions}/things.example.com");
    assert_eq!(get(&sim, &path).await.ok()["status"]["conditions"], Value::Null);
    tokio::time::advance(DELAY).await;
    assert_eq!(get(&sim, &path).await.ok()["status"]["acceptedNames"]["plural"], "things");
    get(&sim, things).await.ok();
}

#[tokio::test(start_paused = true)]
async fn a_terminating_pod_is_removed_when_its_last_finalizer_is_removed() {
    let sim = Sim::new();
    let path = format!("{PODS}/held");
    let mut held = pod("held");
    held["spec"]["nodeName"] = "node-0".into();
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&sim, PODS, held).await.ok();
    assert_eq!(delete(&sim, &path).await.ok()["metadata"]["deletionGracePeriodSeconds"], 30);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(get(&sim, &path).await.ok()["metadata"]["deletionGracePeriodSeconds"], 0);
    merge_patch(&sim, &path, json!({"metadata": {"finalizers": null}})).await.ok();
    get(&sim, &path).await.fails(404, "NotFound");
}

#[tokio::test]
async fn a_long_chain_of_owners_is_deleted_in_the_foreground() {
    let sim = Sim::new();
    let mut owner = post(&sim, CONFIG_MAPS, config_map("0")).await.ok();
    for number in 1..1000 {
        owner = post(&sim, CONFIG_MAPS, config_map_owned_by(&number.to_string(), &owner)).await.ok();
    }
    delete(&sim, &format!("{CONFIG_MAPS}/0?propagationPolicy=Foreground")).await.ok();
    assert!(sim.list("v1", "ConfigMap", "default").unwrap().is_empty());
}
