//! Records the objects that an API server creates at its start, except for roles and bindings.
//!
//! The records contain no values that differ between servers. This module removes `uid` and `resourceVersion`, and writes
//! placeholders for times and for the UUID in the lease. It replaces addresses, ports and the identity of the server by
//! those of kube-sim.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::server::Server;

/// The paths of the objects that `record` requests one by one.
const OBJECT_PATHS: [&str; 9] = [
    "/api/v1/namespaces/default",
    "/api/v1/namespaces/kube-node-lease",
    "/api/v1/namespaces/kube-public",
    "/api/v1/namespaces/kube-system",
    "/api/v1/namespaces/kube-system/configmaps/kube-apiserver-legacy-service-account-token-tracking",
    "/api/v1/namespaces/default/services/kubernetes",
    "/api/v1/namespaces/default/endpoints/kubernetes",
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes",
    "/apis/networking.k8s.io/v1/servicecidrs/kubernetes",
];

/// The paths of lists. `record` records all items of these lists, so the server must have only the items that it created at
/// its start.
const LIST_PATHS: [&str; 3] = [
    "/apis/scheduling.k8s.io/v1/priorityclasses",
    "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
    "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
];

/// The path of the leases that identify API servers.
const LEASES_PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?labelSelector=apiserver.kubernetes.io%2Fidentity%3Dkube-apiserver";

/// The host name of the API server in the recorded objects.
const HOST_NAME: &str = "kube-sim";
/// The identity that kube-apiserver derives from [`HOST_NAME`]: `apiserver-` and the Base32 text of the first 16 bytes of
/// a SHA-256 hash. The hash input is the host name and the text `kube-apiserver`. Two bytes with the length precede each
/// text.
const IDENTITY: &str = "apiserver-pcsjjgiz5spiemawx4vku6xexy";

/// The values that depend on the configuration and the machine of a server. For each value: the kind of its object, its
/// JSON pointer, and the value to record instead.
fn configured_values() -> [(&'static str, &'static str, Value); 13] {
    [
        ("Service", "/spec/clusterIP", json!("10.96.0.1")),
        ("Service", "/spec/clusterIPs/0", json!("10.96.0.1")),
        ("Service", "/spec/ports/0/targetPort", json!(6443)),
        ("IPAddress", "/metadata/name", json!("10.96.0.1")),
        ("ServiceCIDR", "/spec/cidrs/0", json!("10.96.0.0/12")),
        ("Endpoints", "/subsets/0/addresses/0/ip", json!("192.0.2.1")),
        ("Endpoints", "/subsets/0/ports/0/port", json!(6443)),
        ("EndpointSlice", "/endpoints/0/addresses/0", json!("192.0.2.1")),
        ("EndpointSlice", "/ports/0/port", json!(6443)),
        ("Lease", "/metadata/name", json!(IDENTITY)),
        ("Lease", "/metadata/labels/kubernetes.io~1hostname", json!(HOST_NAME)),
        ("Lease", "/metadata/annotations/kubernetes.io~1peer-advertise-address", json!("192.0.2.1:6443")),
        ("Lease", "/spec/holderIdentity", json!(format!("{IDENTITY}_$UUID"))),
    ]
}

/// Requests the objects, and returns the text of `system_objects.jsonl`: one line per object. In the text, `$NOW`,
/// `$MICRO_NOW` and `$DATE` stand for the start time of kube-sim, and `$UUID` stands for a random UUID. Returns `None` if
/// an object of [`OBJECT_PATHS`] has finalizers, which kube-controller-manager adds.
pub(super) fn object_lines(server: &Server) -> anyhow::Result<Option<String>> {
    let mut objects = OBJECT_PATHS.iter().map(|path| server.get(path)).collect::<Result<Vec<_>, _>>()?;
    if objects.iter().any(|object| object["metadata"]["finalizers"].is_array()) {
        return Ok(None);
    }
    let service = objects.iter().find(|object| object["kind"] == "Service");
    let address = service.and_then(|service| service["spec"]["clusterIP"].as_str());
    let address = address.context("the service kubernetes has no cluster IP")?;
    let address = server.get(&format!("/apis/networking.k8s.io/v1/ipaddresses/{address}"))?;
    objects.push(address);
    for path in LIST_PATHS {
        objects.extend(items(&server.get(path)?)?);
    }
    objects.push(
        items(&server.get(LEASES_PATH)?)?.into_iter().next().context("no lease identifies the server")?,
    );
    let mut lines = String::new();
    for mut object in objects {
        set_recorded_values(&mut object)?;
        lines.push_str(&without_assigned_values(object).to_string());
        lines.push('\n');
    }
    Ok(Some(lines))
}

