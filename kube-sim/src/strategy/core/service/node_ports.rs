//! Which services have node ports, and the numbers of these ports. `spec` is the spec of a service.

use std::collections::BTreeSet;

use serde_json::Value;

/// Whether services of this type have node ports.
pub(crate) fn has_node_ports(spec: &Value) -> bool {
    spec["type"] == "NodePort" || spec["type"] == "LoadBalancer"
}

/// Whether the server allocates node ports for the service.
pub(crate) fn allocates_node_ports(spec: &Value) -> bool {
    has_node_ports(spec) && (spec["type"] == "NodePort" || spec["allocateLoadBalancerNodePorts"] != false)
}

/// The node ports of a service, without its health check node port.
pub(crate) fn of_ports(spec: &Value) -> BTreeSet<u64> {
    let ports = spec["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["nodePort"].as_u64()).filter(|port| *port != 0).collect()
}
