//! Programs that use the verbs of `Api` for typed objects, for dynamic objects, and in generic functions.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, EvictParams, GetParams, GroupVersionKind, ListParams,
    LogParams, ObjectMeta, Patch, PatchParams, PostParams, PropagationPolicy, WatchEvent, WatchParams,
};
use kube::core::{NamespaceResourceScope, params::ValidationDirective};
use kube::{Api, Client, Resource, ResourceExt};
use kube_sim::Sim;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

use futures::{StreamExt, TryStreamExt};

/// A client of a new simulated cluster.
fn client() -> Client {
    Client::new(Sim::new().service(), "default")
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        data: Some([("color".to_string(), "red".to_string())].into()),
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn an_object_is_created_read_changed_and_deleted() -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client());
    let created = maps.create(&PostParams::default(), &config_map("a")).await?;
    assert_eq!(created.namespace().as_deref(), Some("default"));

    let patch = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "size": "1" } });
    let pp = PatchParams::apply("program").force();
    let applied = maps.patch("a", &pp, &Patch::Apply(&patch)).await?;
    assert_eq!(applied.data.as_ref().map(std::collections::BTreeMap::len), Some(2));
    let merged =
        maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({ "data": { "size": null } }))).await?;
    assert_eq!(merged.data.as_ref().map(std::collections::BTreeMap::len), Some(1));

    let mut current = maps.get("a").await?;
    current.labels_mut().insert("app".into(), "web".into());
    let pp = PostParams { field_manager: Some("program".into()), ..PostParams::default() };
    maps.replace("a", &pp, &current).await?;
    let list = maps.list(&ListParams::default().labels("app=web").limit(10)).await?;
    assert_eq!(list.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["a"]);
    for metadata in maps.list_metadata(&ListParams::default()).await? {
        assert_eq!(metadata.types.as_ref().map(|types| types.kind.as_str()), Some("PartialObjectMetadata"));
    }

    let dp = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    maps.delete("a", &dp).await?.map_left(|object| panic!("still there: {object:?}")).map_right(|status| {
        assert!(status.is_success());
    });
    assert!(maps.get_opt("a").await?.is_none());
    match maps.get("a").await {
        Err(kube::Error::Api(status)) if status.code == 404 => assert_eq!(status.reason, "NotFound"),
        other => panic!("unexpected: {other:?}"),
    }
    Ok(())
}

#[tokio::test]
async fn a_watch_starts_at_a_resource_version() -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client());
    let version = maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    maps.create(&PostParams::default(), &config_map("a")).await?;
    let wp = WatchParams::default().timeout(10).fields("metadata.name=a");
    let mut events = maps.watch(&wp, &version).await?.boxed();
    match events.try_next().await? {
        Some(WatchEvent::Added(map)) => assert_eq!(map.name_any(), "a"),
        other => panic!("unexpected: {other:?}"),
    }
    Ok(())
}

/// The names of the objects of a namespaced kind in `namespace`. Programs that use kube have generic functions with
/// these trait bounds.
async fn object_names<K>(client: Client, namespace: &str) -> kube::Result<Vec<String>>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
    <K as Resource>::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(client, namespace);
    Ok(api.list(&ListParams::default()).await?.items.iter().map(ResourceExt::name_any).collect())
}

/// Reads one object of any kind; `None` if the object does not exist.
async fn find<K>(api: &Api<K>, name: &str) -> kube::Result<Option<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let _ = api.get_with(name, &GetParams::any()).await;
    api.get_opt(name).await
}

#[tokio::test]
async fn the_api_works_in_generic_functions() -> anyhow::Result<()> {
    let client = client();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    maps.create(&PostParams::default(), &config_map("a")).await?;
    assert!(object_names::<ConfigMap>(client.clone(), "default").await?.contains(&"a".to_string()));
    assert!(find(&maps, "a").await?.is_some());
    assert!(find(&Api::<Namespace>::all(client), "missing").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn dynamic_objects_need_no_rust_type() -> anyhow::Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let maps: Api<DynamicObject> = Api::default_namespaced_with(client(), &resource);
    let object = DynamicObject::new("a", &resource).data(json!({ "data": { "color": "red" } }));
    maps.create(&PostParams::default(), &object).await?;
    let read = maps.get("a").await?;
    assert_eq!(read.data["data"]["color"], "red");
    let typed: ConfigMap = read.try_parse()?;
    assert_eq!(typed.name_unchecked(), "a");
    Ok(())
}

#[tokio::test]
async fn an_entry_creates_or_changes_its_object() -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client());
    for size in ["1", "2"] {
        let mut entry = maps.entry("a").await?.or_insert(|| config_map("a"));
        entry.get_mut().data.get_or_insert_default().insert("size".into(), size.into());
        entry.commit(&PostParams::default()).await?;
    }
    assert_eq!(maps.get("a").await?.data.and_then(|data| data.get("size").cloned()).as_deref(), Some("2"));
    Ok(())
}

#[tokio::test]
async fn a_node_is_cordoned_and_a_pod_is_evicted() -> anyhow::Result<()> {
    let client = client();
    let nodes: Api<Node> = Api::all(client.clone());
    let node = serde_json::from_value(json!({ "metadata": { "name": "n" } }))?;
    nodes.create(&PostParams::default(), &node).await?;
    assert_eq!(nodes.cordon("n").await?.spec.and_then(|spec| spec.unschedulable), Some(true));
    nodes.uncordon("n").await?;

    let pods: Api<Pod> = Api::default_namespaced(client);
    let pod = json!({
        "metadata": { "name": "p" },
        "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let status = json!({ "status": { "phase": "Running" } });
    pods.patch_status("p", &PatchParams::default(), &Patch::Merge(&status)).await?;
    let _: String = pods.logs("p", &LogParams { tail_lines: Some(1), ..LogParams::default() }).await?;
    pods.evict("p", &EvictParams::default()).await?;
    Ok(())
}

#[test]
fn params_have_the_fields_and_builders_of_kube() {
    let dp = DeleteParams::background().grace_period(5).dry_run();
    assert_eq!(dp.propagation_policy, Some(PropagationPolicy::Background));
    let pp = PatchParams { field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply("a") };
    assert_eq!(pp, PatchParams::apply("a").validation_strict());
    assert!(ListParams::default().match_any().version_match.is_some());
    assert!(WatchParams::streaming_lists().send_initial_events);
}
