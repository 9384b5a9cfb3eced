//! Tests of the output of the examples that watch built-in kinds.

use crate::support::{Cluster, RunningExample};
use kube_sim::Sim;
use serde_json::{Value, json};

/// Starts an example with an argument.
fn start_with_argument(cluster: &Cluster, example: &str, argument: &str) -> RunningExample {
    let mut command = cluster.home.example_command(example, &cluster.kubeconfig);
    command.arg(argument);
    RunningExample::new(command)
}

fn config_map(name: &str, data: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "default"});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
}

fn secret(name: &str, type_: &str, data: &Value) -> Value {
    let metadata = json!({"name": name, "namespace": "default"});
    json!({"apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": metadata, "data": data})
}

fn event(name: &str, kind: &str, about: &str, note: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": kind, "name": about, "namespace": "default"},
        "type": "Warning", "reason": "Tested", "message": note,
    })
}

#[tokio::test]
async fn node_watcher_prints_the_problems_and_events_of_a_node() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(2).build()).await;
    let mut about = event("full", "Node", "node-1", "the disk is full");
    about["involvedObject"]["namespace"] = Value::Null;
    cluster.create(&about);
    let mut example = cluster.start("node_watcher");
    example.wait_for_stderr("watching nodes").await;
    cluster.edit_object(("v1", "Node", "", "node-1"), |node| {
        node["status"]["conditions"] = json!([
            {"type": "Ready", "status": "Unknown"}, {"type": "DiskPressure", "status": "True"},
            {"type": "MemoryPressure", "status": "False"},
        ]);
    });
    let line = example.wait_for_stdout("DiskPressure").await;
    assert_eq!(line, "node-1: Ready is Unknown, DiskPressure is True");
    assert_eq!(example.wait_for_stdout("disk is full").await, "  the disk is full");
    assert!(!example.stdout().contains("node-0"), "{}", example.stdout());
    example.stop().await;
}

#[tokio::test]
async fn event_watcher_prints_the_events_of_one_object() {
    let cluster = Cluster::new().await;
    cluster.create(&event("a", "Pod", "web", "first"));
    let mut all = cluster.start("event_watcher");
    let mut pod = start_with_argument(&cluster, "event_watcher", "Pod/web");
    assert_eq!(pod.wait_for_stdout("first").await, "Warning Tested: Pod/web: first");
    for (name, kind, about, note) in
        [("b", "Pod", "other", "second"), ("c", "Node", "web", "third"), ("d", "Pod", "web", "fourth")]
    {
        cluster.create(&event(name, kind, about, note));
    }
    pod.wait_for_stdout("Pod/web: fourth").await;
    assert_eq!(pod.stdout().lines().count(), 2, "{}", pod.stdout());
    all.wait_for_stdout("Node/web: third").await;
    for example in [all, pod] {
        example.stop().await;
    }
}

#[tokio::test]
async fn multi_watcher_prints_objects_of_three_kinds() {
    let cluster = Cluster::new().await;
    cluster.create(&config_map("settings", &json!({})));
    let mut example = cluster.start("multi_watcher");
    example.wait_for_stdout("config map settings").await;
    cluster.create(&secret("login", "Opaque", &json!({"user": "YQ==", "password": "Yg=="})));
    assert_eq!(example.wait_for_stdout("login").await, "secret login: 2 keys");
    let labels = json!({"app": "web"});
    cluster.create(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}},
        },
    }));
    assert_eq!(example.wait_for_stdout("web").await, "deployment web: 3 replicas");
    example.stop().await;
}

#[tokio::test]
async fn dynamic_watcher_watches_the_kind_that_its_argument_names() {
    let cluster = Cluster::new().await;
    let mut example = start_with_argument(&cluster, "dynamic_watcher", "cm");
    example.wait_for_stderr("watching configmaps").await;
    cluster.create(&config_map("settings", &json!({"a": "b"})));
    assert_eq!(example.wait_for_stdout("settings").await, "ConfigMap default/settings: data");
    example.stop().await;
    let failure = start_with_argument(&cluster, "dynamic_watcher", "unicorns").wait_for_failure().await;
    assert_eq!(failure, "error: the server has no resource unicorns");
    let failure = start_with_argument(&cluster, "dynamic_watcher", "bindings").wait_for_failure().await;
    assert_eq!(failure, "error: bindings cannot be watched");
}

#[tokio::test]
async fn secret_reflector_stores_the_secrets_of_a_type() {
    let cluster = Cluster::new().await;
    let tls = json!({"tls.crt": "YQ==", "tls.key": "Yg=="});
    cluster.create(&secret("site", "kubernetes.io/tls", &tls));
    cluster.create(&secret("other", "Opaque", &json!({"a": "YQ=="})));
    let mut example = start_with_argument(&cluster, "secret_reflector", "kubernetes.io/tls");
    example.wait_for_stdout("1 secrets").await;
    assert_eq!(example.wait_for_stdout("site").await, "  default/site: tls.crt tls.key");
    cluster.create(&secret("blog", "kubernetes.io/tls", &tls));
    example.wait_for_stdout("2 secrets").await;
    cluster.delete(("v1", "Secret", "default", "site"));
    example.wait_for_stdout("1 secrets").await;
    example.wait_for_stdout("default/blog").await;
    assert!(!example.stdout().contains("other"), "{}", example.stdout());
    example.stop().await;
}

#[tokio::test]
async fn shared_informers_use_one_watch() {
    let cluster = Cluster::new().await;
    cluster.create(&config_map("settings", &json!({"a": "bcd", "e": "f"})));
    let mut example = cluster.start("shared_informers");
    example.wait_for_stdout("settings: 2 keys").await;
    cluster
        .edit_object(("v1", "ConfigMap", "default", "settings"), |map| map["data"] = json!({"a": "12345"}));
    example.wait_for_stdout("settings: 5 bytes").await;
    cluster.delete(("v1", "ConfigMap", "default", "settings"));
    example.wait_for_stdout("deleted settings").await;
    let watches = cluster.sim.journal().count_of("watch", "configmaps");
    assert_eq!(watches, 1, "{:?}", cluster.sim.journal().entries());
    example.stop().await;
}
