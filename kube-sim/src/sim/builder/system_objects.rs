//! The objects that an API server creates at its start. This module stores recorded objects without requests, because
//! requests would take longer than the rest of the start.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::network::Network;
use crate::builtin::{BOOTSTRAP_POLICY, SYSTEM_OBJECTS};
use crate::clock::Random;
use crate::controllers;
use crate::sim::Sim;
use crate::store::State;
use crate::store::template::Template;

/// Identifies the stream of random numbers from which [`create`] takes the uids and all other UUIDs; see
/// [`Random::for_stream`].
const SYSTEM_UUID_STREAM: u64 = 0x0073_7973_7465_6d73;
/// Identifies the stream of random numbers from which [`create_bootstrap_policy`] takes the uids; see
/// [`Random::for_stream`].
const POLICY_UUID_STREAM: u64 = 0x0070_6f6c_6963_7900;

/// Creates the recorded system objects in the recorded order, with the addresses of `network`.
pub(super) fn create(state: &mut State, seed: u64, network: Network) {
    static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
    let configured;
    let templates = if network == Network::default() {
        TEMPLATES.get_or_init(|| recorded_objects().map(|object| template(state, object)).collect())
    } else {
        let objects = recorded_objects().filter_map(|object| set_addresses(object, network));
        configured = objects.map(|object| template(state, object)).collect();
        &configured
    };
    // The UUIDs come from a separate random stream. Therefore, an additional recorded object does not change the
    // names that the server generates.
    state.create_from_templates(templates, &mut Random::for_stream(seed, SYSTEM_UUID_STREAM));
    controllers::run(state);
}

/// The recorded objects.
#[expect(clippy::expect_used, reason = "the recorded objects are JSON, which a test checks")]
fn recorded_objects() -> impl Iterator<Item = Value> {
    SYSTEM_OBJECTS.lines().map(|line| serde_json::from_str(line).expect("a recorded object is JSON"))
}

/// Sets the addresses of a recorded object. Returns `None` for `Endpoints` and an `EndpointSlice` if the validation of
/// endpoints refuses the advertised address: a real server then has no such object.
fn set_addresses(mut object: Value, network: Network) -> Option<Value> {
    let Network { advertised, service_range } = network;
    let (ip, port) = (advertised.ip(), advertised.port());
    let is_link_local = ip.is_link_local() || ip.octets().starts_with(&[224, 0, 0]);
    let is_valid_endpoint = !(ip.is_unspecified() || ip.is_loopback() || is_link_local);
    let first = service_range.host(0).to_string();
    match object["kind"].as_str().unwrap_or_default() {
        "Service" => {
            object["spec"]["clusterIPs"] = json!([first]);
            object["spec"]["clusterIP"] = first.into();
            object["spec"]["ports"][0]["targetPort"] = port.into();
        }
        "Endpoints" | "EndpointSlice" if !is_valid_endpoint => return None,
        "Endpoints" => {
            object["subsets"][0]["addresses"][0]["ip"] = ip.to_string().into();
            object["subsets"][0]["ports"][0]["port"] = port.into();
        }
        "EndpointSlice" => {
            object["endpoints"][0]["addresses"][0] = ip.to_string().into();
            object["ports"][0]["port"] = port.into();
        }
        "ServiceCIDR" => object["spec"]["cidrs"] = json!([service_range.to_string()]),
        "IPAddress" => object["metadata"]["name"] = first.into(),
        "Lease" => {
            let annotations = &mut object["metadata"]["annotations"];
            annotations["kubernetes.io/peer-advertise-address"] = advertised.to_string().into();
        }
        _ => {}
    }
    Some(object)
}

/// The template of a recorded object.
#[expect(clippy::expect_used, reason = "the recorded objects are of built-in kinds, which a test checks")]
fn template(state: &State, object: Value) -> Template {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let resource = state.registry.find_kind(text("apiVersion"), text("kind"));
    Template::new(&resource.expect("a recorded object is of a built-in kind"), object)
}

