//! Tests of the scheduler.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{condition, merge_patch, pods, sim};
use kube_sim::Sim;

/// Creates a pod with this spec. Returns the name of the node of the pod, or `None` if the pod is not bound to a node.
fn schedule(sim: &Sim, name: &str, spec: &Value) -> Option<String> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec,
    });
    if pod["spec"]["containers"].is_null() {
        pod["spec"]["containers"] = json!([{"name": "main", "image": "web:1"}]);
    }
    sim.create(&pod).unwrap();
    let pod = sim.get("v1", "Pod", "default", name).unwrap();
    pod["spec"]["nodeName"].as_str().map(str::to_owned)
}

fn unschedulable_message(sim: &Sim, name: &str) -> String {
    let pod = sim.get("v1", "Pod", "default", name).unwrap();
    assert_eq!(condition(&pod, "PodScheduled")["reason"], "Unschedulable");
    condition(&pod, "PodScheduled")["message"].as_str().unwrap().to_owned()
}

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

#[tokio::test(start_paused = true)]
async fn pods_are_spread_over_the_nodes() {
    let sim = sim();
    let mut counts = BTreeMap::<String, usize>::new();
    for number in 0..6 {
        *counts.entry(schedule(&sim, &format!("a{number}"), &json!({})).unwrap()).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_a_node_with_sufficient_resources() {
    let sim = sim();
    let requests = |cpu: &str| json!({"containers": [{"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}]});
    for number in 0..3 {
        assert!(schedule(&sim, &format!("large{number}"), &requests("5")).is_some());
    }
    assert_eq!(schedule(&sim, "waiting", &requests("4")), None);
    assert_eq!(unschedulable_message(&sim, "waiting"), "0/3 nodes are available: 3 Insufficient cpu.");
    sim.request(
        &http::Method::DELETE,
        "/api/v1/namespaces/default/pods/large1?gracePeriodSeconds=0",
        "",
        &Value::Null,
    )
    .unwrap();
    assert!(sim.get("v1", "Pod", "default", "waiting").unwrap()["spec"]["nodeName"].is_string());
}

#[tokio::test(start_paused = true)]
async fn taints_and_cordons_repel_pods_without_tolerations() {
    let sim = sim();
    let taint = json!([{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]);
    merge_patch(&sim, &node_path("node-0"), &json!({"spec": {"taints": taint}}));
    merge_patch(&sim, &node_path("node-1"), &json!({"spec": {"unschedulable": true}}));
    merge_patch(&sim, &node_path("node-2"), &json!({"spec": {"unschedulable": true}}));
    assert_eq!(schedule(&sim, "a", &json!({})), None);
    assert_eq!(
        unschedulable_message(&sim, "a"),
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) were unschedulable."
    );
    for (name, toleration) in [
        ("equal", json!({"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"})),
        ("exists", json!({"key": "dedicated", "operator": "Exists"})),
    ] {
        assert_eq!(schedule(&sim, name, &json!({"tolerations": [toleration]})).as_deref(), Some("node-0"));
    }
    merge_patch(&sim, &node_path("node-2"), &json!({"spec": {"unschedulable": null}}));
    assert_eq!(sim.get("v1", "Pod", "default", "a").unwrap()["spec"]["nodeName"], "node-2");
}

#[tokio::test(start_paused = true)]
async fn node_selectors_and_required_affinities_select_nodes() {
    let sim = sim();
    merge_patch(&sim, &node_path("node-1"), &json!({"metadata": {"labels": {"disk": "ssd", "size": "7"}}}));
    let required = |expressions: Value| {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": expressions}],
        }}}})
    };
    for (name, spec, expected) in [
        ("selector", json!({"nodeSelector": {"disk": "ssd"}}), Some("node-1")),
        ("none", json!({"nodeSelector": {"disk": "tape"}}), None),
        (
            "in",
            required(json!([{"key": "disk", "operator": "In", "values": ["ssd", "nvme"]}])),
            Some("node-1"),
        ),
        ("above", required(json!([{"key": "size", "operator": "Gt", "values": ["7"]}])), None),
        ("below", required(json!([{"key": "size", "operator": "Lt", "values": ["8"]}])), Some("node-1")),
    ] {
        assert_eq!(schedule(&sim, name, &spec).as_deref(), expected, "{name}");
    }
    assert_eq!(
        unschedulable_message(&sim, "none"),
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_anti_affinity_keeps_pods_on_different_nodes() {
    let sim = sim();
    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}},
    }]}}});
    let mut nodes: Vec<_> = (0..3).map(|n| schedule(&sim, &format!("a{n}"), &apart).unwrap()).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 3);
    assert_eq!(schedule(&sim, "a3", &apart), None);
    assert_eq!(pods(&sim).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pod_affinity_selects_namespaces_by_their_labels() {
    let sim = sim();
    let namespace = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other", "labels": labels}});
    sim.create(&namespace(json!({"team": "a"}))).unwrap();
    let target = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "namespace": "other", "labels": {"app": "db"}},
        "spec": {"containers": [{"name": "main", "image": "db:1"}]},
    });
    sim.create(&target).unwrap();
    let node = sim.get("v1", "Pod", "other", "db").unwrap()["spec"]["nodeName"].as_str().unwrap().to_owned();
    let near = |fields: Value| {
        let mut term =
            json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}});
        for (field, value) in fields.as_object().unwrap() {
            term[field] = value.clone();
        }
        json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}})
    };
    let of_team = |team: &str| json!({"namespaceSelector": {"matchLabels": {"team": team}}});
    for (name, fields) in [
        ("selected", of_team("a")),
        ("all", json!({"namespaceSelector": {}})),
        ("listed", json!({"namespaces": ["other"]})),
        ("both", json!({"namespaces": ["other"], "namespaceSelector": {"matchLabels": {"team": "b"}}})),
    ] {
        assert_eq!(schedule(&sim, name, &near(fields)).as_deref(), Some(node.as_str()), "{name}");
    }
    assert_eq!(schedule(&sim, "own", &near(json!({}))), None);
    assert_eq!(schedule(&sim, "waiting", &near(of_team("b"))), None);
    assert_eq!(
        unschedulable_message(&sim, "waiting"),
        "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."
    );
    merge_patch(&sim, "/api/v1/namespaces/other", &json!({"metadata": {"labels": {"team": "b"}}}));
    assert_eq!(sim.get("v1", "Pod", "default", "waiting").unwrap()["spec"]["nodeName"], node.as_str());
}

