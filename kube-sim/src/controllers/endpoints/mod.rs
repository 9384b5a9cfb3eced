//! The controllers of endpoints: they write the `EndpointSlice` and `Endpoints` objects of services with a selector.

mod endpoints_object;
mod slices;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::objects::{PODS, is_terminating, name, namespace, uid};
use super::owned_objects::{keys_of_objects_that_select, selected_pods};
use super::pods::{is_finished, is_ready, node_name};
use super::{Keys, own_key};
use crate::store::State;
use crate::store::queue::Key;
use crate::store::selector::LabelSelector;
use crate::store::table::Event;

const SERVICES: &str = "/services";
const SLICES: &str = "discovery.k8s.io/endpointslices";
const ENDPOINTS: &str = "/endpoints";

/// The keys of a changed service, of the services that select a changed pod, and of the service of a changed
/// `EndpointSlice` or `Endpoints` object.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        SERVICES => own_key(storage, event),
        PODS => keys_of_objects_that_select(state, SERVICES, event, selector),
        SLICES | ENDPOINTS => {
            let label = event.object.value()["metadata"]["labels"][slices::SERVICE_LABEL].clone();
            let service = label.as_str().unwrap_or(event.object.name()).to_owned();
            let storage_key =
                (Arc::from(SERVICES), crate::store::object::key(event.object.namespace(), &service));
            let found = state.object_at(&storage_key).map(|service| service.uid.clone());
            found.map(|uid| (storage_key, uid, Duration::ZERO)).into_iter().collect()
        }
        _ => Keys::new(),
    }
}

/// The selector of a service; `None` if the service has no selector or its type is `ExternalName`. For such a service,
/// the controllers write no endpoints.
fn selector(service: &Value) -> Option<LabelSelector> {
    let spec = &service["spec"];
    let labels = spec["selector"].as_object().filter(|labels| !labels.is_empty());
    let is_external = spec["type"] == "ExternalName";
    labels.filter(|_| !is_external).map(|labels| LabelSelector::from_json(&json!({"matchLabels": labels})))
}

/// Writes the slices and the `Endpoints` of a service, or deletes the `Endpoints` of a deleted service.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = super::object_of(state, key) else {
        // The garbage collector deletes the slices, which the service owns.
        return endpoints_object::delete(state, key);
    };
    let service = stored.value();
    let Some(selector) = selector(&service).filter(|_| !is_terminating(&service)) else { return };
    let pods = selected_pods(state, namespace(&service), &selector);
    let mut endpoints: Vec<Endpoint> =
        pods.iter().filter_map(|pod| Endpoint::from_pod(state, &service, pod)).collect();
    endpoints.sort_by(|a, b| a.address.cmp(&b.address));
    slices::sync(state, &service, &endpoints);
    endpoints_object::sync(state, &service, &endpoints);
}

/// The endpoint of one pod of a service: the values that an `EndpointSlice` or `Endpoints` object contains.
struct Endpoint {
    address: String,
    is_ready: bool,
    is_serving: bool,
    is_terminating: bool,
    node: String,
    zone: Option<String>,
    hostname: Option<String>,
    target: Value,
    /// The ports of the service on this pod.
    ports: Vec<Value>,
}

impl Endpoint {
    /// The endpoint of a pod; `None` if the pod has no address, or its containers have ended.
    fn from_pod(state: &State, service: &Value, pod: &Value) -> Option<Self> {
        let address = pod["status"]["podIP"].as_str().filter(|ip| !ip.is_empty())?.to_owned();
        if is_finished(pod) {
            return None;
        }
        let publishes_all = service["spec"]["publishNotReadyAddresses"] == true;
        let (is_serving, is_terminating) = (is_ready(pod), is_terminating(pod));
        let node = super::objects::find(state, super::objects::NODES, "", node_name(pod)).unwrap_or_default();
        let zone = node["metadata"]["labels"]["topology.kubernetes.io/zone"].as_str().map(str::to_owned);
        let spec = &pod["spec"];
        let has_hostname = spec["subdomain"].as_str().is_some_and(|subdomain| subdomain == name(service));
        Some(Self {
            address,
            is_ready: (is_serving || publishes_all) && !is_terminating,
            is_serving,
            is_terminating,
            node: node_name(pod).to_owned(),
            zone,
            hostname: spec["hostname"].as_str().filter(|_| has_hostname).map(str::to_owned),
            target: json!({"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)}),
            ports: ports_of(service, pod),
        })
    }
}

/// The ports of a service, with their numbers on a pod. If `targetPort` is a name, it refers to the container
/// port with this name and the same protocol. If the pod has no such container port, the result omits the
/// port of the service.
fn ports_of(service: &Value, pod: &Value) -> Vec<Value> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let resolved = ports.filter_map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        let number = match &port["targetPort"] {
            Value::String(wanted) => {
                let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
                let mut own =
                    containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
                let found = own.find(|own| {
                    own["name"] == wanted.as_str() && own["protocol"].as_str().unwrap_or("TCP") == protocol
                });
                found?["containerPort"].as_i64()?
            }
            Value::Number(number) if number.as_i64() != Some(0) => number.as_i64()?,
            _ => port["port"].as_i64()?,
        };
        let mut resolved = json!({
            "name": port["name"].as_str().unwrap_or_default(), "port": number, "protocol": protocol,
        });
        if let Some(app) = port["appProtocol"].as_str() {
            resolved["appProtocol"] = app.into();
        }
        Some(resolved)
    });
    resolved.collect()
}

/// Groups the endpoints with the same ports. The key of a group is the JSON of its ports.
fn group_by_ports(endpoints: &[Endpoint]) -> BTreeMap<String, Vec<&Endpoint>> {
    let mut groups = BTreeMap::<String, Vec<&Endpoint>>::new();
    for endpoint in endpoints {
        groups.entry(Value::from(endpoint.ports.clone()).to_string()).or_default().push(endpoint);
    }
    groups
}

/// Whether the service has no cluster IP.
fn is_headless(service: &Value) -> bool {
    service["spec"]["clusterIP"] == "None"
}
