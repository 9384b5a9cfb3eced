//! Tests of the taints of nodes, and of the pods on nodes that fail or are deleted.

use serde_json::{Value, json};

use super::{advance, condition, deployment, merge_patch, pods, sim};
use kube_sim::Sim;

fn node(sim: &Sim, name: &str) -> Value {
    sim.get("v1", "Node", "", name).unwrap()
}

fn set_ready_status(sim: &Sim, name: &str, status: &str) {
    let mut conditions = node(sim, name)["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().unwrap() {
        if condition["type"] == "Ready" {
            condition["status"] = status.into();
        }
    }
    merge_patch(sim, &format!("/api/v1/nodes/{name}/status"), &json!({"status": {"conditions": conditions}}));
}

/// Returns the taints of a node, each as `key:effect`.
fn taints(sim: &Sim, name: &str) -> Vec<String> {
    let node = node(sim, name);
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    taints.map(|taint| format!("{}:{}", text(&taint["key"]), text(&taint["effect"]))).collect()
}

#[tokio::test(start_paused = true)]
async fn the_taints_of_a_node_follow_its_conditions() {
    let sim = sim();
    merge_patch(
        &sim,
        "/api/v1/nodes/node-0",
        &json!({"spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]}}),
    );
    merge_patch(&sim, "/api/v1/nodes/node-0", &json!({"spec": {"unschedulable": true}}));
    assert_eq!(taints(&sim, "node-0"), ["own:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"]);
    merge_patch(&sim, "/api/v1/nodes/node-0", &json!({"spec": {"unschedulable": null}}));
    for (status, key) in [("False", "not-ready"), ("Unknown", "unreachable")] {
        set_ready_status(&sim, "node-0", status);
        let expected = ["NoSchedule", "NoExecute"].map(|effect| format!("node.kubernetes.io/{key}:{effect}"));
        assert_eq!(taints(&sim, "node-0")[1..], expected);
    }
    set_ready_status(&sim, "node-0", "True");
    assert_eq!(taints(&sim, "node-0"), ["own:NoSchedule"]);
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_failed_node_are_replaced_after_their_toleration_time() {
    let sim = sim();
    sim.create(&deployment(3, "web:1", &json!({}))).unwrap();
    set_ready_status(&sim, "node-1", "Unknown");
    let on_node = |sim: &Sim| -> Vec<Value> {
        pods(sim).into_iter().filter(|pod| pod["spec"]["nodeName"] == "node-1").collect()
    };
    assert_eq!(condition(&on_node(&sim)[0], "Ready")["status"], "False");
    let web =
        || sim.get("apps/v1", "Deployment", "default", "web").unwrap()["status"]["readyReplicas"].clone();
    assert_eq!(web(), 2);
    advance(299).await;
    assert_eq!(on_node(&sim).len(), 1);
    assert!(on_node(&sim)[0]["metadata"]["deletionTimestamp"].is_null());
    advance(2).await;
    assert_eq!(web(), 3);
    advance(2).await;
    assert_eq!(on_node(&sim), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn a_recovered_node_makes_its_pods_ready_again() {
    let sim = sim();
    sim.create(&deployment(3, "web:1", &json!({}))).unwrap();
    set_ready_status(&sim, "node-1", "False");
    set_ready_status(&sim, "node-1", "True");
    let web = sim.get("apps/v1", "Deployment", "default", "web").unwrap();
    assert_eq!(web["status"]["readyReplicas"], 3);
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_deleted_node_are_replaced() {
    let sim = sim();
    sim.create(&deployment(3, "web:1", &json!({}))).unwrap();
    sim.delete("v1", "Node", "", "node-2").unwrap();
    advance(39).await;
    assert!(pods(&sim).iter().any(|pod| pod["spec"]["nodeName"] == "node-2"));
    advance(2).await;
    let nodes: Vec<Value> = pods(&sim).iter().map(|pod| pod["spec"]["nodeName"].clone()).collect();
    assert_eq!(nodes.len(), 3);
    assert!(!nodes.contains(&json!("node-2")), "{nodes:?}");
}
