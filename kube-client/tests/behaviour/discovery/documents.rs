//! Mock API servers for the discovery tests, and tests in which the server responds with valid documents.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use kube_client::core::{DynamicObject, GroupVersion, GroupVersionKind, TypeMeta};
use kube_client::discovery::{self, ApiGroup, Scope, verbs};
use kube_client::{Client, Discovery, Error, client::Body, error::DiscoveryError};
use kube_sim::Sim;
use serde_json::{Value, json};
use tower::{Service, service_fn};

/// The paths of the received requests.
pub(crate) type RequestPaths = Arc<Mutex<Vec<String>>>;

/// A client of a mock server, and the paths of its requests. The server responds to each path in `documents` with the
/// document of the path, and to all other paths with 404. The member `code` of a document is the response's status
/// code.
pub(crate) fn mock_server(documents: Value) -> (Client, RequestPaths) {
    let requests = RequestPaths::default();
    let log = requests.clone();
    let service = service_fn(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        let (code, body) = match documents.get(&path) {
            None => (404, "404 page not found\n".to_owned()),
            Some(document) => {
                let code = document.get("code").and_then(Value::as_u64).unwrap_or(200);
                (u16::try_from(code).unwrap(), document.to_string())
            }
        };
        log.lock().unwrap().push(path);
        let response = Response::builder().status(code).body(Full::new(Bytes::from(body)));
        async move { response }
    });
    (Client::new(service, "default"), requests)
}

