//! Discovery of groups, versions and kinds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroupList;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, ApiResource, Discovery, Scope, oneshot, pinned_kind, verbs};
use kube::{Client, Resource as _};
use kube_sim::Sim;

/// A client of a new simulated cluster.
fn client() -> Client {
    Client::new(Sim::new().service(), "default")
}

/// The `Api` of a resource that discovery found.
fn dynamic_api(resource: &ApiResource, capabilities: &ApiCapabilities, client: Client) -> Api<DynamicObject> {
    if capabilities.scope == Scope::Cluster {
        Api::all_with(client, resource)
    } else {
        Api::default_namespaced_with(client, resource)
    }
}

#[tokio::test]
async fn lists_objects_of_the_discovered_kinds() -> anyhow::Result<()> {
    let client = client();
    let discovery = Discovery::new(client.clone()).filter(&["", "apps"]).run().await?;
    let mut kinds = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            dynamic_api(&resource, &capabilities, client.clone()).list(&ListParams::default()).await?;
            kinds.push(resource.kind);
        }
    }
    assert!(kinds.iter().any(|kind| kind == "Deployment"), "{kinds:?}");
    Ok(())
}

#[tokio::test]
async fn a_kind_and_its_group_are_found() -> anyhow::Result<()> {
    let client = client();
    let gvk = GroupVersionKind::gvk("apps", "v1", "Deployment");
    let (resource, _) = pinned_kind(&client, &gvk).await?;
    assert_eq!(resource.plural, "deployments");
    let group = oneshot::group(&client, "apps").await?;
    assert_eq!(group.preferred_version_or_latest(), "v1");
    assert!(group.recommended_kind("Deployment").is_some());
    let groups: APIGroupList = client.list_api_groups().await?;
    assert!(groups.groups.iter().any(|group| group.name == "apps"));
    assert_eq!(DynamicObject::kind(&resource), "Deployment");
    Ok(())
}
