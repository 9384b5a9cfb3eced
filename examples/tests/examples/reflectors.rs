//! What the reflectors of built-in kinds print while the cluster changes.

use crate::support::{Cluster, pod};
use kube_sim::Sim;
use serde_json::{Value, json};

/// Together, since each mostly waits for polls of ten seconds.
#[tokio::test]
async fn reflectors_print_what_is_there() {
    tokio::join!(pods(), nodes(), deployments());
}

async fn pods() {
    let cluster = Cluster::of(Sim::builder().nodes(1).build()).await;
    cluster.create(&pod("web", "node-0"));
    let mut example = cluster.start("pod_reflector");
    assert_eq!(example.says("pods").await, "1 pods");
    assert_eq!(example.says("web").await, "  default/web: Pending, 1 containers");
    cluster.create(&pod("api", "node-0"));
    cluster.change(("v1", "Pod", "default", "web"), |pod| pod["status"]["phase"] = "Running".into());
    example.says("2 pods").await;
    assert_eq!(example.says("default/").await, "  default/api: Pending, 1 containers");
    assert_eq!(example.says("default/").await, "  default/web: Running, 1 containers");
    cluster.delete(("v1", "Pod", "default", "web"));
    example.says("1 pods").await;
    assert_eq!(example.says("default/").await, "  default/api: Pending, 1 containers");
    example.stop().await;
}

async fn nodes() {
    let cluster = Cluster::of(Sim::builder().nodes(1).build()).await;
    let node = cluster.sim.get("v1", "Node", "", "node-0").unwrap();
    let new = |name: &str, os: &str| {
        let mut node = node.clone();
        node["metadata"] = json!({"name": name, "labels": {"kubernetes.io/os": os}});
        node
    };
    let mut example = cluster.start("node_reflector");
    example.says("1 nodes").await;
    let line = example.says("node-0").await;
    assert_eq!(line, "  node-0: 8 cpu, 32792912Ki memory, kubelet v1.37.2");
    cluster.create(&new("node-1", "linux"));
    cluster.create(&new("node-2", "windows"));
    example.says("2 nodes").await;
    example.says("  node-1: 8 cpu").await;
    cluster.delete(("v1", "Node", "", "node-0"));
    example.says("1 nodes").await;
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

async fn deployments() {
    let cluster = Cluster::new().await;
    cluster.create(&deployment("web", 3));
    let mut example = cluster.start("deployment_reflector");
    example.says("1 deployments").await;
    let line = example.says("default/web").await;
    assert_eq!(line, "  default/web: 3 wanted, 0 updated, 0 ready, change not noticed yet");
    let web = ("apps/v1", "Deployment", "default", "web");
    cluster.change(web, |web| {
        web["status"] =
            json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2});
    });
    let line = example.says("3 updated").await;
    assert_eq!(line, "  default/web: 3 wanted, 3 updated, 2 ready");
    cluster.change(web, |web| {
        web["spec"]["replicas"] = 5.into();
        web["spec"]["paused"] = true.into();
        web["spec"]["minReadySeconds"] = 7.into();
    });
    let line = example.says("5 wanted").await;
    let state = "5 wanted, 3 updated, 2 ready (to be so for 7 s), paused, change not noticed yet";
    assert_eq!(line, format!("  default/web: {state}"));
    cluster.delete(web);
    example.says("0 deployments").await;
    example.stop().await;
}
