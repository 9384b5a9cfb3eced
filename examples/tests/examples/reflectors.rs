//! Tests what the reflectors for built-in kinds print while the cluster changes.

use crate::support::{Cluster, pod};
use kube_sim::Sim;
use serde_json::{Value, json};

/// Runs the cases concurrently. Each case waits for several polls of its reflector, and each poll takes ten
/// seconds.
#[tokio::test]
async fn reflectors_print_the_objects() {
    tokio::join!(prints_pods(), prints_nodes(), prints_deployments());
}

async fn prints_pods() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(1).build()).await;
    cluster.create(&pod("web", "node-0"));
    let mut example = cluster.start("pod_reflector");
    assert_eq!(example.wait_for_stdout("pods").await, "1 pods");
    assert_eq!(example.wait_for_stdout("web").await, "  default/web: Pending, 1 containers");
    cluster.create(&pod("api", "node-0"));
    cluster.edit_object(("v1", "Pod", "default", "web"), |pod| pod["status"]["phase"] = "Running".into());
    example.wait_for_stdout("2 pods").await;
    assert_eq!(example.wait_for_stdout("default/").await, "  default/api: Pending, 1 containers");
    assert_eq!(example.wait_for_stdout("default/").await, "  default/web: Running, 1 containers");
    cluster.delete(("v1", "Pod", "default", "web"));
    example.wait_for_stdout("1 pods").await;
    assert_eq!(example.wait_for_stdout("default/").await, "  default/api: Pending, 1 containers");
    example.stop().await;
}

async fn prints_nodes() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(1).build()).await;
    let node = cluster.sim.get("v1", "Node", "", "node-0").unwrap();
    let new = |name: &str, os: &str| {
        let mut node = node.clone();
        node["metadata"] = json!({"name": name, "labels": {"kubernetes.io/os": os}});
        node
    };
    let mut example = cluster.start("node_reflector");
    example.wait_for_stdout("1 nodes").await;
    let line = example.wait_for_stdout("node-0").await;
    assert_eq!(line, "  node-0: 8 cpu, 32792912Ki memory, kubelet v1.37.2");
    cluster.create(&new("node-1", "linux"));
    cluster.create(&new("node-2", "windows"));
    example.wait_for_stdout("2 nodes").await;
    example.wait_for_stdout("  node-1: 8 cpu").await;
    cluster.delete(("v1", "Node", "", "node-0"));
    example.wait_for_stdout("1 nodes").await;
    assert!(!example.stdout().contains("node-2"), "the selector has no effect\n{}", example.stdout());
    example.stop().await;
}

fn deployment(name: &str, replicas: i32) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}},
        },
    })
}

async fn prints_deployments() {
    let cluster = Cluster::new().await;
    cluster.create(&deployment("web", 3));
    let mut example = cluster.start("deployment_reflector");
    example.wait_for_stdout("1 deployments").await;
    let line = example.wait_for_stdout("default/web").await;
    assert_eq!(line, "  default/web: 3 desired, 0 updated, 0 ready, change not observed yet");
    let web = ("apps/v1", "Deployment", "default", "web");
    cluster.edit_object(web, |web| {
        web["status"] =
            json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2});
    });
    let line = example.wait_for_stdout("3 updated").await;
    assert_eq!(line, "  default/web: 3 desired, 3 updated, 2 ready");
    cluster.edit_object(web, |web| {
        web["spec"]["replicas"] = 5.into();
        web["spec"]["paused"] = true.into();
        web["spec"]["minReadySeconds"] = 7.into();
    });
    let line = example.wait_for_stdout("5 desired").await;
    let state = "5 desired, 3 updated, 2 ready (minReadySeconds 7), paused, change not observed yet";
    assert_eq!(line, format!("  default/web: {state}"));
    cluster.delete(web);
    example.wait_for_stdout("0 deployments").await;
    example.stop().await;
}
