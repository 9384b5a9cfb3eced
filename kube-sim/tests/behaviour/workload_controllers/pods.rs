//! Tests of the lifecycle of pods on nodes.

use serde_json::{Value, json};

use super::{advance, condition, merge_patch, sim};
use kube_sim::Sim;

const POD_PATH: &str = "/api/v1/namespaces/default/pods/a";

fn create(sim: &Sim, annotations: &Value, restart_policy: &str) -> Value {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": annotations},
        "spec": {
            "containers": [{"name": "main", "image": "web:1"}],
            "initContainers": [{"name": "first", "image": "web:1"}],
            "restartPolicy": restart_policy,
        },
    });
    sim.create(&pod).unwrap();
    pod_a(sim)
}

fn pod_a(sim: &Sim) -> Value {
    sim.get("v1", "Pod", "default", "a").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pod_becomes_ready_after_the_time_in_its_annotation() {
    let sim = sim();
    let pod = create(&sim, &json!({"kube-sim/ready-after": "10s"}), "Always");
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(condition(&pod, "Ready")["status"], "False");
    assert_eq!(pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
    advance(11).await;
    let pod = pod_a(&sim);
    assert_eq!(condition(&pod, "Ready")["status"], "True");
    assert_eq!(condition(&pod, "Ready")["lastTransitionTime"], "2026-01-01T00:00:11Z");
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_not_ready_until_its_readiness_gates_pass() {
    let sim = sim();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {
            "containers": [{"name": "main", "image": "web:1"}],
            "readinessGates": [{"conditionType": "example.com/traffic"}],
        },
    });
    sim.create(&pod).unwrap();
    let pod = pod_a(&sim);
    assert_eq!(condition(&pod, "ContainersReady")["status"], "True");
    assert_eq!(condition(&pod, "Ready")["reason"], "ReadinessGatesNotReady");
    let mut conditions = pod["status"]["conditions"].clone();
    conditions.as_array_mut().unwrap().push(json!({"type": "example.com/traffic", "status": "True"}));
    merge_patch(&sim, &format!("{POD_PATH}/status"), &json!({"status": {"conditions": conditions}}));
    let pod = pod_a(&sim);
    assert_eq!(condition(&pod, "Ready")["status"], "True");
    assert_eq!(condition(&pod, "example.com/traffic")["status"], "True");
}

#[tokio::test(start_paused = true)]
async fn a_pod_ends_with_the_exit_code_in_its_annotation() {
    for (code, phase) in [("0", "Succeeded"), ("3", "Failed")] {
        let sim = sim();
        create(&sim, &json!({}), "Never");
        assert_eq!(pod_a(&sim)["status"]["phase"], "Running");
        merge_patch(&sim, POD_PATH, &json!({"metadata": {"annotations": {"kube-sim/exit-code": code}}}));
        let pod = pod_a(&sim);
        assert_eq!(pod["status"]["phase"], phase);
        let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(state["exitCode"].to_string(), code);
        assert_eq!(condition(&pod, "Ready")["status"], "False");
    }
}

#[tokio::test(start_paused = true)]
async fn failing_containers_restart_after_an_increasing_time() {
    let sim = sim();
    create(&sim, &json!({"kube-sim/exit-after": "5s", "kube-sim/exit-code": "1"}), "Always");
    let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap();
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    // The container runs for 5 s, waits for 10 s, runs for 5 s, and waits for 20 s.
    for (seconds, expected, waits) in
        [(5, 1, true), (11, 1, false), (5, 2, true), (12, 2, true), (9, 2, false)]
    {
        advance(seconds).await;
        let pod = pod_a(&sim);
        assert_eq!(restarts(&pod), expected, "{pod}");
        assert_eq!(waiting(&pod) == "CrashLoopBackOff", waits, "{pod}");
        assert_eq!(condition(&pod, "Ready")["status"] == "True", !waits);
    }
}

#[tokio::test(start_paused = true)]
async fn an_annotation_with_an_invalid_duration_is_reported() {
    let sim = sim();
    let pod = create(&sim, &json!({"kube-sim/ready-after": "soon"}), "Always");
    assert_eq!(condition(&pod, "Ready")["status"], "True");
    let events = sim.list("v1", "Event", "default").unwrap();
    let event = events.iter().find(|event| event["reason"] == "InvalidAnnotation").unwrap();
    assert!(event["message"].as_str().unwrap().contains("kube-sim/ready-after: \"soon\" is not a duration"));
}
