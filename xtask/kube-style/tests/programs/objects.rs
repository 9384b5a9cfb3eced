//! Subresources, statuses, objects that do not decode, and validation rules.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, Ephemeral, ListParams, Patch, PatchParams, PostParams};
use kube::core::cel::{validate_cel, validate_cel_update};
use kube::core::error_boundary::InvalidObject;
use kube::core::response::{Status, StatusDetails};
use kube::core::util::Restart;
use kube::core::{DeserializeGuard, ObjectList, PartialObjectMeta};
use kube::{Client, CustomResource, KubeSchema, Resource, ResourceExt};
use kube_sim::Sim;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Debug;

/// A client of a new simulated cluster.
fn client() -> Client {
    Client::new(Sim::new().service(), "default")
}

/// Restarts an object of any kind that has a pod template.
async fn restart<K: Resource + Restart + DeserializeOwned>(api: &Api<K>, name: &str) -> kube::Result<K> {
    api.restart(name).await
}

#[tokio::test]
async fn a_deployment_is_scaled_and_restarted() -> anyhow::Result<()> {
    let deployments: Api<Deployment> = Api::default_namespaced(client());
    let deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "main", "image": "web:1" }] },
            },
        },
    });
    deployments.create(&PostParams::default(), &serde_json::from_value(deployment)?).await?;
    let scale = json!({ "spec": { "replicas": 3 } });
    deployments.patch_scale("web", &PatchParams::default(), &Patch::Merge(&scale)).await?;
    let scale = deployments.get_scale("web").await?;
    assert_eq!(scale.spec.and_then(|spec| spec.replicas), Some(3));
    let template = restart(&deployments, "web").await?.spec.template;
    let annotations = template.metadata.and_then(|metadata| metadata.annotations).unwrap_or_default();
    assert!(annotations.keys().any(|key| key.ends_with("/restartedAt")), "{annotations:?}");
    Ok(())
}

/// Adds an ephemeral container to an object of any kind that supports ephemeral containers.
async fn add_debug_container<K>(api: &Api<K>, name: &str, image: &str) -> kube::Result<K>
where
    K: Clone + DeserializeOwned + Debug + Ephemeral,
{
    let patch = json!({ "spec": { "ephemeralContainers": [{ "name": "debug", "image": image }] } });
    api.patch_ephemeral_containers(name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
    api.get_ephemeral_containers(name).await
}

#[tokio::test]
async fn a_pod_gets_an_ephemeral_container() -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(client());
    let pod = json!({
        "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "main", "image": "web:1" }] },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let containers =
        add_debug_container(&pods, "web", "busybox").await?.spec.and_then(|spec| spec.ephemeral_containers);
    assert_eq!(containers.map(|containers| containers.len()), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_list_survives_an_object_that_does_not_decode() -> anyhow::Result<()> {
    #[derive(Clone, Debug, Deserialize)]
    struct Colors {
        color: u32,
    }
    #[derive(kube::Resource, Clone, Debug, Deserialize)]
    #[resource(inherit = ConfigMap)]
    struct ColorMap {
        metadata: kube::core::ObjectMeta,
        data: Colors,
    }
    let client = client();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let mut map = ConfigMap::default();
    map.metadata.name = Some("a".into());
    map.labels_mut().insert("shape".into(), "other".into());
    map.data = Some([("color".to_string(), "red".to_string())].into());
    maps.create(&PostParams::default(), &map).await?;

    let guarded: Api<DeserializeGuard<ColorMap>> = Api::default_namespaced(client);
    let list: ObjectList<DeserializeGuard<ColorMap>> =
        guarded.list(&ListParams::default().labels("shape=other")).await?;
    let first = list.items.into_iter().next().unwrap();
    assert_eq!(first.name_any(), "a");
    let InvalidObject { error, metadata } = first.0.map(|map| map.data.color).unwrap_err();
    assert!(error.contains("invalid type"), "{error}");
    assert_eq!(metadata.name.as_deref(), Some("a"));

    let partial: PartialObjectMeta<ConfigMap> = maps.get_metadata("a").await?;
    assert_eq!(partial.labels()["shape"], "other");
    Ok(())
}

#[test]
fn an_api_error_can_contain_a_status_that_the_program_built() {
    let details = StatusDetails { name: "web".into(), retry_after_seconds: 3, ..StatusDetails::default() };
    let status = Status::failure("try later", "Conflict").with_code(409).with_details(details);
    assert!(status.is_failure() && status.is_conflict() && !status.is_not_found());
    match kube::Error::Api(status.boxed()) {
        kube::Error::Api(status) if status.code == 409 => {
            assert_eq!(status.details.map(|details| details.retry_after_seconds), Some(3));
        }
        other => panic!("unexpected: {other:?}"),
    }
}

#[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "example.com", version = "v1", kind = "Pool")]
struct PoolSpec {
    #[x_kube(validation = "self < 10")]
    size: u32,
    #[x_kube(validation = Rule::new("self == oldSelf").message("is immutable"))]
    host: String,
}

#[test]
fn validation_rules_are_evaluated_without_a_server() {
    let pool = |size, host: &str| Pool::new("a", PoolSpec { size, host: host.into() });
    assert!(validate_cel(&pool(1, "a")).is_ok());
    assert!(validate_cel(&pool(11, "a")).is_err());
    let error = validate_cel_update(&pool(1, "b"), &pool(1, "a")).unwrap_err();
    assert!(error.to_string().contains("is immutable"), "{error}");
}
