//! The resources that nodes and containers use: the values that a test sets for the resource metrics API.

use std::collections::BTreeMap;

/// The resources that a node or a container uses; see [`Sim::set_container_usage`](crate::Sim::set_container_usage).
///
/// # Examples
/// ```
/// use kube_sim::Usage;
///
/// let usage = Usage { cpu_millicores: 250, memory_bytes: 64 << 20 };
/// assert_eq!(usage.memory_bytes, 67_108_864);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The processor time, in thousandths of a core.
    pub cpu_millicores: u64,
    /// The working set, in bytes.
    pub memory_bytes: u64,
}

impl Usage {
    /// The sum of two usages; saturates instead of overflowing.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpu_millicores: self.cpu_millicores.saturating_add(other.cpu_millicores),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }
}

/// The usages that a test has set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usages {
    nodes: BTreeMap<String, Usage>,
    /// The usage of each container. The key has the names of the namespace, the pod and the container.
    containers: BTreeMap<[String; 3], Usage>,
}

impl Usages {
    /// Sets or removes the usage of a node.
    pub(crate) fn set_node_usage(&mut self, name: &str, usage: Option<Usage>) {
        match usage {
            Some(usage) => self.nodes.insert(name.to_owned(), usage),
            None => self.nodes.remove(name),
        };
    }

    /// Sets or removes the usage of a container.
    pub(crate) fn set_container_usage(&mut self, key: [&str; 3], usage: Option<Usage>) {
        let key = key.map(ToOwned::to_owned);
        match usage {
            Some(usage) => self.containers.insert(key, usage),
            None => self.containers.remove(&key),
        };
    }

    pub(crate) fn node_usage(&self, name: &str) -> Option<Usage> {
        self.nodes.get(name).copied()
    }

    pub(crate) fn container_usage(&self, key: [&str; 3]) -> Option<Usage> {
        self.containers.get(&key.map(ToOwned::to_owned)).copied()
    }
}