/// Replaces the values that depend on the configuration and the machine of the server.
/// [`configured_values`] returns the new values.
fn set_recorded_values(object: &mut Value) -> anyhow::Result<()> {
    for (kind, pointer, recorded) in configured_values() {
        if object["kind"] == kind {
            let value = object.pointer_mut(pointer);
            *value.with_context(|| format!("an object of the kind {kind} has no {pointer}"))? = recorded;
        }
    }
    Ok(())
}

/// The items of a list, each with `apiVersion` and `kind`.
fn items(list: &Value) -> anyhow::Result<Vec<Value>> {
    let kind = list["kind"].as_str().and_then(|kind| kind.strip_suffix("List")).context("not a list")?;
    let items = list["items"].as_array().with_context(|| format!("the list of {kind} has no items"))?;
    let with_type = items.iter().map(|item| {
        let mut item = item.clone();
        item["apiVersion"] = list["apiVersion"].clone();
        item["kind"] = kind.into();
        item
    });
    Ok(with_type.collect())
}

/// Removes `uid` and `resourceVersion` from the object, and replaces its times by placeholders. Returns the object.
fn without_assigned_values(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| !["uid", "resourceVersion"].contains(&field.as_str()));
    }
    replace_times(&mut object);
    object
}

/// Writes placeholders into the fields that contain times. Recognizes these fields by their names.
fn replace_times(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (field, value) in map {
                match field.as_str() {
                    "creationTimestamp" | "lastTransitionTime" | "time" if value.is_string() => {
                        *value = "$NOW".into();
                    }
                    "renewTime" if value.is_string() => *value = "$MICRO_NOW".into(),
                    "since" if value.is_string() => *value = "$DATE".into(),
                    _ => replace_times(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(replace_times),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_differ_between_servers_are_removed_or_replaced() {
        let mut lease = json!({
            "kind": "Lease",
            "metadata": {
                "name": "apiserver-a", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"kubernetes.io/peer-advertise-address": "10.0.0.9:1"},
                "labels": {"kubernetes.io/hostname": "a"},
                "managedFields": [{"time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:time": {}}}],
            },
            "spec": {"renewTime": "2026-01-01T00:00:00.000000Z", "holderIdentity": "apiserver-a_b"},
        });
        set_recorded_values(&mut lease).unwrap();
        let recorded = json!({
            "kind": "Lease",
            "metadata": {
                "name": IDENTITY, "creationTimestamp": "$NOW", "labels": {"kubernetes.io/hostname": "kube-sim"},
                "annotations": {"kubernetes.io/peer-advertise-address": "192.0.2.1:6443"},
                "managedFields": [{"time": "$NOW", "fieldsV1": {"f:time": {}}}],
            },
            "spec": {"renewTime": "$MICRO_NOW", "holderIdentity": format!("{IDENTITY}_$UUID")},
        });
        assert_eq!(without_assigned_values(lease), recorded);
        let error =
            set_recorded_values(&mut json!({"kind": "ServiceCIDR", "spec": {}})).unwrap_err().to_string();
        assert_eq!(error, "an object of the kind ServiceCIDR has no /spec/cidrs/0");
    }

    #[test]
    fn items_get_api_version_and_kind_from_their_list() {
        let list =
            json!({"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"metadata": {"name": "a"}}]});
        let typed = json!([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]);
        assert_eq!(Value::from(items(&list).unwrap()), typed);
        assert!(items(&json!({"kind": "Status"})).is_err());
    }
}
