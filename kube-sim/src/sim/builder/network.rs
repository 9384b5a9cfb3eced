//! The network of the cluster: the address of the API server and the cluster IPs of services.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::SimBuilder;
use crate::service_range::ServiceRange;

/// The addresses in the objects that the server creates at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    /// The address that the API server advertises. The server does not listen at this address.
    pub(super) advertised: SocketAddrV4,
    /// The range of the cluster IPs of services.
    pub(super) service_range: ServiceRange,
}

impl Default for Network {
    /// The addresses in the recorded objects (`builtin/data/system_objects.jsonl`).
    fn default() -> Self {
        let advertised = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 6443);
        Self { advertised, service_range: ServiceRange::default() }
    }
}

impl SimBuilder {
    /// Sets the address that the server advertises: the endpoint of the service `kubernetes`, by default `192.0.2.1:6443`.
    /// The validation of endpoints refuses loopback addresses, link-local addresses and `0.0.0.0`. For such
    /// an address, the service has no endpoint, as in a real server. The server does not listen at the
    /// advertised address.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    ///
    /// let sim = Sim::builder().advertise_address("10.1.2.3:443".parse()?).build();
    /// let endpoints = sim.get("v1", "Endpoints", "default", "kubernetes")?;
    /// assert_eq!(endpoints["subsets"][0]["addresses"][0]["ip"], "10.1.2.3");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advertise_address(mut self, address: SocketAddrV4) -> Self {
        self.network.advertised = address;
        self
    }

    /// Sets the range of the cluster IPs of services, by default `10.96.0.0/12`. The service `kubernetes` has the first
    /// address.
    ///
    /// # Examples
    /// ```
    /// use kube_sim::Sim;
    ///
    /// let sim = Sim::builder().service_cluster_ip_range("10.0.0.0/24".parse()?).build();
    /// let service = sim.get("v1", "Service", "default", "kubernetes")?;
    /// assert_eq!(service["spec"]["clusterIP"], "10.0.0.1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn service_cluster_ip_range(mut self, range: ServiceRange) -> Self {
        self.network.service_range = range;
        self
    }
}
