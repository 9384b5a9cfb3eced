//! Tests of the daemon set controller.

use serde_json::{Value, json};

use super::{advance, merge_patch, pod_template, pods, sim};
use kube_sim::Sim;

const DAEMON_SET_PATH: &str = "/apis/apps/v1/namespaces/default/daemonsets/agent";

fn create(sim: &Sim, spec: &Value, annotations: &Value) {
    let mut set =
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": spec});
    set["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    if set["spec"]["template"].is_null() {
        set["spec"]["template"] = pod_template("agent:1", annotations);
    }
    sim.create(&set).unwrap();
}

/// Returns the node and the image of each pod that is not terminating, in the order of the nodes.
fn placements(sim: &Sim) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = pods(sim);
    let live = all.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let mut placements: Vec<_> = live
        .map(|pod| (text(&pod["spec"]["nodeName"]), text(&pod["spec"]["containers"][0]["image"])))
        .collect();
    placements.sort();
    placements
}

fn expected_placements(nodes: &[&str], image: &str) -> Vec<(String, String)> {
    nodes.iter().map(|node| ((*node).to_owned(), image.to_owned())).collect()
}

fn status(sim: &Sim) -> Value {
    sim.get("apps/v1", "DaemonSet", "default", "agent").unwrap()["status"].clone()
}

#[tokio::test(start_paused = true)]
async fn each_eligible_node_has_a_pod() {
    let sim = sim();
    merge_patch(
        &sim,
        "/api/v1/nodes/node-1",
        &json!({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}),
    );
    create(&sim, &json!({}), &json!({}));
    assert_eq!(placements(&sim), expected_placements(&["node-0", "node-2"], "agent:1"));
    assert_eq!(
        (&status(&sim)["desiredNumberScheduled"], &status(&sim)["numberReady"]),
        (&json!(2), &json!(2))
    );
    merge_patch(&sim, "/api/v1/nodes/node-1", &json!({"spec": {"taints": null}}));
    assert_eq!(placements(&sim), expected_placements(&["node-0", "node-1", "node-2"], "agent:1"));
    // The pod of a cordoned node stays. A pod that does not tolerate a `NoExecute` taint is deleted.
    merge_patch(&sim, "/api/v1/nodes/node-0", &json!({"spec": {"unschedulable": true}}));
    merge_patch(
        &sim,
        "/api/v1/nodes/node-2",
        &json!({"spec": {"taints": [{"key": "gpu", "effect": "NoExecute"}]}}),
    );
    advance(2).await;
    assert_eq!(placements(&sim), expected_placements(&["node-0", "node-1"], "agent:1"));
    sim.delete("v1", "Node", "", "node-1").unwrap();
    advance(50).await;
    assert_eq!(placements(&sim), expected_placements(&["node-0"], "agent:1"));
}

#[tokio::test(start_paused = true)]
async fn a_node_selector_limits_the_nodes() {
    let sim = sim();
    merge_patch(&sim, "/api/v1/nodes/node-2", &json!({"metadata": {"labels": {"disk": "ssd"}}}));
    let mut template = pod_template("agent:1", &json!({}));
    template["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    create(&sim, &json!({"template": template}), &json!({}));
    assert_eq!(placements(&sim), expected_placements(&["node-2"], "agent:1"));
    merge_patch(&sim, "/api/v1/nodes/node-2", &json!({"metadata": {"labels": {"disk": null}}}));
    advance(2).await;
    assert_eq!(placements(&sim), expected_placements(&[], "agent:1"));
}

#[tokio::test(start_paused = true)]
async fn an_update_replaces_one_pod_after_the_other() {
    for strategy in [json!({}), json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})] {
        let sim = sim();
        create(&sim, &json!({"updateStrategy": strategy}), &json!({"kube-sim/ready-after": "5s"}));
        advance(6).await;
        assert_eq!(status(&sim)["numberAvailable"], 3);
        merge_patch(
            &sim,
            DAEMON_SET_PATH,
            &json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "agent:2"}]}}}}),
        );
        let least = if strategy["rollingUpdate"].is_object() { 3 } else { 2 };
        let mut steps = 0;
        while placements(&sim) != expected_placements(&["node-0", "node-1", "node-2"], "agent:2")
            || status(&sim)["numberAvailable"] != 3
        {
            let available = status(&sim)["numberAvailable"].as_u64().unwrap_or(0);
            assert!(available >= least, "{available} available of {strategy}");
            steps += 1;
            assert!(steps < 80, "{:?} {}", placements(&sim), status(&sim));
            advance(1).await;
        }
        assert!(steps > 10, "{steps}");
        assert_eq!(status(&sim)["updatedNumberScheduled"], 3);
        assert_eq!(pods(&sim)[0]["metadata"]["labels"]["pod-template-generation"], "2");
    }
}
