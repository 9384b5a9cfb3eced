//! `Api`, `Reflector` and `Informer` for different types of decoded objects: partial structs, `DynamicObject` and metadata
//! only. The suite also tests objects that cannot be decoded.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube_client::api::{
    DeleteParams, ListParams, NotUsed, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube_client::core::{ApiResource, DynamicObject, Object, PartialObjectMeta};
use kube_client::{Api, ResourceExt};
use kube_runtime::watcher::Config;
use kube_runtime::{Informer, Reflector};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::widget::install;
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{
    config_map, config_map_value, deployment, has_type, labelled_config_map, names, poll_reflector_until,
    wait_until_converged,
};

suite!("object_types":
    partial_struct_decodes_its_fields,
    dynamic_object_keeps_all_fields,
    metadata_api_can_get_list_and_watch,
    time_beyond_the_maximum_timestamp_decodes_as_the_maximum,
    undecodable_object_is_reported_and_other_objects_are_kept,
    reflector_lists_and_then_watches,
    reflector_of_partial_structs_watches_a_custom_kind,
    informer_emits_each_change_once,
    informer_stream_continues_after_a_watch_ends,
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The part of a deployment's `spec` that the case reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct ReplicasSpec {
    replicas: i32,
}

/// A deployment whose `spec` has only the field `replicas`.
type PartialDeployment = Object<ReplicasSpec, NotUsed>;

async fn partial_struct_decodes_its_fields(env: Env) -> Outcome {
    let deployments: Api<Deployment> = env.api();
    let full = deployments.create(&PostParams::default(), &deployment("web", 0)?).await?;
    let resource = ApiResource::erase::<Deployment>(&());
    let partials: Api<PartialDeployment> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let read = partials.get("web").await?;
    check_eq!(read.spec, ReplicasSpec { replicas: 0 });
    check_eq!(read.metadata.uid, full.metadata.uid);
    check!(has_type(read.types.as_ref(), "apps/v1", "Deployment"));
    let list = partials.list(&ListParams::default()).await?;
    check_eq!(names::<PartialDeployment>(&list.items), ["web"]);
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"partial": "yes"}}}));
    let patched = partials.patch("web", &PatchParams::default(), &labelled).await?;
    check_eq!(patched.labels().get("partial").map(String::as_str), Some("yes"));
    // A patch keeps the fields that the partial struct omits.
    check_eq!(deployments.get("web").await?.spec.template, full.spec.template);
    Ok(())
}

async fn dynamic_object_keeps_all_fields(env: Env) -> Outcome {
    let resource = ApiResource::erase::<ConfigMap>(&());
    let maps: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let mut object = DynamicObject::new("a", &resource).data(json!({"data": {"v": "1"}, "immutable": false}));
    object.labels_mut().insert("kind".to_owned(), "dynamic".to_owned());
    let created = maps.create(&PostParams::default(), &object).await?;
    check_eq!(created.data, json!({"data": {"v": "1"}, "immutable": false}));
    check!(has_type(created.types.as_ref(), "v1", "ConfigMap"));
    let typed: ConfigMap = created.clone().try_parse()?;
    check_eq!(typed, env.api::<ConfigMap>().get("a").await?);
    let mut changed = created;
    changed.data["data"]["v"] = json!("2");
    let replaced = maps.replace("a", &PostParams::default(), &changed).await?;
    check_eq!(replaced.data["data"]["v"], json!("2"));
    let list = maps.list(&ListParams::default().labels("kind=dynamic")).await?;
    check_eq!(list.items.len(), 1);
    Ok(())
}

async fn metadata_api_can_get_list_and_watch(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let created = maps.create(&PostParams::default(), &labelled_config_map("a", "topic", "partial")).await?;
    let partial: Api<PartialObjectMeta<ConfigMap>> = env.api::<ConfigMap>().into_metadata();
    check_eq!(partial.get("a").await?.metadata, created.metadata);
    let list = partial.list(&ListParams::default().labels("topic=partial")).await?;
    check_eq!(names::<PartialObjectMeta<ConfigMap>>(&list.items), ["a"]);
    let wp = WatchParams::default().labels("topic=partial").timeout(Duration::from_secs(60));
    let mut events = partial.watch(&wp, &list.metadata.resource_version.unwrap_or_default()).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let event = timeout(TIMEOUT, events.try_next()).await??;
    check!(matches!(&event, Some(WatchEvent::Deleted(meta)) if meta.name_any() == "a"), "{event:?}");
    Ok(())
}

