//! Tests that find resources by the names that kubectl accepts.

use super::documents::mock_server;
use kube_client::{Client, Discovery};
use kube_sim::Sim;
use serde_json::json;

/// The API version and plural of a resource, or `none`.
fn describe_resource(
    found: Option<(kube_client::api::ApiResource, kube_client::discovery::ApiCapabilities)>,
) -> String {
    found.map_or_else(
        || "none".to_owned(),
        |(resource, _)| format!("{} {}", resource.api_version, resource.plural),
    )
}

#[tokio::test]
async fn discovery_finds_resources_by_every_name_that_kubectl_accepts() {
    let discovery = Discovery::new(Client::new(Sim::new().service(), "default")).run().await.unwrap();
    for (argument, expected) in [
        ("pods", "v1 pods"),
        ("po", "v1 pods"),
        ("Pod", "v1 pods"),
        ("PODS", "v1 pods"),
        ("pods.v1.", "v1 pods"),
        ("deployments.v1.apps", "apps/v1 deployments"),
        ("deploy.apps", "apps/v1 deployments"),
        ("Deployment.v1.apps", "apps/v1 deployments"),
        ("deployments.v2.apps", "none"),
        ("deployments.batch", "none"),
        ("hpa", "autoscaling/v2 horizontalpodautoscalers"),
        ("hpa.v1.autoscaling", "autoscaling/v1 horizontalpodautoscalers"),
        ("hpa.autosc", "autoscaling/v2 horizontalpodautoscalers"),
        ("events", "v1 events"),
        ("ev", "v1 events"),
        ("events.events.k8s.io", "events.k8s.io/v1 events"),
        ("networkpolicies.v1.networking.k8s.io", "networking.k8s.io/v1 networkpolicies"),
        ("netpol.networking.k8s.io", "networking.k8s.io/v1 networkpolicies"),
        ("crd", "apiextensions.k8s.io/v1 customresourcedefinitions"),
        ("gadgets", "none"),
        ("pods/status", "none"),
        ("all", "none"),
        ("", "none"),
        (".", "none"),
        ("..", "none"),
        (".apps", "none"),
    ] {
        assert_eq!(describe_resource(discovery.resolve(argument)), expected, "{argument}");
    }
}

#[tokio::test]
async fn a_category_has_each_resource_once() {
    let discovery = Discovery::new(Client::new(Sim::new().service(), "default")).run().await.unwrap();
    let all: Vec<_> =
        discovery.resolve_category("all").into_iter().map(|pair| describe_resource(Some(pair))).collect();
    for expected in ["v1 pods", "v1 services", "apps/v1 deployments", "batch/v1 jobs"] {
        assert_eq!(all.iter().filter(|name| *name == expected).count(), 1, "{all:?}");
    }
    let scalers: Vec<_> = all.iter().filter(|name| name.ends_with("horizontalpodautoscalers")).collect();
    assert_eq!(scalers, ["autoscaling/v2 horizontalpodautoscalers"]);
    assert!(discovery.resolve_category("none").is_empty() && discovery.resolve_category("").is_empty());
}

/// Like client-go, `resolve` looks for a plural name first, then for a short name, and then for a singular name.
#[tokio::test]
async fn a_plural_name_precedes_short_names_and_a_short_name_precedes_singular_names() {
    let resource = |plural: &str, singular: &str, short: &[&str]| {
        json!({"resource": plural, "singularResource": singular, "shortNames": short, "verbs": [], "scope": "Cluster",
               "responseKind": {"kind": format!("Kind{plural}")}})
    };
    let group = |name: &str, resources: Vec<serde_json::Value>| json!({"metadata": {"name": name}, "versions": [{"version": "v1", "resources": resources}]});
    let (client, _) = mock_server(json!({"/apis": {"kind": "APIGroupDiscoveryList", "items": [
        group("first", vec![resource("as", "x", &["bs"]), resource("cs", "c", &[])]),
        group("second", vec![resource("bs", "b", &["x", "c"])]),
        group("second.more", vec![resource("cs", "c", &[])]),
    ]}}));
    let discovery = Discovery::new(client).run().await.unwrap();
    for (argument, expected) in [
        ("bs", "second/v1 bs"),
        ("bs.first", "first/v1 as"),
        ("x", "second/v1 bs"),
        ("x.first", "first/v1 as"),
        ("c", "second/v1 bs"),
        ("cs", "first/v1 cs"),
        ("cs.second", "second.more/v1 cs"),
        ("cs.second.more", "second.more/v1 cs"),
        ("Kindcs", "first/v1 cs"),
        ("Kindcs.second.more", "second.more/v1 cs"),
        ("kindcs", "none"),
    ] {
        assert_eq!(describe_resource(discovery.resolve(argument)), expected, "{argument}");
    }
}