/// A client whose server does not support aggregated discovery. The server is kube-sim with changed `Accept` headers: it
/// responds to requests for aggregated discovery with 406 if `refuse` is set, otherwise with unaggregated documents.
pub(crate) fn unaggregated_client(sim: &Sim, refuse: bool) -> Client {
    let inner = sim.service();
    let service = service_fn(move |mut request: Request<Body>| {
        let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        if accept.is_some_and(|accept| accept.contains("as=")) {
            let accept = if refuse { "text/html" } else { "application/json" };
            request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        inner.clone().call(request)
    });
    Client::new(service, "default")
}

/// One line for each group with its preferred version, and one line for each resource of each version.
fn describe_resources(discovery: &Discovery) -> Vec<String> {
    let mut lines = Vec::new();
    for group in discovery.groups() {
        lines.push(format!("{} prefers {:?}", group.name(), group.preferred_version()));
        for version in group.versions() {
            lines.extend(group.versioned_resources(version).iter().map(|pair| format!("{pair:?}")));
        }
    }
    lines
}

#[tokio::test]
async fn unaggregated_documents_have_the_same_resources_as_aggregated_ones() {
    let sim = Sim::new();
    let aggregated = Discovery::new(Client::new(sim.service(), "default")).run().await.unwrap();
    assert!(aggregated.failures().is_empty(), "{:?}", aggregated.failures());
    let expected = describe_resources(&aggregated);
    assert!(expected.len() > 50, "{expected:?}");
    for refuse in [false, true] {
        let discovery = Discovery::new(unaggregated_client(&sim, refuse)).run_aggregated().await.unwrap();
        assert!(discovery.failures().is_empty(), "{:?}", discovery.failures());
        let found = describe_resources(&discovery);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
    }
}

#[tokio::test]
async fn discovery_finds_the_resource_of_a_gvk_an_object_and_a_type_meta() {
    let client = Client::new(Sim::new().service(), "default");
    let discovery = Discovery::new(client).run().await.unwrap();
    let gvk = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let (resource, capabilities) = discovery.resolve_gvk(&gvk).unwrap();
    assert_eq!((resource.plural.as_str(), resource.api_version.as_str()), ("deployments", "apps/v1"));
    assert_eq!(capabilities.scope, Scope::Namespaced);
    assert!(
        capabilities.supports_operation(verbs::DELETE_COLLECTION) && !capabilities.supports_operation("fly")
    );
    let (scale, _) = capabilities.subresources.iter().find(|(sub, _)| sub.plural == "scale").unwrap();
    assert_eq!((scale.api_version.as_str(), scale.kind.as_str()), ("autoscaling/v1", "Scale"));

    let mut object = DynamicObject::new("web", &resource);
    assert_eq!(discovery.resolve_object(&object).unwrap().0, resource);
    object.types = None;
    assert!(discovery.resolve_object(&object).is_none());
    let types = |api_version: &str| TypeMeta { api_version: api_version.into(), kind: "Node".into() };
    assert_eq!(discovery.resolve_typemeta(&types("v1")).unwrap().1.scope, Scope::Cluster);
    for unknown in ["v2", "apps/v1", "", "a/b/c"] {
        assert!(discovery.resolve_typemeta(&types(unknown)).is_none(), "{unknown}");
    }
}

#[tokio::test]
async fn a_filter_selects_groups_and_prevents_requests_for_other_groups() {
    let documents = json!({
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": {"kind": "APIResourceList", "resources": [{"name": "pods", "kind": "Pod", "namespaced": true}]},
        "/apis": {"kind": "APIGroupList", "groups": [
            {"name": "b", "versions": [{"version": "v1"}]},
            {"name": "a", "versions": [{"version": "v1"}]},
        ]},
        "/apis/a/v1": {"kind": "APIResourceList", "resources": null},
        "/apis/b/v1": {"kind": "APIResourceList", "resources": []},
    });
    for (allow, deny, groups, paths) in [
        (Some(&[""][..]), &[][..], &[""][..], &["/api", "/api/v1"][..]),
        (Some(&["a"]), &[], &["a"], &["/apis", "/apis/a/v1"]),
        (None, &["", "a"], &["b"], &["/apis", "/apis/b/v1"]),
        (None, &["a"], &["", "b"], &["/api", "/apis", "/api/v1", "/apis/b/v1"]),
        (Some(&[]), &[], &[], &[]),
    ] {
        let (client, requests) = mock_server(documents.clone());
        let discovery = Discovery::new(client);
        let discovery = match allow {
            Some(allow) => discovery.filter(allow),
            None => discovery.exclude(deny),
        };
        let discovery = discovery.run().await.unwrap();
        assert!(discovery.failures().is_empty(), "{:?}", discovery.failures());
        assert_eq!(discovery.groups().map(ApiGroup::name).collect::<Vec<_>>(), groups);
        let mut received = requests.lock().unwrap().clone();
        let mut paths = paths.to_vec();
        received.sort();
        paths.sort_unstable();
        assert_eq!(received, paths);
    }
}

#[tokio::test]
async fn a_group_sorts_its_versions_and_keeps_its_preferred_version() {
    let version = |version: &str, plurals: &[&str]| {
        let resources: Vec<Value> = plurals
            .iter()
            .map(|plural| {
                json!({"resource": plural, "responseKind": {"kind": plural}, "scope": "Cluster", "verbs": ["get"]})
            })
            .collect();
        json!({"version": version, "resources": resources, "freshness": "Current"})
    };
    let (client, _) = mock_server(json!({
        "/apis": {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "a"}, "versions": [
            version("v1beta1", &["old", "both"]), version("v1", &["both"]), version("v2alpha1", &["new", "both"]),
        ]}]},
    }));
    let discovery = Discovery::new(client).run().await.unwrap();
    assert!(!discovery.has_group(""), "a server may have no core group");
    let group = discovery.get("a").unwrap();
    assert_eq!(group.versions().collect::<Vec<_>>(), ["v1", "v1beta1", "v2alpha1"]);
    assert_eq!(group.preferred_version(), Some("v1beta1"));
    let names = |pairs: Vec<(kube_client::api::ApiResource, _)>| -> Vec<String> {
        pairs
            .into_iter()
            .map(|(r, _): (_, discovery::ApiCapabilities)| format!("{}/{}", r.version, r.plural))
            .collect()
    };
    assert_eq!(names(group.recommended_resources()), ["v1beta1/old", "v1beta1/both"]);
    assert_eq!(names(group.resources_by_stability()), ["v1/both", "v1beta1/old", "v2alpha1/new"]);
    assert_eq!(group.recommended_kind("both").unwrap().0.version, "v1beta1");
    assert!(group.recommended_kind("new").is_none() && group.versioned_resources("v3").is_empty());
}