/// A widget spec that decodes only if the colour is `Red`.
#[derive(Clone, Debug, Deserialize)]
struct RedSpec {
    #[serde(rename = "colour")]
    _colour: OnlyRed,
}

/// The only colour that [`RedSpec`] can decode.
#[derive(Clone, Debug, Deserialize)]
enum OnlyRed {
    Red,
}

/// A widget with only the field `spec.colour`, which must be `Red`.
type RedWidget = Object<RedSpec, NotUsed>;

async fn time_beyond_the_maximum_timestamp_decodes_as_the_maximum(env: Env) -> Outcome {
    const FAR_FUTURE: &str = "9999-12-31T23:59:59.000000Z";
    let resource = ApiResource::erase::<Lease>(&());
    let raw: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let spec = json!({"holderIdentity": FAR_FUTURE, "renewTime": FAR_FUTURE});
    let mut object = DynamicObject::new("never", &resource).data(json!({ "spec": spec }));
    object.annotations_mut().insert("example.com/until".to_owned(), FAR_FUTURE.to_owned());
    let created = raw.create(&PostParams::default(), &object).await?;
    check_eq!(created.data["spec"]["renewTime"], json!(FAR_FUTURE));
    let leases: Api<Lease> = env.api();
    let expected = Some(MicroTime(Timestamp::MAX));
    for lease in [
        leases.get("never").await?,
        leases.list(&ListParams::default()).await?.items.remove(0),
        env.client().request(Request::get(format!("{}/never", leases.resource_url())).body(vec![])?).await?,
    ] {
        check_eq!(lease.annotations()["example.com/until"], FAR_FUTURE);
        let spec = lease.spec.context("the spec is missing")?;
        check_eq!((spec.renew_time, spec.holder_identity.as_deref()), (expected.clone(), Some(FAR_FUTURE)));
    }
    let mut watch = leases.watch(&WatchParams::default(), "").await?.boxed();
    let event = timeout(TIMEOUT, watch.try_next()).await??;
    check!(
        matches!(&event, Some(WatchEvent::Added(lease)) if lease.spec.as_ref().is_some_and(|spec| spec.renew_time == expected)),
        "{event:?}"
    );
    Ok(())
}

async fn undecodable_object_is_reported_and_other_objects_are_kept(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let all: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    for (name, colour) in [("a", "Red"), ("b", "Green"), ("c", "Red")] {
        let widget = DynamicObject::new(name, &resource).data(json!({"spec": {"size": 1, "colour": colour}}));
        all.create(&PostParams::default(), &widget).await?;
    }
    let red_widgets: Api<RedWidget> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let error = refused!(red_widgets.list(&ListParams::default()).await);
    check_eq!(error.undecodable().and_then(|object| object.name.as_deref()), Some("b"));
    let items: Vec<_> = red_widgets.list_stream(&ListParams::default()).await?.collect().await;
    let decoded: Vec<_> = items.iter().flatten().map(ResourceExt::name_any).collect();
    check_eq!(decoded, ["a", "c"]);

    let mut reflector = Reflector::new(red_widgets).timeout(Duration::from_secs(1));
    let error = refused!(reflector.poll().await);
    check!(error.to_string().contains(&format!("{}/b", env.namespace())), "{error}");
    let end = Instant::now() + TIMEOUT;
    while reflector.poll().await.is_err() || reflector.read().len() < 2 {
        check!(Instant::now() < end, "the reflector has only {:?}", names::<RedWidget>(reflector.read()));
    }
    check_eq!(names::<RedWidget>(reflector.read()), ["a", "c"]);
    // After this change the object can be decoded, and the reflector stores it.
    let red = Patch::Merge(json!({"spec": {"colour": "Red"}}));
    all.patch("b", &PatchParams::default(), &red).await?;
    reflector.poll().await?;
    check_eq!(names::<RedWidget>(reflector.read()), ["a", "b", "c"]);
    Ok(())
}

