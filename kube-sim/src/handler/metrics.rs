//! The resource metrics API (`metrics.k8s.io`), which `kubectl top` reads: the usage of nodes and of the containers of
//! running pods.
//!
//! By default, a container uses half of its requests, and a node uses the sum of its pods plus a constant. A test can
//! set other values.

use std::sync::Arc;

use serde_json::{Value, json};

use super::accept::Shape;
use super::reply::Reply;
use super::target::Target;
use super::{Call, content_type, read, render};
use crate::schema::parse_quantity;
use crate::status::SimError;
use crate::store::State;
use crate::store::object::StoredObject;
use crate::table;
use crate::usage::{Usage, Usages};

/// The usage of a container without requests.
const CONTAINER_WITHOUT_REQUESTS: Usage = Usage { cpu_millicores: 1, memory_bytes: 16 << 20 };

/// The usage of a node without pods.
const NODE_WITHOUT_PODS: Usage = Usage { cpu_millicores: 100, memory_bytes: 512 << 20 };

/// The time that a sample covers.
const WINDOW: &str = "15s";

/// Handles a request for the usage of nodes or pods.
pub(super) fn handle(call: &Call<'_>, verb: &str) -> Result<Reply, SimError> {
    let resource = &call.target.resource;
    let accept = call.negotiate()?;
    let now = call.inner.clock.now();
    let mut state = call.inner.lock();
    let Some(measured) = state.registry.find("", "v1", &resource.plural).cloned() else {
        return Err(SimError::no_such_resource());
    };
    let target = Target { resource: measured, ..call.target.clone() };
    let view = read::view(&mut state, call.request.arrival, call.options, verb)?;
    if verb == "get" {
        let missing = || SimError::not_found(&resource.group, &resource.plural, &target.name);
        let object = read::get(view, &target, call.options).map_err(|_| missing())?;
        let sample = Sampler::new(call, &state).sample(&object).ok_or_else(missing)?;
        let body = render::encode_value(resource, &sample, accept, now);
        return Ok(Reply::whole(http::StatusCode::OK, content_type(accept), body));
    }
    let page = read::list(view, &target, call.options)?.select_page(&target.resource);
    let sampler = Sampler::new(call, &state);
    let items: Vec<Value> = page.objects.iter().filter_map(|object| sampler.sample(object)).collect();
    let metadata = json!({});
    let list = match accept.shape {
        Shape::Table(row_object) => {
            let version = accept.version.api_version();
            let options = table::Options { row_object, version, with_columns: true };
            table::build(resource, table::Objects::List(&items), options, &metadata, now)
        }
        Shape::Partial => {
            let version = accept.version.api_version();
            let items: Vec<_> =
                items.iter().map(|item| table::partial_object_metadata(item, version)).collect();
            json!({"kind": "PartialObjectMetadataList", "apiVersion": version, "metadata": metadata, "items": items})
        }
        Shape::Plain => json!({
            "kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items,
        }),
    };
    Ok(Reply::whole(http::StatusCode::OK, content_type(accept), render::encode(&list, accept.encoding)))
}

/// Creates the samples of a response. A sample has the current usage of one node, or of the containers of
/// one pod.
struct Sampler<'a> {
    call: &'a Call<'a>,
    pods: Vec<Arc<StoredObject>>,
    usages: Usages,
    /// The time of all samples.
    now: String,
}

impl<'a> Sampler<'a> {
    fn new(call: &'a Call<'a>, state: &State) -> Self {
        let is_node = call.target.resource.kind == "NodeMetrics";
        let pods =
            state.table("/pods").filter(|_| is_node).map(|table| table.objects("")).unwrap_or_default();
        Self { call, pods, usages: call.inner.lock_usages().clone(), now: call.inner.clock.stamp() }
    }

    /// The sample of a node, or of a pod; `None` if the pod does not run.
    fn sample(&self, object: &StoredObject) -> Option<Value> {
        let resource = &self.call.target.resource;
        let value = object.value();
        let mut metadata = json!({"name": object.name(), "creationTimestamp": self.now});
        if !object.namespace().is_empty() {
            metadata["namespace"] = object.namespace().into();
        }
        if value["metadata"]["labels"].is_object() {
            metadata["labels"] = value["metadata"]["labels"].clone();
        }
        let mut sample = json!({
            "kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata,
            "timestamp": self.now, "window": WINDOW,
        });
        if resource.kind == "NodeMetrics" {
            sample["usage"] = quantities(self.node_usage(object.name()));
            return Some(sample);
        }
        let containers = self.container_usages(object, &value)?;
        sample["containers"] = containers
            .iter()
            .map(|(name, usage)| json!({"name": name, "usage": quantities(*usage)}))
            .collect();
        if let Ok(Shape::Table(_)) = self.call.negotiate().map(|accept| accept.shape) {
            // The columns of a table show the sum of the containers.
            sample["usage"] = quantities(sum(containers.into_iter().map(|(_, usage)| usage)));
        }
        Some(sample)
    }

    /// The names and usages of the containers of a pod; `None` if the pod does not run.
    fn container_usages(&self, pod: &StoredObject, value: &Value) -> Option<Vec<(String, Usage)>> {
        if value["status"]["phase"] != "Running" {
            return None;
        }
        let usage = |container: &Value| {
            let name = container["name"].as_str().unwrap_or_default();
            let set = self.usages.container_usage([pod.namespace(), pod.name(), name]);
            (name.to_owned(), set.unwrap_or_else(|| half_of_requests(&container["resources"]["requests"])))
        };
        Some(value["spec"]["containers"].as_array().into_iter().flatten().map(usage).collect())
    }

    fn node_usage(&self, name: &str) -> Usage {
        if let Some(usage) = self.usages.node_usage(name) {
            return usage;
        }
        let pods = self.pods.iter().filter_map(|pod| {
            let value = pod.value();
            let is_here = value["spec"]["nodeName"] == name;
            is_here.then(|| self.container_usages(pod, &value)).flatten()
        });
        sum(pods.flatten().map(|(_, usage)| usage)).plus(NODE_WITHOUT_PODS)
    }
}

fn sum(usages: impl Iterator<Item = Usage>) -> Usage {
    usages.fold(Usage::default(), Usage::plus)
}

/// Half of the requests of a container. A resource without a request has the usage in [`CONTAINER_WITHOUT_REQUESTS`].
fn half_of_requests(requests: &Value) -> Usage {
    let half = |resource: &str, unit: i128| {
        let text = requests[resource].as_str()?;
        u64::try_from(parse_quantity(text).ok()? / unit / 2).ok()
    };
    Usage {
        cpu_millicores: half("cpu", 1_000_000).unwrap_or(CONTAINER_WITHOUT_REQUESTS.cpu_millicores),
        memory_bytes: half("memory", 1_000_000_000).unwrap_or(CONTAINER_WITHOUT_REQUESTS.memory_bytes),
    }
}

/// A usage as quantities.
fn quantities(usage: Usage) -> Value {
    json!({"cpu": format!("{}m", usage.cpu_millicores), "memory": format!("{}Ki", usage.memory_bytes / 1024)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_uses_half_of_its_requests() {
        let usage = half_of_requests(&json!({"cpu": "0.5", "memory": "64Mi"}));
        assert_eq!(quantities(usage), json!({"cpu": "250m", "memory": "32768Ki"}));
        assert_eq!(half_of_requests(&Value::Null), CONTAINER_WITHOUT_REQUESTS);
        assert_eq!(
            half_of_requests(&json!({"cpu": "100m"})).memory_bytes,
            CONTAINER_WITHOUT_REQUESTS.memory_bytes
        );
    }
}