#[tokio::test]
async fn discovery_of_one_group_or_kind_reads_only_the_necessary_documents() {
    let documents = json!({
        "/apis/a": {"kind": "APIGroup", "name": "a", "versions": [{"version": "v1"}, {"version": "v2"}]},
        "/apis/a/v1": {"resources": [{"name": "xs", "kind": "X"}, {"name": "xs/status", "kind": "X", "verbs": ["get"]}]},
        "/apis/a/v2": {"resources": []},
        "/api/v1": {"resources": [{"name": "pods", "kind": "Pod", "namespaced": true}]},
    });
    let (client, requests) = mock_server(documents);
    let group = discovery::group(&client, "a").await.unwrap();
    assert_eq!((group.preferred_version(), group.preferred_version_or_latest()), (None, "v2"));
    assert_eq!(*requests.lock().unwrap(), ["/apis/a", "/apis/a/v1", "/apis/a/v2"]);

    let pinned = discovery::pinned_group(&client, &GroupVersion::gv("a", "v1")).await.unwrap();
    let (_, capabilities) = pinned.recommended_kind("X").unwrap();
    assert_eq!((pinned.preferred_version(), capabilities.subresources.len()), (Some("v1"), 1));
    let (pods, _) = discovery::pinned_kind(&client, &GroupVersionKind::gvk("", "v1", "Pod")).await.unwrap();
    assert_eq!((pods.api_version.as_str(), pods.plural.as_str()), ("v1", "pods"));

    let missing = discovery::pinned_kind(&client, &GroupVersionKind::gvk("a", "v1", "Y")).await.unwrap_err();
    assert!(matches!(missing, Error::Discovery(DiscoveryError::MissingKind(_))), "{missing:?}");
    assert!(discovery::pinned_group(&client, &GroupVersion::gv("a", "v9")).await.unwrap_err().is_not_found());
    for name in ["b", "a/v1", "../api", "a b"] {
        let missing = discovery::group(&client, name).await.unwrap_err();
        assert!(
            matches!(missing, Error::Discovery(DiscoveryError::MissingApiGroup(_))),
            "{name}: {missing:?}"
        );
    }
}

#[tokio::test]
async fn the_client_reads_each_discovery_document() {
    let sim = Sim::new();
    let client = Client::new(sim.service(), "default");
    let groups = client.list_api_groups().await.unwrap().groups;
    assert!(
        groups.iter().any(|group| group.name == "apps") && groups.iter().all(|group| !group.name.is_empty())
    );
    let apps = client.list_api_group_resources("apps/v1").await.unwrap();
    assert!(apps.resources.iter().any(|resource| resource.name == "deployments/scale"));
    assert_eq!(client.list_core_api_versions().await.unwrap().versions, ["v1"]);
    let core = client.list_core_api_resources("v1").await.unwrap();
    assert!(core.resources.iter().any(|resource| resource.name == "pods"));
    assert!(client.list_api_group_resources("nothing/v1").await.unwrap_err().is_not_found());
    let invalid = client.list_core_api_resources("a b").await.unwrap_err();
    assert!(matches!(invalid, Error::Request { .. }), "{invalid:?}");

    let aggregated = client.list_api_groups_aggregated().await.unwrap();
    assert_eq!(aggregated.items.len(), groups.len());
    assert_eq!(client.list_core_api_versions_aggregated().await.unwrap().items.len(), 1);
    let old = unaggregated_client(&sim, false);
    let refused = old.list_api_groups_aggregated().await.unwrap_err();
    assert!(matches!(refused, Error::Request { .. }), "an old server has no groups: {refused:?}");
}