#[tokio::test(start_paused = true)]
async fn spread_constraints_limit_the_skew_of_domains() {
    let sim = sim();
    let names: Vec<String> = sim
        .list("v1", "Node", "")
        .unwrap()
        .iter()
        .map(|n| n["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    for (name, zone) in names.iter().zip(["a", "a", "b"]) {
        merge_patch(&sim, &node_path(name), &json!({"metadata": {"labels": {"zone": zone}}}));
    }
    let spread = |fields: Value| {
        let mut constraint = json!({
            "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        });
        for (field, value) in fields.as_object().unwrap() {
            constraint[field] = value.clone();
        }
        json!({"topologySpreadConstraints": [constraint]})
    };
    let count = |zone_b: bool| {
        let on_b = |pod: &&Value| pod["spec"]["nodeName"] == names[2].as_str();
        pods(&sim).iter().filter(|pod| !pod["spec"]["nodeName"].is_null() && on_b(pod) == zone_b).count()
    };
    for number in 0..6 {
        assert!(schedule(&sim, &format!("a{number}"), &spread(json!({}))).is_some());
    }
    assert_eq!((count(false), count(true)), (3, 3));
    merge_patch(&sim, &node_path(&names[2]), &json!({"spec": {"unschedulable": true}}));
    assert!(schedule(&sim, "b0", &spread(json!({}))).is_some());
    assert_eq!(schedule(&sim, "b1", &spread(json!({}))), None);
    assert_eq!(
        unschedulable_message(&sim, "b1"),
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread constraints."
    );
    assert!(schedule(&sim, "wide", &spread(json!({"maxSkew": 2}))).is_some());
    assert!(schedule(&sim, "soft", &spread(json!({"whenUnsatisfiable": "ScheduleAnyway"}))).is_some());
    assert_eq!(schedule(&sim, "few", &spread(json!({"maxSkew": 2, "minDomains": 3}))), None);
    assert_eq!(schedule(&sim, "none", &spread(json!({"topologyKey": "rack"}))), None);
    assert!(
        unschedulable_message(&sim, "none")
            .contains("2 node(s) didn't match pod topology spread constraints (missing required label)")
    );
}

#[tokio::test(start_paused = true)]
async fn gated_pods_and_pods_of_other_schedulers_are_not_bound() {
    let sim = sim();
    assert_eq!(schedule(&sim, "other", &json!({"schedulerName": "other"})), None);
    assert_eq!(schedule(&sim, "gated", &json!({"schedulingGates": [{"name": "example.com/gate"}]})), None);
    merge_patch(&sim, "/api/v1/namespaces/default/pods/gated", &json!({"spec": {"schedulingGates": []}}));
    assert!(sim.get("v1", "Pod", "default", "gated").unwrap()["spec"]["nodeName"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_for_a_pod_that_its_affinity_requires() {
    let sim = sim();
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"role": "cache"}},
    }]}}});
    let bound_node = |name: &str| sim.get("v1", "Pod", "default", name).unwrap()["spec"]["nodeName"].clone();
    let cache = |name: &str, role: &str, spec: Value| {
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"role": role}}});
        pod["spec"] = spec;
        pod["spec"]["containers"] = json!([{"name": "main", "image": "cache:1"}]);
        sim.create(&pod).unwrap();
    };
    assert_eq!(schedule(&sim, "waiting", &near), None);
    // The scheduler binds the pod `cache` to any node.
    cache("cache", "cache", json!({}));
    assert_eq!(bound_node("waiting"), bound_node("cache"));
    assert!(bound_node("waiting").is_string());
    for name in ["waiting", "cache"] {
        let path = format!("/api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0");
        sim.request(&http::Method::DELETE, &path, "", &Value::Null).unwrap();
    }
    // The pod `cache` is created with `spec.nodeName`.
    assert_eq!(schedule(&sim, "waiting", &near), None);
    cache("cache", "cache", json!({"nodeName": "node-2"}));
    assert_eq!(bound_node("waiting"), "node-2");
    // The labels of the pod `cache` change.
    for name in ["waiting", "cache"] {
        let path = format!("/api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0");
        sim.request(&http::Method::DELETE, &path, "", &Value::Null).unwrap();
    }
    assert_eq!(schedule(&sim, "waiting", &near), None);
    cache("cache", "store", json!({"nodeName": "node-1"}));
    assert_eq!(bound_node("waiting"), Value::Null);
    merge_patch(
        &sim,
        "/api/v1/namespaces/default/pods/cache",
        &json!({"metadata": {"labels": {"role": "cache"}}}),
    );
    assert_eq!(bound_node("waiting"), "node-1");
}
