//! The cluster IPs of new services: allocation, and the refusal of requested addresses that are outside of the range or
//! in use.
//!
//! The API server reserves an address with an `IPAddress` object. The simulation only checks that no stored
//! service has the address, so two concurrent requests can get the same address.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::clock::Random;
use crate::registry::Resource;
use crate::schema::{FieldError, quote};
use crate::service_range::ServiceRange;
use crate::shared_state::Inner;
use crate::status::SimError;
use crate::store::State;

/// The name of the table that contains the services.
pub(super) const SERVICES: &str = "/services";

/// Checks the cluster IP that a new service requests, or sets a cluster IP if the service requests none. Headless
/// services, services of the type `ExternalName`, and objects of other kinds are not changed.
///
/// # Errors
/// 422 if the requested address is outside of the range, or another service has it; 500 if the range is full.
pub(super) fn allocate(
    inner: &Inner,
    resource: &Resource,
    object: &mut Value,
    dry_run: bool,
) -> Result<(), SimError> {
    let is_concerned = &*resource.storage == SERVICES && object["spec"].is_object();
    if !is_concerned || object["spec"]["type"] == "ExternalName" {
        return Ok(());
    }
    let spec = &mut object["spec"];
    let range = inner.settings.service_range;
    let requested = spec["clusterIP"].as_str().unwrap_or_default();
    if requested.is_empty() {
        let address = if dry_run {
            // As in the API server, the response to a dry run contains the network address, which no service gets.
            Some(range.network())
        } else {
            let mut candidates = candidates(range, &mut inner.lock_random());
            let state = inner.lock();
            candidates.find(|address| !is_used(&state, resource, &address.to_string()))
        };
        let Some(address) = address else {
            let name = quote(object["metadata"]["name"].as_str().unwrap_or_default());
            let why = format!("failed to allocate a serviceIP for Service {name}: range is full");
            return Err(SimError::internal(why));
        };
        spec["clusterIP"] = address.to_string().into();
        return Ok(());
    }
    // A headless service requests `None`. Validation refuses any other text that is not an address.
    let Ok(address) = requested.parse::<Ipv4Addr>() else { return Ok(()) };
    let why = if range.has_host(address) {
        let is_used = !dry_run && is_used(&inner.lock(), resource, requested);
        is_used.then(|| "provided IP is already allocated".to_owned())
    } else if dry_run {
        Some(format!("provided IP {address} is not in the valid range"))
    } else {
        Some("the provided network does not match the current range".to_owned())
    };
    let Some(why) = why else { return Ok(()) };
    let why = format!("failed to allocate IP {address}: {why}");
    let error = FieldError::invalid("spec.clusterIPs", json!([requested]), why);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(SimError::invalid("", "Service", name, &[error]))
}

/// The hosts of the range, each once: first those of the upper part, beginning with a random host, then those of the
/// lower part. The API server keeps the lower part for requested addresses as long as possible (KEP-3070).
fn candidates(range: ServiceRange, random: &mut Random) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let hosts = range.host_count();
    let size = hosts + 2;
    let lower = if size <= MIN_LOWER_SIZE { 0 } else { (size / 16).clamp(MIN_LOWER_SIZE, MAX_LOWER_SIZE) };
    let upper = hosts - lower;
    let start = random.below(upper);
    (0..upper).map(move |i| lower + (start + i) % upper).chain(0..lower).map(move |number| range.host(number))
}

/// The smallest and the largest number of addresses in the lower part of a range. A range with at most
/// [`MIN_LOWER_SIZE`] addresses has no lower part.
const MIN_LOWER_SIZE: u64 = 16;
const MAX_LOWER_SIZE: u64 = 256;

/// Whether a stored service has the address.
fn is_used(state: &State, services: &Resource, address: &str) -> bool {
    let field = services.fields.iter().position(|field| field.label == "spec.clusterIP");
    let Some((table, field)) = state.table(SERVICES).zip(field) else { return false };
    table.has_object_with(|service| service.fields.get(field).is_some_and(|used| **used == *address))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Sim;

    fn service(name: &str, spec: &Value) -> Value {
        let mut service =
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
        service["spec"]["ports"] = json!([{"port": 80}]);
        service
    }

    #[test]
    fn candidates_are_all_hosts_of_the_range_and_its_lower_part_comes_last() {
        let range: ServiceRange = "10.0.0.0/24".parse().unwrap();
        let found: Vec<_> = candidates(range, &mut Random::seeded(1)).collect();
        assert_eq!(found.len(), 254);
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 254);
        let lower: Vec<_> = (1..=16).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect();
        assert_eq!(found[238..], lower);
        let small: ServiceRange = "10.0.0.0/28".parse().unwrap();
        assert_eq!(candidates(small, &mut Random::seeded(1)).count(), 14);
    }

    #[test]
    fn services_have_different_addresses_of_the_range_until_it_is_full() {
        let sim = Sim::builder().service_cluster_ip_range("10.1.2.0/29".parse().unwrap()).build();
        let mut found = BTreeSet::from(["10.1.2.1".to_owned()]);
        for i in 0..5 {
            let created = sim.create(&service(&format!("s{i}"), &json!({}))).unwrap();
            found.insert(created["spec"]["clusterIP"].as_str().unwrap().to_owned());
        }
        let expected: BTreeSet<_> = (1..7).map(|last| format!("10.1.2.{last}")).collect();
        assert_eq!(found, expected);
        let error = sim.create(&service("s6", &json!({}))).unwrap_err();
        assert_eq!(error.code().as_u16(), 500);
        let why = "failed to allocate a serviceIP for Service \"s6\": range is full";
        assert_eq!(error.message(), format!("Internal error occurred: {why}"));
        sim.create(&service("headless", &json!({"clusterIP": "None"}))).unwrap();
    }

    #[test]
    fn requested_addresses_must_be_free_and_in_the_range() {
        let sim = Sim::new();
        let created = sim.create(&service("a", &json!({"clusterIP": "10.96.7.7"}))).unwrap();
        assert_eq!(created["spec"]["clusterIPs"], json!(["10.96.7.7"]));
        for (address, why) in [
            ("10.96.7.7", "provided IP is already allocated"),
            ("10.96.0.1", "provided IP is already allocated"),
            ("192.0.2.1", "the provided network does not match the current range"),
        ] {
            let error = sim.create(&service("b", &json!({"clusterIP": address}))).unwrap_err();
            let expected = format!(
                "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"{address}\"]: failed to allocate IP {address}: {why}"
            );
            assert_eq!((error.code().as_u16(), error.message()), (422, &*expected));
        }
    }
}
