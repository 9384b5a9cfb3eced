//! Tests of the objects that a new server contains.

use std::collections::BTreeSet;

use kube_sim::{Sim, SimBuilder, TlsFiles};
use serde_json::{Value, json};

/// The kinds of the objects that exist at the start: `apiVersion`, kind and the number of objects.
const KINDS: [(&str, &str, usize); 11] = [
    ("v1", "Namespace", 4),
    ("v1", "Service", 1),
    ("v1", "Endpoints", 1),
    ("discovery.k8s.io/v1", "EndpointSlice", 1),
    ("networking.k8s.io/v1", "ServiceCIDR", 1),
    ("networking.k8s.io/v1", "IPAddress", 1),
    ("v1", "ConfigMap", 1),
    ("coordination.k8s.io/v1", "Lease", 1),
    ("scheduling.k8s.io/v1", "PriorityClass", 2),
    ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema", 11),
    ("flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration", 8),
];

/// All objects of the kinds in [`KINDS`].
fn objects(sim: &Sim) -> Vec<Value> {
    KINDS.iter().flat_map(|(api_version, kind, _)| sim.list(api_version, kind, "").unwrap()).collect()
}

fn builder() -> SimBuilder {
    Sim::builder().start_time("2026-03-04T05:06:07.089Z".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_new_sim_has_the_objects_of_a_new_api_server() {
    let sim = builder().build();
    for (api_version, kind, count) in KINDS {
        assert_eq!(sim.list(api_version, kind, "").unwrap().len(), count, "{kind}");
    }
    let all = objects(&sim);
    let uids: BTreeSet<_> = all.iter().map(|object| object["metadata"]["uid"].as_str().unwrap()).collect();
    let versions: BTreeSet<_> =
        all.iter().map(|object| object["metadata"]["resourceVersion"].as_str().unwrap()).collect();
    assert_eq!((uids.len(), versions.len()), (all.len(), all.len()));
    for object in &all {
        assert_eq!(object["metadata"]["creationTimestamp"], "2026-03-04T05:06:07Z", "{object}");
        assert!(!object.to_string().contains('$'), "{object}");
    }
    let leases = sim.list("coordination.k8s.io/v1", "Lease", "kube-system").unwrap();
    let (name, spec) = (leases[0]["metadata"]["name"].as_str().unwrap(), &leases[0]["spec"]);
    assert_eq!(spec["renewTime"], "2026-03-04T05:06:07.089000Z");
    assert!(spec["holderIdentity"].as_str().unwrap().starts_with(&format!("{name}_")), "{spec}");
    let maps = sim.list("v1", "ConfigMap", "kube-system").unwrap();
    assert_eq!(maps[0]["data"], json!({"since": "2026-03-04"}));
}

#[tokio::test(start_paused = true)]
async fn the_seed_determines_the_initial_objects() {
    let of_seed = |seed: u64| objects(&builder().seed(seed).build());
    assert_eq!(of_seed(1), of_seed(1));
    assert_ne!(of_seed(1)[0]["metadata"]["uid"], of_seed(2)[0]["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn initial_objects_can_be_selected_changed_and_deleted() {
    let (sim, other) = (builder().build(), builder().build());
    let path = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
    let send = |method: http::Method, path: &str, body: &Value| {
        sim.request(&method, path, "application/merge-patch+json", body)
    };
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    send(http::Method::PATCH, &format!("{path}/probes"), &label).unwrap();
    let selected = send(http::Method::GET, &format!("{path}?labelSelector=a%3Db"), &Value::Null).unwrap();
    assert_eq!(selected["items"].as_array().unwrap().len(), 1);
    let identity = "/apis/coordination.k8s.io/v1/leases?labelSelector=apiserver.kubernetes.io/identity";
    let leases = send(http::Method::GET, identity, &Value::Null).unwrap();
    assert_eq!(leases["items"].as_array().unwrap().len(), 1);
    send(http::Method::DELETE, &format!("{path}/probes"), &Value::Null).unwrap();
    let (api_version, kind) = ("flowcontrol.apiserver.k8s.io/v1", "FlowSchema");
    assert!(sim.get(api_version, kind, "", "probes").unwrap_err().is_not_found());
    assert_eq!(other.get(api_version, kind, "", "probes").unwrap()["metadata"].get("labels"), None);
}

#[tokio::test]
async fn each_https_listener_publishes_its_client_certificate_authority() {
    let sim = Sim::new();
    let published = |sim: &Sim| {
        let map = sim.get("v1", "ConfigMap", "kube-system", "extension-apiserver-authentication");
        map.map(|map| map["data"]["client-ca-file"].as_str().unwrap().to_owned())
    };
    let plain = sim.serve_http("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert!(published(&sim).unwrap_err().is_not_found());
    let first = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert_eq!(published(&sim).unwrap(), first.ca_pem().unwrap());
    let second = sim.serve_https("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let both = format!("{}{}", first.ca_pem().unwrap(), second.ca_pem().unwrap());
    assert_eq!(published(&sim).unwrap(), both);

    let (certificate, key) = first.issue_client_certificate("server", None).unwrap();
    let authority = first.ca_pem().unwrap().as_bytes().to_vec();
    let files =
        TlsFiles { certificate: certificate.into(), key: key.into(), client_ca: Some(authority.clone()) };
    let other = Sim::new();
    let third = other.serve_https_with("127.0.0.1:0".parse().unwrap(), &files).await.unwrap();
    let fourth = other.serve_https_with("127.0.0.1:0".parse().unwrap(), &files).await.unwrap();
    assert_eq!(published(&other).unwrap().as_bytes(), authority);
    for server in [plain, first, second, third, fourth] {
        server.shutdown().await;
    }
}