/// Creates the bootstrap roles and bindings.
pub(super) fn create_bootstrap_policy(state: &mut State, seed: u64) {
    static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
    let templates = TEMPLATES.get_or_init(|| {
        let sim = Sim::new();
        BOOTSTRAP_POLICY.lines().map(|line| policy_template(&sim, state, line)).collect()
    });
    state.create_from_templates(templates, &mut Random::for_stream(seed, POLICY_UUID_STREAM));
    controllers::run(state);
}

/// The template of a role or binding. `line` is the object as a client sends it. Creates the object in `sim`, so that the
/// template has all fields.
#[expect(clippy::expect_used, reason = "the recorded roles are valid, which a test checks")]
fn policy_template(sim: &Sim, state: &State, line: &str) -> Template {
    let recorded: Value = serde_json::from_str(line).expect("a recorded role is JSON");
    let mut created = sim.create(&recorded).expect("a recorded role is valid");
    let metadata = &mut created["metadata"];
    metadata["creationTimestamp"] = "$NOW".into();
    for entry in metadata["managedFields"].as_array_mut().into_iter().flatten() {
        entry["manager"] = "kube-apiserver".into();
        entry["time"] = "$NOW".into();
    }
    template(state, created)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses and ports in the objects that the server creates at its start; null for a missing object.
    fn addresses(sim: &Sim) -> Value {
        let get = |api_version: &str, kind: &str, namespace: &str, name: &str| {
            sim.get(api_version, kind, namespace, name).unwrap_or_default()
        };
        let service = get("v1", "Service", "default", "kubernetes");
        let endpoints = get("v1", "Endpoints", "default", "kubernetes");
        let slice = get("discovery.k8s.io/v1", "EndpointSlice", "default", "kubernetes");
        let range = get("networking.k8s.io/v1", "ServiceCIDR", "", "kubernetes");
        let address = sim.list("networking.k8s.io/v1", "IPAddress", "").unwrap();
        let leases = sim.list("coordination.k8s.io/v1", "Lease", "kube-system").unwrap();
        json!([
            service["spec"]["clusterIP"],
            service["spec"]["clusterIPs"],
            service["spec"]["ports"][0]["targetPort"],
            endpoints["subsets"][0]["addresses"][0]["ip"],
            endpoints["subsets"][0]["ports"][0]["port"],
            slice["endpoints"][0]["addresses"],
            slice["ports"][0]["port"],
            range["spec"]["cidrs"],
            address[0]["metadata"]["name"],
            leases[0]["metadata"]["annotations"]["kubernetes.io/peer-advertise-address"],
        ])
    }

    #[test]
    fn the_system_objects_have_the_configured_addresses() {
        let default = configured_addresses("192.0.2.1:6443", "10.96.0.0/12");
        assert_eq!(default, addresses(&Sim::new()));
        assert_eq!(
            configured_addresses("10.9.8.7:8443", "10.0.0.0/24"),
            json!([
                "10.0.0.1",
                ["10.0.0.1"],
                8443,
                "10.9.8.7",
                8443,
                ["10.9.8.7"],
                8443,
                ["10.0.0.0/24"],
                "10.0.0.1",
                "10.9.8.7:8443",
            ])
        );
        assert_eq!(
            configured_addresses("127.0.0.1:1", "10.0.0.0/24"),
            json!([
                "10.0.0.1",
                ["10.0.0.1"],
                1,
                null,
                null,
                null,
                null,
                ["10.0.0.0/24"],
                "10.0.0.1",
                "127.0.0.1:1"
            ])
        );
    }

    fn configured_addresses(address: &str, range: &str) -> Value {
        let builder = Sim::builder().advertise_address(address.parse().unwrap());
        addresses(&builder.service_cluster_ip_range(range.parse().unwrap()).build())
    }
}
