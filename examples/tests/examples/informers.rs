//! Tests of the output of the informers while the cluster changes.

use crate::support::{Cluster, pod};
use kube_sim::Sim;
use serde_json::json;

/// The API version, kind, namespace and name of the pod `web`.
const WEB_POD: (&str, &str, &str, &str) = ("v1", "Pod", "default", "web");

#[tokio::test]
async fn pod_informer_prints_changes_of_a_pod() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(1).build()).await;
    cluster.create(&pod("web", "node-0"));
    let mut example = cluster.start("pod_informer");
    assert_eq!(example.wait_for_stdout("added").await, "added    default/web: Pending on node-0");
    cluster.edit_object(WEB_POD, |pod| pod["status"]["phase"] = "Running".into());
    cluster.delete(WEB_POD);
    cluster.create(&pod("late", "node-7"));
    assert_eq!(example.wait_for_stdout("modified").await, "modified default/web: Running on node-0");
    assert_eq!(example.wait_for_stdout("deleted").await, "deleted  default/web: Running on node-0");
    assert_eq!(example.wait_for_stdout("added").await, "added    default/late: Pending on node-7");
    example.stop().await;
}

/// Sets the status and the reason of the node condition `Ready`.
fn set_ready_condition(cluster: &Cluster, node: &str, status: &str, reason: &str) {
    cluster.edit_object(("v1", "Node", "", node), |node| {
        for condition in node["status"]["conditions"].as_array_mut().unwrap() {
            if condition["type"] == "Ready" {
                condition["status"] = status.into();
                condition["reason"] = reason.into();
            }
        }
    });
}

#[tokio::test]
async fn node_informer_prints_an_unhealthy_node_with_its_pods_and_events() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(3).build()).await;
    cluster.create(&pod("web", "node-1"));
    cluster.create(&pod("elsewhere", "node-2"));
    cluster.create(&json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "node-1.1", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": "node-1"}, "reason": "Rebooted", "message": "the node was rebooted",
        "type": "Warning",
    }));
    set_ready_condition(&cluster, "node-2", "False", "KubeletNotReady");
    let mut example = cluster.start("node_informer");
    assert_eq!(
        example.wait_for_stdout("node-2").await,
        "node-2 is unhealthy: Ready is False (KubeletNotReady)"
    );
    assert_eq!(example.wait_for_stdout("pod").await, "  pod default/elsewhere");

    set_ready_condition(&cluster, "node-1", "Unknown", "NodeStatusUnknown");
    assert_eq!(
        example.wait_for_stdout("node-1").await,
        "node-1 is unhealthy: Ready is Unknown (NodeStatusUnknown)"
    );
    assert_eq!(example.wait_for_stdout("pod").await, "  pod default/web");
    assert_eq!(example.wait_for_stdout("event").await, "  event Rebooted: the node was rebooted");

    // The example prints nothing for an update that does not change the conditions.
    cluster.edit_object(("v1", "Node", "", "node-1"), |node| {
        node["metadata"]["labels"]["seen"] = "again".into();
    });
    set_ready_condition(&cluster, "node-1", "True", "KubeletReady");
    assert_eq!(example.wait_for_stdout("node-1").await, "node-1 is healthy");
    cluster.delete(("v1", "Node", "", "node-2"));
    assert_eq!(example.wait_for_stdout("node-2").await, "node-2 is deleted");
    assert!(!example.stdout().contains("node-0"), "a healthy node must not be printed\n{}", example.stdout());
    example.stop().await;
}

#[tokio::test]
async fn node_informer_continues_if_listing_pods_is_forbidden() {
    use kube_sim::fault::{Action, Rule};
    let cluster = Cluster::with_sim(Sim::builder().nodes(2).build()).await;
    cluster.sim.faults().add(Rule::new(Action::status(403)).verb("list").resource("pods"));
    set_ready_condition(&cluster, "node-0", "False", "KubeletNotReady");
    let mut example = cluster.start("node_informer");
    example.wait_for_stdout("node-0 is unhealthy").await;
    example.wait_for_stderr("cannot list the pods on node-0: ").await;
    set_ready_condition(&cluster, "node-1", "False", "KubeletNotReady");
    example.wait_for_stdout("node-1 is unhealthy").await;
    example.stop().await;
}
