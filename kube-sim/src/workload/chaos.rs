//! Random changes: nodes fail, recover, are added and removed; deployments are updated and scaled; batch pods are
//! created.

use http::Method;
use serde_json::{Value, json};

use super::engine::{CONTROLLER, Engine, KUBELET, USER, namespace_and_name};
use super::kubelet::is_condition_true;
use super::objects;

/// The label of the deployments that the simulator creates. Random changes must not scale or update any other
/// deployment.
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Makes the random changes of one step.
pub(super) fn make_random_changes(engine: &mut Engine) {
    let nodes = engine.list("v1", "Node");
    update_heartbeat(engine, &nodes);
    for node in nodes.iter().filter(|n| !is_condition_true(n, "Ready")) {
        if engine.random.below(12) == 0 {
            change_readiness(engine, node, "True");
        }
    }
    if engine.steps % 8 == 5 {
        fail_random_node(engine, &nodes);
    }
    if engine.steps % 40 == 20 {
        add_or_remove_node(engine, &nodes);
    }
    if engine.steps % 15 == 7 {
        change_random_deployment(engine);
    }
    if engine.steps % 12 == 3 {
        let path = "/api/v1/namespaces/batch/pods";
        let made = json!({"metadata": {"name": "batch"}});
        if engine.sim.get("v1", "Namespace", "", "batch").is_err() {
            engine.write(&Method::POST, "/api/v1/namespaces", USER, &made);
            engine.create_service_account("batch", &json!("report"));
        }
        engine.write(&Method::POST, path, "cronjob-controller", &objects::batch_pod());
    }
}

/// A random item of `from`; `None` if `from` is empty.
fn random_item<'a>(engine: &mut Engine, from: &'a [Value]) -> Option<&'a Value> {
    let at = engine.random.below(from.len() as u64);
    from.get(usize::try_from(at).unwrap_or(0))
}

/// Updates the heartbeat of a random node, if the node is ready.
fn update_heartbeat(engine: &mut Engine, nodes: &[Value]) {
    let Some(node) = random_item(engine, nodes) else { return };
    if !is_condition_true(node, "Ready") {
        return;
    }
    let now = engine.now();
    let mut conditions = node["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().into_iter().flatten() {
        condition["lastHeartbeatTime"] = now.as_str().into();
    }
    let path = format!("/api/v1/nodes/{}/status", namespace_and_name(node).1);
    engine.patch(&path, KUBELET, &json!({"status": {"conditions": conditions}}));
}

/// Makes a random node fail, if the node is ready and fewer than a third of the nodes have failed.
fn fail_random_node(engine: &mut Engine, nodes: &[Value]) {
    let broken = nodes.iter().filter(|n| !is_condition_true(n, "Ready")).count();
    if broken * 3 >= nodes.len() {
        return;
    }
    let Some(node) = random_item(engine, nodes) else { return };
    if is_condition_true(node, "Ready") {
        let silent = engine.random.below(2) == 0;
        change_readiness(engine, node, if silent { "Unknown" } else { "False" });
    }
}

/// Sets the condition `Ready` of a node, with a reason and a message. If the status is `Unknown`, also sets the other
/// conditions, as the node controller does. If the status is `True`, also changes each pressure condition
/// whose status is `Unknown`: the new status is `False`, and [`objects::HEALTHY_CONDITIONS`] has the reason
/// and the message that a kubelet without resource pressure writes.
fn change_conditions(conditions: &mut Value, status: &str, (reason, message): (&str, &str), now: &str) {
    for condition in conditions.as_array_mut().into_iter().flatten() {
        let (status, reason, message) = if condition["type"] == "Ready" || status == "Unknown" {
            (status, reason, message)
        } else if status == "True" && condition["status"] == "Unknown" {
            let healthy = objects::HEALTHY_CONDITIONS.iter().find(|(kind, ..)| condition["type"] == *kind);
            let Some((_, reason, message)) = healthy else { continue };
            ("False", *reason, *message)
        } else {
            continue;
        };
        condition["status"] = status.into();
        condition["reason"] = reason.into();
        condition["message"] = message.into();
        condition["lastTransitionTime"] = now.into();
    }
}

