//! The `EndpointSlice` objects of a service: at most 100 endpoints each, all with the same ports.

use serde_json::{Value, json};

use super::{Endpoint, SLICES, group_by_ports, is_headless};
use crate::controllers::objects::{name, namespace, storage_key_in, uid};
use crate::controllers::owned_objects::controlled_objects;
use crate::controllers::writes::{self, CONTROLLER_MANAGER, Part};
use crate::store::State;

pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

const MAX_ENDPOINTS_PER_SLICE: usize = 100;

/// Creates, changes and deletes slices so that they contain the endpoints of the service.
pub(super) fn sync(state: &mut State, service: &Value, endpoints: &[Endpoint]) {
    let mut existing = controlled_objects(state, service, SLICES);
    let groups = group_by_ports(endpoints);
    let mut wanted = Vec::new();
    for group in groups.values() {
        for part in group.chunks(MAX_ENDPOINTS_PER_SLICE) {
            wanted.push((
                part[0].ports.clone(),
                part.iter().map(|endpoint| endpoint_item(endpoint)).collect::<Vec<_>>(),
            ));
        }
    }
    if wanted.is_empty() {
        // A service without endpoints has one empty slice.
        wanted.push((Vec::new(), Vec::new()));
    }
    for (ports, items) in wanted {
        // Prefer to change a slice that already has these ports.
        let same = existing.iter().position(|slice| ports_of(slice) == ports);
        let reused = same.or(if existing.is_empty() { None } else { Some(0) });
        match reused.map(|at| existing.remove(at)) {
            Some(slice) => {
                let storage_key = storage_key_in(SLICES, &slice);
                // A failed write is repeated at the next change of a pod.
                let _ = writes::modify(state, &storage_key, Part::Object, CONTROLLER_MANAGER, |stored| {
                    stored["endpoints"] = items.into();
                    stored["ports"] = ports.into();
                    set_labels(stored, service);
                });
            }
            None => create(state, service, &ports, &items),
        }
    }
    for slice in existing {
        writes::delete(state, &storage_key_in(SLICES, &slice));
    }
}

fn ports_of(slice: &Value) -> Vec<Value> {
    slice["ports"].as_array().cloned().unwrap_or_default()
}

fn create(state: &mut State, service: &Value, ports: &[Value], items: &[Value]) {
    let mut slice = json!({
        "metadata": {
            "generateName": format!("{}-", name(service)),
            "namespace": namespace(service),
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Service", "name": name(service), "uid": uid(service),
                "controller": true, "blockOwnerDeletion": true,
            }],
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": state.clock.stamp()},
        },
        "addressType": "IPv4",
        "endpoints": items,
        "ports": ports,
    });
    set_labels(&mut slice, service);
    if let Err(error) = writes::create(state, SLICES, &slice, CONTROLLER_MANAGER) {
        tracing::debug!(%error, service = name(service), "cannot create an endpoint slice");
    }
}

/// Replaces the labels of a slice with the labels of the service. Then adds the labels that the controller
/// defines.
fn set_labels(slice: &mut Value, service: &Value) {
    let own = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let labels = &mut slice["metadata"]["labels"];
    *labels = own.into();
    labels[SERVICE_LABEL] = name(service).into();
    labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io".into();
    if is_headless(service) {
        labels["service.kubernetes.io/headless"] = "".into();
    }
}

/// The item for an endpoint in the field `endpoints` of a slice.
fn endpoint_item(endpoint: &Endpoint) -> Value {
    let mut item = json!({
        "addresses": [endpoint.address],
        "conditions": {
            "ready": endpoint.is_ready, "serving": endpoint.is_serving, "terminating": endpoint.is_terminating,
        },
        "nodeName": endpoint.node,
        "targetRef": endpoint.target,
    });
    if let Some(zone) = &endpoint.zone {
        item["zone"] = zone.as_str().into();
    }
    if let Some(hostname) = &endpoint.hostname {
        item["hostname"] = hostname.as_str().into();
    }
    item
}
