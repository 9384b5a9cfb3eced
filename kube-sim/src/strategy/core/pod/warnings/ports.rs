//! Warnings about the ports of the containers of a pod.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{containers, push_bounded};
use crate::schema::quote;
use crate::strategy::validation::{items, string_in};
use crate::warnings::MAX_WARNINGS;

/// A port of a container, and the path of the port.
struct Port<'a> {
    path: String,
    name: &'a str,
    protocol: &'a str,
    number: i64,
    host_ip: &'a str,
    /// The host port; 0 if there is none.
    number_on_host: i64,
}

/// Warns of a port that has the name of an earlier port of the pod, or that overlaps with an earlier port. Also warns of
/// a host IP without a host port.
pub(super) fn warn_of_ports(path: &str, spec: &Value, out: &mut Vec<String>) {
    let ports = containers(path, spec).flat_map(|(path, container)| items(&path, container, "ports"));
    let ports = ports.map(|(path, port)| Port {
        path,
        name: string_in(port, "name"),
        protocol: string_in(port, "protocol"),
        number: port["containerPort"].as_i64().unwrap_or(0),
        host_ip: string_in(port, "hostIP"),
        number_on_host: port["hostPort"].as_i64().unwrap_or(0),
    });
    let mut earlier = Ports::default();
    let mut by_name: BTreeMap<&str, String> = BTreeMap::new();
    let mut same_names = Vec::new();
    // The response drops repeated warnings, and holds at most `MAX_WARNINGS`. The warnings of this function all differ, so
    // `MAX_WARNINGS` of them fill the response, and the remaining ports need no check.
    let last = out.len() + MAX_WARNINGS;
    for port in ports {
        if out.len() >= last {
            return;
        }
        let Port { path, name, protocol, number, host_ip, number_on_host } = &port;
        if !host_ip.is_empty() && *number_on_host == 0 {
            out.push(format!(
                "{path}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}"
            ));
        }
        match by_name.get(name) {
            Some(other) => same_names.push(format!(
                "{path}: duplicate port name {} with {other}, services and probes that select ports by name will use {other}",
                quote(name)
            )),
            None if name.is_empty() => {}
            None => {
                by_name.insert(name, path.clone());
            }
        }
        earlier.warn_of_overlaps(&port, out);
        earlier.add(port);
    }
    out.append(&mut same_names);
}

/// What the ports of a group have in common: the container port, the protocol, the host port and the host IP. `None`
/// stands for any host port or host IP.
type PortGroupKey<'a> = (i64, &'a str, Option<i64>, Option<&'a str>);

/// Ports in the order in which they were added.
#[derive(Default)]
struct Ports<'a> {
    ports: Vec<Port<'a>>,
    /// The indices of the first ports of each group, at most [`MAX_WARNINGS`] for one group.
    groups: HashMap<PortGroupKey<'a>, Vec<usize>>,
}

impl<'a> Ports<'a> {
    /// Warns of each earlier port that overlaps with `port`. Overlapping ports have the same container port and the same
    /// protocol. One of the two ports has no host port, or both have the same host port. In the second case, one of the
    /// two ports has no host IP, or both have the same host IP.
    fn warn_of_overlaps(&self, port: &Port<'a>, out: &mut Vec<String>) {
        let Port { path, host_ip, number_on_host, .. } = port;
        let groups = match (*number_on_host, *host_ip) {
            (0, _) => vec![(None, None)],
            (number_on_host, "") => vec![(Some(0), None), (Some(number_on_host), None)],
            (number_on_host, host_ip) => {
                vec![(Some(0), None), (Some(number_on_host), Some("")), (Some(number_on_host), Some(host_ip))]
            }
        };
        let groups = groups
            .into_iter()
            .map(|(number_on_host, host_ip)| (port.number, port.protocol, number_on_host, host_ip));
        let mut others: Vec<_> =
            groups.filter_map(|group| self.groups.get(&group)).flatten().copied().collect();
        others.sort_unstable();
        for other in others.into_iter().map(|other| &self.ports[other]) {
            let problem = if (*number_on_host, *host_ip) == (other.number_on_host, other.host_ip) {
                "duplicate"
            } else if *number_on_host == 0 || other.number_on_host == 0 {
                "overlapping"
            } else {
                "dangerously ambiguous"
            };
            out.push(format!("{path}: {problem} port definition with {}", other.path));
        }
    }

    fn add(&mut self, port: Port<'a>) {
        for (number_on_host, host_ip) in
            [(None, None), (Some(port.number_on_host), None), (Some(port.number_on_host), Some(port.host_ip))]
        {
            let group = self.groups.entry((port.number, port.protocol, number_on_host, host_ip)).or_default();
            push_bounded(group, self.ports.len());
        }
        self.ports.push(port);
    }
}