/// Sets the readiness, the conditions and the taints of a node, and creates an Event about it.
fn change_readiness(engine: &mut Engine, node: &Value, status: &str) {
    let now = engine.now();
    let (reason, message, taint) = match status {
        "True" => ("KubeletReady", "kubelet is posting ready status", None),
        "False" => (
            "KubeletNotReady",
            "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
            Some("node.kubernetes.io/not-ready"),
        ),
        _ => (
            "NodeStatusUnknown",
            "Kubelet stopped posting node status.",
            Some("node.kubernetes.io/unreachable"),
        ),
    };
    let mut conditions = node["status"]["conditions"].clone();
    change_conditions(&mut conditions, status, (reason, message), &now);
    let name = namespace_and_name(node).1;
    let path = format!("/api/v1/nodes/{name}");
    let manager = if status == "Unknown" { CONTROLLER } else { KUBELET };
    engine.patch(&format!("{path}/status"), manager, &json!({"status": {"conditions": conditions}}));
    let taints = match taint {
        Some(key) => json!([
            {"key": key, "effect": "NoSchedule", "timeAdded": now},
            {"key": key, "effect": "NoExecute", "timeAdded": now},
        ]),
        None => Value::Null,
    };
    engine.patch(&path, CONTROLLER, &json!({"spec": {"taints": taints}}));
    let about = json!({"kind": "Node", "name": name, "uid": node["metadata"]["uid"]});
    let (kind, reason) = if status == "True" { ("Normal", "NodeReady") } else { ("Warning", "NodeNotReady") };
    let text = format!("Node {name} status is now: {reason}");
    engine.create_event(&about, "default", kind, reason, &text, "node-controller");
}

/// Adds a node if there are fewer nodes than wanted. Otherwise, removes a random node if more than one node exists.
fn add_or_remove_node(engine: &mut Engine, nodes: &[Value]) {
    if nodes.len() < engine.wanted_nodes.max(1) {
        engine.add_node();
    } else if let Some(node) = random_item(engine, nodes).filter(|_| nodes.len() > 1) {
        let name = namespace_and_name(node).1;
        engine.force_delete(&format!("/api/v1/nodes/{name}"));
        let about = json!({"kind": "Node", "name": name, "uid": node["metadata"]["uid"]});
        let text = format!("Node {name} event: Removing Node {name} from Controller");
        engine.create_event(&about, "default", "Normal", "RemovingNode", &text, "node-controller");
    }
}

/// Changes the image or the replicas of a random deployment of the simulator.
fn change_random_deployment(engine: &mut Engine) {
    let ours: Vec<Value> = engine
        .list("apps/v1", "Deployment")
        .into_iter()
        .filter(|d| d["metadata"]["labels"][MANAGED_BY_LABEL] == "kube-sim")
        .collect();
    let Some(deployment) = random_item(engine, &ours) else { return };
    let (namespace, name) = namespace_and_name(deployment);
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
    if engine.random.below(3) == 0 {
        let replicas = 2 + engine.random.below(5);
        engine.patch(&path, USER, &json!({"spec": {"replicas": replicas}}));
        return;
    }
    let mut containers = deployment["spec"]["template"]["spec"]["containers"].clone();
    let version = format!("registry.example.com/{name}:1.{}.{}", engine.steps, engine.random.below(10));
    containers[0]["image"] = version.into();
    let body = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    engine.patch(&path, USER, &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conditions_of_a_recovered_node_are_those_of_a_new_node() {
        let created = objects::node("n", 1, "2026-01-01T00:00:00Z")["status"]["conditions"].clone();
        let mut conditions = created.clone();
        let now = "2026-01-01T00:00:00Z";
        change_conditions(&mut conditions, "Unknown", ("NodeStatusUnknown", "silent"), now);
        for condition in conditions.as_array().unwrap() {
            assert_eq!(
                (&condition["status"], &condition["reason"]),
                (&json!("Unknown"), &json!("NodeStatusUnknown"))
            );
        }
        change_conditions(&mut conditions, "True", ("KubeletReady", "kubelet is posting ready status"), now);
        assert_eq!(conditions, created);
    }
}
