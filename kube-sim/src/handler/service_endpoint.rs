//! The server of a webhook: a URL, or a service of the cluster.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::shared_state::Inner;
use crate::store::State;
use crate::store::object::{StoredObject, key};
use crate::webhooks::Endpoint;

const SERVICES: &str = "/services";
const ENDPOINTS: &str = "/endpoints";
const ENDPOINT_SLICES: &str = "discovery.k8s.io/endpointslices";

/// The endpoint of the server that a `clientConfig` names. Error texts contain the `timeout` of the call.
///
/// # Errors
/// The text for a service that does not exist or has no endpoint, or for a URL that cannot be called.
pub(crate) fn endpoint(inner: &Inner, config: &Value, timeout: Duration) -> Result<Endpoint, String> {
    let authorities = config["caBundle"].as_str().unwrap_or_default();
    let authorities = STANDARD.decode(authorities).map_err(|e| format!("the caBundle is not base64: {e}"))?;
    if let Some(url) = config["url"].as_str() {
        return Endpoint::new(url, authorities);
    }
    let service = &config["service"];
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
    let path = if text("path").is_empty() { "/" } else { text("path") };
    let url = format!("https://{name}.{namespace}.svc:{port}{path}");
    let (host, port) = resolve(inner, namespace, name, port)
        .map_err(|why| format!("Post {:?}: {why}", format!("{url}?timeout={}s", timeout.as_secs())))?;
    Ok(Endpoint::new(&url, authorities)?.with_backend(host, port))
}

/// Returns the host and port for a webhook call to a service. Uses the first of these that exists: the
/// address that the settings have for the service, its external name with `port`, or the address of a ready
/// endpoint.
fn resolve(inner: &Inner, namespace: &str, name: &str, port: u16) -> Result<(String, u16), String> {
    let mapped = inner.settings.services.iter().find(|s| s.namespace == namespace && s.name == name);
    if let Some(service) = mapped {
        return Ok(host_and_port(service.address));
    }
    let state = inner.lock();
    let service = state.get(SERVICES, &key(namespace, name)).ok_or(format!("service {name:?} not found"))?;
    let service = service.value();
    if service["spec"]["type"] == "ExternalName" {
        return Ok((service["spec"]["externalName"].as_str().unwrap_or_default().to_owned(), port));
    }
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let found = ports.find(|known| known["port"] == port);
    let found = found.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let port_name = found["name"].as_str().unwrap_or_default();
    slice_address(&state, namespace, name, port_name)
        .or_else(|| endpoints_address(&state, namespace, name, port_name))
        .map(host_and_port)
        .ok_or_else(|| format!("no endpoints available for service {name:?}"))
}

fn host_and_port(address: SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}

/// The port with this name in a list of ports.
fn port_of(ports: &Value, name: &str) -> Option<u16> {
    let mut ports = ports.as_array()?.iter();
    let found = ports.find(|port| port["name"].as_str().unwrap_or_default() == name)?;
    u16::try_from(found["port"].as_u64()?).ok()
}

fn address_of(ip: &Value, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new(ip.as_str()?.parse::<IpAddr>().ok()?, port))
}

/// The address of the first ready endpoint in the endpoint slices of a service.
fn slice_address(state: &State, namespace: &str, service: &str, port: &str) -> Option<SocketAddr> {
    let slices = state.table(ENDPOINT_SLICES)?.objects(namespace);
    let address = |slice: &StoredObject| {
        let slice = slice.value();
        if slice["metadata"]["labels"]["kubernetes.io/service-name"] != service {
            return None;
        }
        let port = port_of(&slice["ports"], port)?;
        let mut ready = slice["endpoints"].as_array()?.iter().filter(|e| e["conditions"]["ready"] != false);
        ready.find_map(|endpoint| address_of(&endpoint["addresses"][0], port))
    };
    slices.iter().find_map(|slice| address(slice))
}

/// The first ready address in the `Endpoints` of a service.
fn endpoints_address(state: &State, namespace: &str, service: &str, port: &str) -> Option<SocketAddr> {
    let endpoints = state.get(ENDPOINTS, &key(namespace, service))?.value();
    endpoints["subsets"].as_array()?.iter().find_map(|subset| {
        let port = port_of(&subset["ports"], port)?;
        address_of(&subset["addresses"][0]["ip"], port)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Sim;

    /// Asserts that [`resolve`] returns `expected` for port 443 of the service: an address or an error text.
    #[track_caller]
    fn check(sim: &Sim, name: &str, expected: Result<&str, &str>) {
        let found = resolve(sim.inner(), "default", name, 443).map(|(host, port)| format!("{host}:{port}"));
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{name}");
    }

    #[test]
    fn resolve_returns_the_mapped_address_or_a_ready_endpoint() {
        let sim = Sim::builder().service_address("default", "mapped", ([127, 0, 0, 1], 9443).into()).build();
        for (name, port) in [("slices", 443), ("endpoints", 443), ("empty", 443), ("other", 80)] {
            sim.create(&json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"ports": [{"name": "https", "port": port}]},
            }))
            .unwrap();
        }
        sim.create(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "slices-1", "labels": {"kubernetes.io/service-name": "slices"}},
            "ports": [{"name": "metrics", "port": 1}, {"name": "https", "port": 2}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": false}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": true}},
            ],
        }))
        .unwrap();
        sim.create(&json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "endpoints"},
            "subsets": [{"addresses": [{"ip": "10.0.0.3"}], "ports": [{"name": "https", "port": 3}]}],
        }))
        .unwrap();
        check(&sim, "mapped", Ok("127.0.0.1:9443"));
        check(&sim, "slices", Ok("10.0.0.2:2"));
        check(&sim, "endpoints", Ok("10.0.0.3:3"));
        check(&sim, "empty", Err("no endpoints available for service \"empty\""));
        check(&sim, "other", Err("no service port 443 found for service \"other\""));
        check(&sim, "none", Err("service \"none\" not found"));
    }
}
