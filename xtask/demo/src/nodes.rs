//! The node informer: finds nodes that are not ready, and lists the pods on them.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod};
use kube_client::api::{ListParams, WatchEvent};
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::Informer;
use kube_runtime::reflector::Store;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::tally::Tally;

/// Starts an informer for all nodes, and returns the informer's store.
pub(super) fn start_informer(tasks: &mut JoinSet<()>, client: Client, tally: Arc<Tally>) -> Store<Node> {
    let mut informer = Informer::new(Api::<Node>::all(client.clone()));
    let store = informer.store();
    tasks.spawn(async move {
        let mut observer = NodeObserver { pods: Api::all(client), broken: HashMap::new(), tally };
        while let Some(event) = informer.next().await {
            match event {
                Ok(event) => observer.handle_event(event).await,
                Err(error) => observer.tally.record_watch_error("nodes", error),
            }
        }
    });
    store
}

/// The `Ready` condition of a node, if it is present and not true.
pub(super) fn not_ready_condition(node: &Node) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready" && condition.status != "True")
}

/// Counts the events of the node informer, and records which nodes are not ready.
struct NodeObserver {
    pods: Api<Pod>,
    /// The nodes that are not ready, by name. The value is the time at which the informer reported that the node was not
    /// ready.
    broken: HashMap<String, Instant>,
    tally: Arc<Tally>,
}

impl NodeObserver {
    /// Counts an event. Displays a message if the node's readiness has changed, or if the node was deleted.
    async fn handle_event(&mut self, event: WatchEvent<Arc<Node>>) {
        match event {
            WatchEvent::Added(node) => {
                self.tally.nodes_added.increment();
                self.report_readiness_change(&node).await;
            }
            WatchEvent::Modified(node) => {
                self.tally.nodes_modified.increment();
                self.report_readiness_change(&node).await;
            }
            WatchEvent::Deleted(node) => {
                self.tally.nodes_deleted.increment();
                self.broken.remove(&node.name_any());
                self.tally.send_message(format!("{} left the cluster", node.name_any()));
            }
            // Ignore `WatchEvent::Error`: for each ERROR event of a watch, the informer returns this event and also an
            // `Err` item. The loop in `start_informer` counts the `Err` item.
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
        }
    }

    /// Counts and displays a change of the node's readiness, if there is one.
    async fn report_readiness_change(&mut self, node: &Node) {
        let name = node.name_any();
        match (not_ready_condition(node), self.broken.contains_key(&name)) {
            (Some(condition), false) => {
                self.broken.insert(name.clone(), Instant::now());
                self.tally.nodes_broken.increment();
                let reason = condition.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
                let pods = self.describe_pods_on(&name).await;
                self.tally.send_message(format!("{name} broke: {reason}; {pods}"));
            }
            (None, true) => {
                self.tally.nodes_healed.increment();
                let since = self.broken.remove(&name);
                let took = since.map(|since| since.elapsed().as_secs_f32()).unwrap_or_default();
                self.tally.send_message(format!("{name} is ready again after {took:.1} s"));
            }
            _ => {}
        }
    }

    /// Lists the pods on a node, and returns a text with the number of pods or with the error.
    async fn describe_pods_on(&self, node: &str) -> String {
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        match self.pods.list(&params).await {
            Ok(list) => format!("{} pods are on this node", list.items.len()),
            Err(error) => format!("its pods cannot be listed: {:#}", anyhow::Error::from(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_reason(conditions: &serde_json::Value, expected: Option<&str>) {
        let node = serde_json::json!({ "metadata": {}, "status": { "conditions": conditions } });
        let node: Node = serde_json::from_value(node).unwrap();
        assert_eq!(not_ready_condition(&node).and_then(|condition| condition.reason.as_deref()), expected);
    }

    #[test]
    fn a_node_is_not_ready_if_its_ready_condition_is_false_or_unknown() {
        let condition = |kind: &str, status: &str| serde_json::json!({ "type": kind, "status": status, "reason": format!("{kind}{status}") });
        check_reason(
            &serde_json::json!([condition("DiskPressure", "True"), condition("Ready", "True")]),
            None,
        );
        check_reason(&serde_json::json!([condition("Ready", "False")]), Some("ReadyFalse"));
        check_reason(&serde_json::json!([condition("Ready", "Unknown")]), Some("ReadyUnknown"));
        check_reason(&serde_json::json!([]), None);
    }
}
