//! The resources of a node, and the requests of the pods on it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::controllers::objects::name;
use crate::schema::{self, NANOS_PER_UNIT};

/// Quantities of resources by name, in units of 10^-9.
pub(super) type Resources = BTreeMap<String, i128>;

/// A node with its pods.
pub(in crate::controllers) struct Node {
    object: Value,
    /// `None` if no kubelet has reported the resources of the node. The node then has enough of each resource.
    allocatable: Option<Resources>,
    used: Resources,
    pods: Vec<Value>,
}

impl Node {
    pub(in crate::controllers) fn new(object: Value) -> Self {
        let status = &object["status"];
        let reported =
            [&status["allocatable"], &status["capacity"]].into_iter().find(|list| list.is_object());
        let allocatable = reported.map(quantities);
        Self { object, allocatable, used: Resources::new(), pods: Vec::new() }
    }

    pub(super) fn name(&self) -> &str {
        name(&self.object)
    }

    pub(in crate::controllers) fn object(&self) -> &Value {
        &self.object
    }

    pub(super) fn pods(&self) -> &[Value] {
        &self.pods
    }

    /// Adds a pod to the node, and the requests of the pod to the used resources.
    pub(super) fn add_pod(&mut self, pod: Value) {
        for (resource, quantity) in requested_resources(&pod["spec"]) {
            *self.used.entry(resource).or_default() += quantity;
        }
        self.pods.push(pod);
    }

    /// The reasons why a pod with these requests does not fit on the node, in the words of kube-scheduler, such as
    /// `Too many pods` or `Insufficient cpu`. Empty if the pod fits.
    pub(super) fn resource_problems(&self, wanted: &Resources) -> Vec<String> {
        let Some(allocatable) = &self.allocatable else { return Vec::new() };
        let of = |resources: &Resources, name: &str| resources.get(name).copied().unwrap_or(0);
        let mut missing = Vec::new();
        let slots = of(allocatable, "pods") / NANOS_PER_UNIT;
        if i128::try_from(self.pods.len()).unwrap_or(i128::MAX) + 1 > slots {
            missing.push("Too many pods".to_owned());
        }
        let lacks = |name: &str, quantity: i128| {
            quantity > 0 && quantity > of(allocatable, name) - of(&self.used, name)
        };
        let lacking = wanted.iter().filter(|(name, quantity)| lacks(name, **quantity));
        missing.extend(lacking.map(|(name, _)| format!("Insufficient {name}")));
        missing
    }

    /// The mean of the free shares of cpu and memory after a pod with these requests is added; at most 1. Each pod that
    /// is already on the node reduces the result by 0.001.
    pub(super) fn free_share(&self, wanted: &Resources) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a score needs no precision")]
        let pods = self.pods.len() as f64 / 1_000.0;
        let Some(allocatable) = &self.allocatable else { return 1.0 - pods };
        let share = |name: &str| {
            let of = |resources: &Resources| resources.get(name).copied().unwrap_or(0);
            let (all, used) = (of(allocatable), of(&self.used) + of(wanted));
            #[expect(clippy::cast_precision_loss, reason = "a score needs no precision")]
            let free = if all > 0 { (all - used) as f64 / all as f64 } else { 1.0 };
            free
        };
        f64::midpoint(share("cpu"), share("memory")) - pods
    }
}

/// The resources that a pod requests. The quantity of each resource is the larger of two quantities, plus the
/// overhead of the pod. The first quantity is the sum of the requests of the containers and sidecars. The
/// second quantity is the largest request of an init container that is not a sidecar.
pub(super) fn requested_resources(spec: &Value) -> Resources {
    let mut sum = Resources::new();
    let mut largest = Resources::new();
    let add = |sum: &mut Resources, container: &Value| {
        for (name, quantity) in quantities(&container["resources"]["requests"]) {
            *sum.entry(name).or_default() += quantity;
        }
    };
    for container in spec["containers"].as_array().into_iter().flatten() {
        add(&mut sum, container);
    }
    let init = || spec["initContainers"].as_array().into_iter().flatten();
    for container in init().filter(|container| container["restartPolicy"] == "Always") {
        add(&mut sum, container);
    }
    for container in init().filter(|container| container["restartPolicy"] != "Always") {
        for (name, quantity) in quantities(&container["resources"]["requests"]) {
            let entry = largest.entry(name).or_default();
            *entry = quantity.max(*entry);
        }
    }
    for (name, quantity) in largest {
        let entry = sum.entry(name).or_default();
        *entry = quantity.max(*entry);
    }
    for (name, quantity) in quantities(&spec["overhead"]) {
        *sum.entry(name).or_default() += quantity;
    }
    sum
}

/// The quantities in a `ResourceList`. Skips quantities that do not parse.
fn quantities(list: &Value) -> Resources {
    let pairs = list.as_object().into_iter().flatten();
    let parsed = pairs.filter_map(|(name, quantity)| {
        let text = match quantity {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some((name.clone(), schema::parse_quantity(&text).ok()?))
    });
    parsed.collect()
}
