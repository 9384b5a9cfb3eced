//! The node ports of services: allocation, and the refusal of requested ports that are outside of the range or in use.
//!
//! The API server reserves a port in a bitmap. The simulation only checks that no stored service has the
//! port, so two concurrent requests can get the same port.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use serde_json::Value;

use super::cluster_ip::SERVICES;
use crate::clock::Random;
use crate::registry::Resource;
use crate::schema::FieldError;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::strategy::node_ports::{allocates_node_ports, has_node_ports, of_ports};

const RANGE: RangeInclusive<u64> = 30_000..=32_767;

/// The number of ports in the lower part of the range. The API server allocates a port from the lower part
/// only if the upper part is full. The lower part therefore stays free for ports that clients request
/// (KEP-3668).
const LOWER_SIZE: u64 = 86;

/// Sets the missing node ports of a service if [`allocates_node_ports`] is true for the service. Sets the
/// health check node port if the service needs one and has none. Checks the ports that the client requests.
/// `old` is the stored service if the request is an update. Services of a type other than
/// `NodePort` and `LoadBalancer`, and objects of other kinds, are not changed.
///
/// # Errors
/// 422 if a requested node port is outside of the range or in use; 500 if the range is full, or if the requested health
/// check node port is outside of the range or in use.
pub(super) fn allocate(
    inner: &Inner,
    resource: &Resource,
    old: Option<&Value>,
    object: &mut Value,
    dry_run: bool,
) -> Result<(), SimError> {
    if &*resource.storage != SERVICES || !has_node_ports(&object["spec"]) {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let allocates = allocates_node_ports(&object["spec"]);
    let needs_health_check =
        object["spec"]["type"] == "LoadBalancer" && object["spec"]["externalTrafficPolicy"] == "Local";
    let kept = old.map(|old| of_ports(&old["spec"])).unwrap_or_default();
    let used = used_ports(inner);
    let mut random = inner.lock_random();
    let mut allocator = Allocator { used, reserved: BTreeSet::new(), random: &mut random, dry_run };
    let Some(spec) = object["spec"].as_object_mut() else { return Ok(()) };
    let mut ports: Vec<&mut Value> =
        spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten().collect();
    ports.retain(|port| port.is_object());
    // In a new service, ports with the same number and different protocols share a node port, unless the
    // client requests different node ports.
    let mut shared: HashMap<u64, u64> = HashMap::new();
    for (at, port) in ports.iter().enumerate() {
        let requested = node_port_of(port);
        let number = port["port"].as_u64().unwrap_or(0);
        let is_shared = if old.is_some() {
            allocator.reserved.contains(&requested)
        } else {
            shared.get(&number) == Some(&requested)
        };
        if requested == 0 || kept.contains(&requested) || is_shared {
            continue;
        }
        allocator.reserve(requested).map_err(|why| {
            let error = FieldError::invalid(format!("spec.ports[{at}].nodePort"), requested, why);
            SimError::invalid("", "Service", &name, &[error])
        })?;
        if old.is_none() {
            shared.entry(number).or_insert(requested);
        }
    }
    for port in ports.into_iter().filter(|port| allocates && node_port_of(port) == 0) {
        let number = port["port"].as_u64().unwrap_or(0);
        let node_port = match shared.get(&number) {
            Some(shared) => *shared,
            None => allocator.next().ok_or_else(full_range_error)?,
        };
        if old.is_none() {
            shared.insert(number, node_port);
        }
        port["nodePort"] = node_port.into();
    }
    if !needs_health_check {
        return Ok(());
    }
    let requested = spec.get("healthCheckNodePort").and_then(Value::as_u64).unwrap_or(0);
    if requested == 0 {
        let node_port = allocator.next().ok_or_else(full_range_error)?;
        spec.insert("healthCheckNodePort".into(), node_port.into());
    } else if old.is_none_or(|old| old["spec"]["healthCheckNodePort"] != requested) {
        allocator.reserve(requested).map_err(|why| {
            let what = format!("failed to allocate requested HealthCheck NodePort {requested}: {why}");
            SimError::internal(what)
        })?;
    }
    Ok(())
}

fn full_range_error() -> SimError {
    SimError::internal("failed to allocate a nodePort: range is full")
}

fn node_port_of(port: &Value) -> u64 {
    port["nodePort"].as_u64().unwrap_or(0)
}

/// The node ports of a service, and its health check node port.
fn all_ports_of(service: &Value) -> BTreeSet<u64> {
    let mut ports = of_ports(&service["spec"]);
    ports.extend(service["spec"]["healthCheckNodePort"].as_u64().filter(|port| *port != 0));
    ports
}

/// The ports of all stored services. As in the API server, an updated service releases its old ports only
/// after the update.
fn used_ports(inner: &Inner) -> BTreeSet<u64> {
    let services = inner.lock().table(SERVICES).map(|table| table.objects("")).unwrap_or_default();
    services.iter().flat_map(|service| all_ports_of(&service.value())).collect()
}

/// Reserves ports for one service.
struct Allocator<'a> {
    /// The ports of all stored services ([`used_ports`]).
    used: BTreeSet<u64>,
    /// The ports that this request has reserved.
    reserved: BTreeSet<u64>,
    random: &'a mut Random,
    dry_run: bool,
}

