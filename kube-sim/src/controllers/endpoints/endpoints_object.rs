//! The `Endpoints` object of a service. The object has the name of the service.

use serde_json::{Value, json};

use super::{ENDPOINTS, Endpoint, group_by_ports, is_headless};
use crate::controllers::objects::{name, namespace};
use crate::controllers::writes::{self, CONTROLLER_MANAGER};
use crate::store::queue::Key;
use crate::store::{State, StorageKey};

/// The label of the objects that this controller writes.
const MANAGED_BY_LABEL: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");

/// Creates or changes the `Endpoints` of a service.
pub(super) fn sync(state: &mut State, service: &Value, endpoints: &[Endpoint]) {
    // `Endpoints` contain no terminating pods, so `subset` omits them.
    let groups = group_by_ports(endpoints).into_values();
    let subsets: Vec<Value> = groups.filter_map(|group| subset(&group)).collect();
    let object = json!({"metadata": {"name": name(service), "namespace": namespace(service)}});
    let change = |object: &mut Value| {
        if subsets.is_empty() {
            object.as_object_mut().map(|object| object.remove("subsets"));
        } else {
            object["subsets"] = subsets.into();
        }
        let own = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
        let labels = &mut object["metadata"]["labels"];
        *labels = own.into();
        labels[MANAGED_BY_LABEL.0] = MANAGED_BY_LABEL.1.into();
        if is_headless(service) {
            labels["service.kubernetes.io/headless"] = "".into();
        }
    };
    if let Err(error) = writes::create_or_modify(state, ENDPOINTS, object, CONTROLLER_MANAGER, change) {
        tracing::debug!(%error, service = name(service), "cannot write endpoints");
    }
}

/// Deletes the `Endpoints` of a deleted service, if this controller wrote them.
pub(super) fn delete(state: &mut State, key: &Key) {
    if state.object_at(&key.object).is_some() {
        // A new service with the same name exists.
        return;
    }
    let storage_key: StorageKey = (ENDPOINTS.into(), key.object.1.clone());
    let own = state.object_at(&storage_key).map(|object| object.value());
    if own.is_some_and(|own| own["metadata"]["labels"][MANAGED_BY_LABEL.0] == MANAGED_BY_LABEL.1) {
        writes::delete(state, &storage_key);
    }
}

/// The item of `subsets` for endpoints with the same ports; `None` if all of them are terminating.
fn subset(group: &[&Endpoint]) -> Option<Value> {
    let address = |endpoint: &&&Endpoint| {
        let mut address =
            json!({"ip": endpoint.address, "nodeName": endpoint.node, "targetRef": endpoint.target});
        if let Some(hostname) = &endpoint.hostname {
            address["hostname"] = hostname.as_str().into();
        }
        address
    };
    let live = || group.iter().filter(|endpoint| !endpoint.is_terminating);
    let ready: Vec<Value> = live().filter(|endpoint| endpoint.is_ready).map(|e| address(&e)).collect();
    let unready: Vec<Value> = live().filter(|endpoint| !endpoint.is_ready).map(|e| address(&e)).collect();
    if ready.is_empty() && unready.is_empty() {
        return None;
    }
    let mut subset = json!({});
    for (field, list) in [("addresses", ready), ("notReadyAddresses", unready)] {
        if !list.is_empty() {
            subset[field] = list.into();
        }
    }
    let ports: Vec<Value> = group[0]
        .ports
        .iter()
        .map(|port| {
            let mut port = port.clone();
            if port["name"] == "" {
                port.as_object_mut().map(|port| port.remove("name"));
            }
            port
        })
        .collect();
    if !ports.is_empty() {
        subset["ports"] = ports.into();
    }
    Some(subset)
}