async fn reflector_lists_and_then_watches(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &labelled_config_map("a", "topic", "reflect")).await?;
    let config = Config::default().labels("topic=reflect");
    let mut reflector = Reflector::with_config(maps.clone(), config).timeout(Duration::from_secs(2));
    check!(reflector.read().is_empty() && reflector.resource_version().is_none());
    let started = Instant::now();
    reflector.poll().await?;
    let took = started.elapsed();
    check!((Duration::from_millis(1500)..Duration::from_secs(5)).contains(&took), "a poll took {took:?}");
    check_eq!(names::<ConfigMap>(reflector.read()), ["a"]);
    check!(reflector.resource_version().is_some());
    maps.create(&PostParams::default(), &labelled_config_map("b", "topic", "reflect")).await?;
    maps.create(&PostParams::default(), &config_map("other", "1")).await?;
    let merge = Patch::Merge(json!({"data": {"v": "2"}}));
    maps.patch("a", &PatchParams::default(), &merge).await?;
    reflector.poll().await?;
    let state: BTreeMap<_, _> =
        reflector.read().iter().map(|map| (map.name_any(), config_map_value(map).to_owned())).collect();
    check_eq!(state, BTreeMap::from([("a", "2"), ("b", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()))));
    maps.delete("a", &DeleteParams::default()).await?;
    reflector.poll().await?;
    let lp = ListParams::default().labels("topic=reflect");
    wait_until_converged(&reflector.store(), &maps, &lp, TIMEOUT).await
}

/// The part of a widget's `spec` that the case reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct SizeSpec {
    size: u8,
}

/// The part of a widget's `status` that the case reads.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct ReadyStatus {
    ready: bool,
}

async fn reflector_of_partial_structs_watches_a_custom_kind(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let all: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let widget = |name: &str| DynamicObject::new(name, &resource).data(json!({"spec": {"size": 1}}));
    all.create(&PostParams::default(), &widget("a")).await?;
    let partial: Api<Object<SizeSpec, ReadyStatus>> =
        Api::namespaced_with(env.client(), env.namespace(), &resource);
    let mut reflector = Reflector::new(partial.clone()).timeout(Duration::from_secs(1));
    reflector.poll().await?;
    check_eq!(reflector.read().len(), 1);
    check_eq!(reflector.read()[0].status, None);
    let ready = Patch::Merge(json!({"status": {"ready": true}}));
    all.patch_status("a", &PatchParams::default(), &ready).await?;
    all.create(&PostParams::default(), &widget("b")).await?;
    let store = reflector.store();
    poll_reflector_until(
        &mut reflector,
        wait_until_converged(&store, &partial, &ListParams::default(), TIMEOUT),
    )
    .await?;
    let a = store.find(|widget| widget.name_any() == "a");
    check_eq!(a.and_then(|widget| widget.status.clone()), Some(ReadyStatus { ready: true }));
    Ok(())
}

/// Formats an event: `+a=1` for `Added`, `~a=2` for `Modified`, `-a=2` for `Deleted`. Returns `None` for other events.
fn format_event(event: &WatchEvent<std::sync::Arc<ConfigMap>>) -> Option<String> {
    match event {
        WatchEvent::Added(map) => Some(format!("+{}={}", map.name_any(), config_map_value(map))),
        WatchEvent::Modified(map) => Some(format!("~{}={}", map.name_any(), config_map_value(map))),
        WatchEvent::Deleted(map) => Some(format!("-{}={}", map.name_any(), config_map_value(map))),
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => None,
    }
}

async fn informer_emits_each_change_once(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &labelled_config_map("a", "topic", "inform")).await?;
    let config = Config::default().labels("topic=inform");
    let mut informer = Informer::with_config(maps.clone(), config).timeout(Duration::from_secs(1));
    check!(informer.is_empty());
    informer.poll().await?;
    maps.create(&PostParams::default(), &labelled_config_map("b", "topic", "inform")).await?;
    let merge = Patch::Merge(json!({"data": {"v": "2"}}));
    maps.patch("b", &PatchParams::default(), &merge).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let end = Instant::now() + TIMEOUT;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        check!(Instant::now() < end, "the informer emitted only {seen:?}");
        informer.poll().await?;
        while let Some(event) = informer.pop() {
            seen.extend(format_event(&event));
        }
    }
    check_eq!(seen, ["+a=1", "+b=1", "~b=2", "-a=1"]);
    check_eq!(names::<ConfigMap>(informer.store().state()), ["b"]);
    Ok(())
}

async fn informer_stream_continues_after_a_watch_ends(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let config = Config::default().labels("topic=stream");
    // The watches are short, so that the stream resumes at least once.
    let mut informer = Informer::with_config(maps.clone(), config).timeout(Duration::from_secs(2));
    let mut seen = Vec::new();
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &labelled_config_map(name, "topic", "stream")).await?;
        while seen.iter().all(|seen: &String| !seen.contains(name)) {
            let Some(event) = timeout(TIMEOUT, informer.try_next()).await?? else { continue };
            seen.extend(format_event(&event));
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    check_eq!(seen, ["+a=1", "+b=1", "+c=1"]);
    Ok(())
}