impl Allocator<'_> {
    /// Reserves a requested port. As in the API server, a dry run does not check the range.
    fn reserve(&mut self, port: u64) -> Result<(), String> {
        let (first, last) = (RANGE.start(), RANGE.end());
        if !self.dry_run && !RANGE.contains(&port) {
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {first}-{last}"
            ));
        }
        if self.used.contains(&port) || !self.reserved.insert(port) {
            return Err("provided port is already allocated".to_owned());
        }
        Ok(())
    }

    /// Reserves a free port; `None` if the range is full. Begins at a random port of the upper part of the
    /// range, and tries the lower part last. As in the API server, a dry run returns the port after the
    /// highest reserved port, or a port above the range if no port is reserved.
    fn next(&mut self) -> Option<u64> {
        let (first, last) = (*RANGE.start(), *RANGE.end());
        let port = if self.dry_run {
            self.reserved.last().map_or(last + 2, |port| port + 1)
        } else {
            let upper = last + 1 - first - LOWER_SIZE;
            let start = self.random.below(upper);
            let offsets = (0..upper).map(|i| LOWER_SIZE + (start + i) % upper).chain(0..LOWER_SIZE);
            offsets
                .map(|offset| first + offset)
                .find(|port| !self.used.contains(port) && !self.reserved.contains(port))?
        };
        self.reserved.insert(port);
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Sim;

    fn service(name: &str, spec: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    }

    fn put(sim: &Sim, service: &Value) -> Value {
        let path =
            format!("/api/v1/namespaces/default/services/{}", service["metadata"]["name"].as_str().unwrap());
        sim.request(&http::Method::PUT, &path, "", service).unwrap()
    }

    fn node_ports(service: &Value) -> Vec<u64> {
        service["spec"]["ports"].as_array().unwrap().iter().map(node_port_of).collect()
    }

    #[test]
    fn an_update_that_omits_the_node_ports_keeps_the_allocated_ports() {
        let sim = Sim::new();
        let web = service(
            "web",
            &json!({"type": "NodePort", "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}),
        );
        let created = node_ports(&sim.create(&web).unwrap());
        assert!(created.iter().all(|port| RANGE.contains(port)) && created[0] != created[1]);
        assert_eq!(node_ports(&put(&sim, &web)), created);
        let mut reversed = web.clone();
        reversed["spec"]["ports"] = json!([{"name": "b", "port": 81}, {"name": "a", "port": 80}]);
        assert_eq!(node_ports(&put(&sim, &reversed)), [created[1], created[0]]);
        let mut moved = web.clone();
        moved["spec"]["ports"][1]["nodePort"] = created[0].into();
        let moved = node_ports(&put(&sim, &moved));
        assert_eq!(moved[1], created[0]);
        assert!(RANGE.contains(&moved[0]) && moved[0] != created[0], "{moved:?}");
    }

    #[test]
    fn a_change_of_the_type_allocates_or_removes_node_ports() {
        let sim = Sim::new();
        let mut web = service("web", &json!({"ports": [{"port": 80}]}));
        assert_eq!(node_ports(&sim.create(&web).unwrap()), [0]);
        web["spec"]["type"] = "LoadBalancer".into();
        web["spec"]["externalTrafficPolicy"] = "Local".into();
        let mut balanced = put(&sim, &web);
        assert!(RANGE.contains(&node_ports(&balanced)[0]));
        let health = &balanced["spec"]["healthCheckNodePort"];
        assert!(
            health.as_u64().is_some_and(|port| RANGE.contains(&port) && port != node_ports(&balanced)[0])
        );
        balanced["spec"]["type"] = "ClusterIP".into();
        let spec = &put(&sim, &balanced)["spec"];
        for field in ["healthCheckNodePort", "allocateLoadBalancerNodePorts", "externalTrafficPolicy"] {
            assert_eq!(spec[field], Value::Null, "{field}");
        }
        assert_eq!(spec["ports"][0]["nodePort"], Value::Null);
        assert_eq!(spec["clusterIP"], balanced["spec"]["clusterIP"]);
    }

    #[test]
    fn requested_node_ports_must_be_free_and_in_the_range() {
        let sim = Sim::new();
        let with_port = |name, port| {
            service(name, &json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}))
        };
        sim.create(&with_port("a", 30_007)).unwrap();
        put(&sim, &with_port("a", 30_007));
        for (port, why) in [
            (30_007, "provided port is already allocated"),
            (80, "provided port is not in the valid range. The range of valid ports is 30000-32767"),
        ] {
            let error = sim.create(&with_port("b", port)).unwrap_err();
            let expected =
                format!("Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: {port}: {why}");
            assert_eq!((error.code().as_u16(), error.message()), (422, &*expected));
        }
    }

    #[test]
    fn services_have_different_node_ports_until_the_range_is_full() {
        let mut random = Random::seeded(1);
        let mut allocator = Allocator {
            used: [30_000].into(),
            reserved: BTreeSet::new(),
            random: &mut random,
            dry_run: false,
        };
        let mut found = BTreeSet::new();
        while let Some(port) = allocator.next() {
            assert!(found.insert(port) && RANGE.contains(&port));
        }
        assert_eq!(found.len(), 2767);
    }

    #[test]
    fn ports_of_several_protocols_share_a_node_port() {
        let sim = Sim::new();
        let ports = json!([{"name": "t", "port": 53}, {"name": "u", "port": 53, "protocol": "UDP"}]);
        let ports =
            node_ports(&sim.create(&service("dns", &json!({"type": "NodePort", "ports": ports}))).unwrap());
        assert_eq!(ports[0], ports[1]);
    }

    #[test]
    fn different_ports_of_a_new_service_share_no_node_port() {
        let sim = Sim::new();
        let ports = json!([{"name": "a", "port": 80, "nodePort": 30_001}, {"name": "b", "port": 81, "nodePort": 30_001}]);
        let error = sim.create(&service("web", &json!({"type": "NodePort", "ports": ports}))).unwrap_err();
        assert!(error.message().contains("spec.ports[1].nodePort"), "{}", error.message());
        assert_eq!(error.code().as_u16(), 422);
    }

    #[test]
    fn a_service_that_is_no_load_balancer_has_no_load_balancer_status() {
        let sim = Sim::new();
        let mut web =
            sim.create(&service("web", &json!({"type": "LoadBalancer", "ports": [{"port": 80}]}))).unwrap();
        web["status"]["loadBalancer"] = json!({"ingress": [{"ip": "192.0.2.1"}]});
        let path = "/api/v1/namespaces/default/services/web/status";
        let mut web = sim.request(&http::Method::PUT, path, "", &web).unwrap();
        web["spec"]["type"] = "ClusterIP".into();
        assert_eq!(put(&sim, &web)["status"], json!({"loadBalancer": {}}));
    }
}
