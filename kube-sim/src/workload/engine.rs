//! The steps of the workload simulator. Each step lists the nodes and pods, and runs the simulated components.

use std::collections::VecDeque;

use http::Method;
use serde_json::{Value, json};

use super::{chaos, kubelet, objects};
use crate::Sim;
use crate::clock::Random;

/// The maximum number of Event objects of the simulator. If there are more, the oldest Events are deleted, as a cluster
/// deletes Events after an hour.
const MAX_EVENTS: usize = 300;

/// The field manager of the simulated controllers.
pub(super) const CONTROLLER: &str = "kube-controller-manager";
/// The field manager of the simulated scheduler.
pub(super) const SCHEDULER: &str = "kube-scheduler";
/// The field manager of the simulated kubelets.
pub(super) const KUBELET: &str = "kubelet";
/// The field manager of the simulated user, who changes deployments.
pub(super) const USER: &str = "kubectl-client-side-apply";

/// The state of the workload simulator.
pub(super) struct Engine {
    pub(super) sim: Sim,
    pub(super) random: Random,
    /// Whether the simulator makes random changes.
    pub(super) chaos: bool,
    /// [`Engine::set_up`] adds nodes until the cluster has at least this number of nodes. After that, a random
    /// change of the number of nodes adds a node if there is no node, or if there are fewer nodes than this number.
    /// Otherwise, the change removes a node, but never the last node.
    pub(super) wanted_nodes: usize,
    /// The number in the name of the next node.
    pub(super) next_node: usize,
    /// The number of deployments that [`Engine::set_up`] creates.
    deployments: usize,
    /// The namespaces and names of the Events that the simulator has created and not deleted, oldest first.
    events: VecDeque<(String, String)>,
    /// The number of steps so far.
    pub(super) steps: u64,
}

impl Engine {
    pub(super) fn new(sim: Sim, seed: u64, nodes: usize, deployments: usize, chaos: bool) -> Self {
        Self {
            sim,
            random: Random::seeded(seed),
            chaos,
            wanted_nodes: nodes,
            next_node: 0,
            deployments,
            events: VecDeque::new(),
            steps: 0,
        }
    }

    /// Creates the initial nodes and deployments.
    pub(super) fn set_up(&mut self) {
        let have = self.list("v1", "Node").len();
        self.next_node = have;
        for _ in have..self.wanted_nodes {
            self.add_node();
        }
        for i in 0..self.deployments {
            let namespace = objects::NAMESPACES[i % objects::NAMESPACES.len()];
            let made = json!({"metadata": {"name": namespace}});
            self.write(&Method::POST, "/api/v1/namespaces", USER, &made);
            let deployment = objects::deployment(i);
            self.create_service_account(namespace, &deployment["metadata"]["name"]);
            self.write(
                &Method::POST,
                &format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
                USER,
                &deployment,
            );
        }
    }

    /// Creates a service account for pods. If the controller of service accounts runs, admission refuses pods whose
    /// service account does not exist.
    pub(super) fn create_service_account(&self, namespace: &str, name: &Value) {
        let account = json!({"metadata": {"name": name}});
        self.write(&Method::POST, &format!("/api/v1/namespaces/{namespace}/serviceaccounts"), USER, &account);
    }

    /// Runs one step of each simulated component.
    pub(super) fn step(&mut self) {
        self.steps += 1;
        if self.chaos {
            chaos::make_random_changes(self);
        }
        kubelet::advance_pods(self);
    }

    /// Creates the next node and the Event about its registration.
    pub(super) fn add_node(&mut self) {
        let number = self.next_node;
        self.next_node += 1;
        let name = format!("node-{number}");
        let node = objects::node(&name, number, &self.now());
        self.write(&Method::POST, "/api/v1/nodes", KUBELET, &node);
        self.create_event(
            &json!({"kind": "Node", "name": name}),
            "default",
            "Normal",
            "RegisteredNode",
            &format!("Node {name} event: Registered Node {name} in Controller"),
            "node-controller",
        );
    }

    /// The current time as `metav1.Time`.
    pub(super) fn now(&self) -> String {
        self.sim.stamp()
    }

    /// Lists the objects of a kind in all namespaces; empty if the request fails.
    pub(super) fn list(&self, api_version: &str, kind: &str) -> Vec<Value> {
        self.sim.list(api_version, kind, "").unwrap_or_default()
    }

    /// Writes an object with the field manager `manager`. `None` if the write fails, for example because a client has
    /// deleted the object; the next step acts on the objects that exist then.
    pub(super) fn write(&self, method: &Method, path: &str, manager: &str, body: &Value) -> Option<Value> {
        let content_type =
            if *method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let path = format!("{path}?fieldManager={manager}");
        match self.sim.request(method, &path, content_type, body) {
            Ok(value) => Some(value),
            Err(e) => {
                tracing::debug!(%path, error = %e, "write of the workload failed");
                None
            }
        }
    }

    /// Sends a merge patch with the field manager `manager`.
    pub(super) fn patch(&self, path: &str, manager: &str, body: &Value) -> Option<Value> {
        self.write(&Method::PATCH, path, manager, body)
    }

    /// Deletes an object with a grace period of 0.
    pub(super) fn force_delete(&self, path: &str) {
        let path = format!("{path}?gracePeriodSeconds=0");
        if let Err(e) = self.sim.request(&Method::DELETE, &path, "", &Value::Null) {
            tracing::debug!(%path, error = %e, "deletion by the workload failed");
        }
    }

    /// Creates an Event about an object; `about` is the `involvedObject`.
    pub(super) fn create_event(
        &mut self,
        about: &Value,
        namespace: &str,
        kind: &str,
        reason: &str,
        message: &str,
        source: &str,
    ) {
        let now = self.now();
        let object = about["name"].as_str().unwrap_or_default();
        let name = format!("{object}.{}", &self.random.uid()[..13].replace('-', ""));
        let mut involved = about.clone();
        if involved["apiVersion"].is_null() {
            involved["apiVersion"] = "v1".into();
        }
        if namespace != "default" || involved["kind"] != "Node" {
            involved["namespace"] = namespace.into();
        }
        let event = json!({
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": kind,
            "source": {"component": source},
            "reportingComponent": source,
            "reportingInstance": "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        });
        let path = format!("/api/v1/namespaces/{namespace}/events");
        if self.write(&Method::POST, &path, source, &event).is_some() {
            self.events.push_back((namespace.to_owned(), name));
        }
        if self.events.len() > MAX_EVENTS
            && let Some((namespace, name)) = self.events.pop_front()
        {
            self.force_delete(&format!("/api/v1/namespaces/{namespace}/events/{name}"));
        }
    }
}

/// The `involvedObject` of an Event about `object`.
pub(super) fn object_reference(object: &Value, api_version: &str, kind: &str) -> Value {
    let meta = &object["metadata"];
    json!({
        "apiVersion": api_version, "kind": kind, "name": meta["name"], "uid": meta["uid"],
        "resourceVersion": meta["resourceVersion"],
    })
}

pub(super) fn namespace_and_name(object: &Value) -> (&str, &str) {
    let meta = &object["metadata"];
    (meta["namespace"].as_str().unwrap_or_default(), meta["name"].as_str().unwrap_or_default())
}
