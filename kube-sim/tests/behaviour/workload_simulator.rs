//! Tests of the workload simulator, on a paused clock.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Watch, delete, get, merge_patch, post};
use kube_sim::Sim;
use kube_sim::workload::WorkloadSimulator;
use serde_json::{Value, json};

fn sim_with_fixed_seed() -> Sim {
    Sim::builder().seed(3).start_time("2026-01-01T00:00:00Z".parse().unwrap()).build()
}

#[tokio::test(start_paused = true)]
async fn the_workload_completes_the_rollout_of_a_deployment() {
    let sim = sim_with_fixed_seed();
    let _workload = WorkloadSimulator::builder().nodes(3).deployments(0).calm().start(&sim);
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "i:1"}]},
            },
        },
    });
    post(&sim, path, deployment).await.ok();
    for image in ["i:1", "i:2"] {
        let change = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
        merge_patch(&sim, &format!("{path}/web"), change).await.ok();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let web = get(&sim, &format!("{path}/web")).await.ok();
        let status = &web["status"];
        assert_eq!(status["observedGeneration"], web["metadata"]["generation"]);
        for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
            assert_eq!(status[field], 4, "{field} of {status}");
        }
        let pods = sim.list("v1", "Pod", "default").unwrap();
        let images: BTreeSet<_> =
            pods.iter().map(|p| p["spec"]["containers"][0]["image"].to_string()).collect();
        assert_eq!(images, BTreeSet::from([format!("\"{image}\"")]));
        assert!(pods.iter().all(|p| p["status"]["phase"] == "Running" && p["status"]["podIP"].is_string()));
    }
    delete(&sim, &format!("{path}/web")).await.ok();
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(sim.list("v1", "Pod", "default").unwrap(), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn the_workload_changes_the_cluster_continuously() {
    let sim = sim_with_fixed_seed();
    let _workload = WorkloadSimulator::builder().seed(5).start(&sim);
    let (mut event_types, mut unready_nodes, mut phases) = (BTreeSet::new(), 0, BTreeSet::new());
    let mut pods = Watch::open(&sim, "/api/v1/pods?watch=1&timeoutSeconds=120").await;
    while let Some(event) = pods.next().await {
        event_types.insert(event["type"].to_string());
        phases.insert(event["object"]["status"]["phase"].to_string());
        let state = &event["object"]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        phases.insert(state.to_string());
        if event["type"] == "ADDED" {
            let nodes = sim.list("v1", "Node", "").unwrap();
            unready_nodes = unready_nodes.max(nodes.iter().filter(|n| !is_ready(n)).count());
        }
    }
    assert_eq!(event_types.len(), 3, "{event_types:?}");
    assert!(unready_nodes > 0);
    for wanted in ["Pending", "Running", "Succeeded", "ContainerCreating", "CrashLoopBackOff"] {
        assert!(phases.contains(&format!("\"{wanted}\"")), "{wanted} in {phases:?}");
    }
    let reasons: BTreeSet<String> =
        sim.list("v1", "Event", "").unwrap().iter().map(|e| e["reason"].to_string()).collect();
    assert!(reasons.len() > 5, "{reasons:?}");
    let pod = &sim.list("v1", "Pod", "shop").unwrap()[0];
    assert!(pod["metadata"]["managedFields"].as_array().unwrap().len() >= 2);
    assert!(pod.to_string().len() > 4_000);
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().unwrap();
    conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_run() {
    let mut runs = Vec::new();
    for seed in [9, 9, 10] {
        let sim = sim_with_fixed_seed();
        let workload = WorkloadSimulator::builder().seed(seed).nodes(4).deployments(3).start(&sim);
        tokio::time::sleep(Duration::from_secs(20)).await;
        drop(workload);
        let mut all = Vec::new();
        for (version, kind) in [("v1", "Pod"), ("v1", "Node"), ("v1", "Event"), ("apps/v1", "ReplicaSet")] {
            all.extend(sim.list(version, kind, "").unwrap());
        }
        runs.push((sim.resource_version(), Value::from(all).to_string()));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0].1, runs[2].1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_workload_stops_the_changes() {
    let sim = sim_with_fixed_seed();
    drop(WorkloadSimulator::builder().start(&sim));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let version = sim.resource_version();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(sim.resource_version(), version);
}
