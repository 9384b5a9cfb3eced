//! Objects as complete as the program wants them, and the objects `Reflector` and `Informer`.

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
use crate::support::{config_map, converges, deployment, is_of, labelled, names, polling, value};

suite!("objects":
    an_incomplete_struct_reads_what_it_names,
    a_dynamic_object_has_it_all,
    metadata_is_a_kind_of_its_own,
    a_time_beyond_the_last_timestamp_is_the_last_one,
    one_that_does_not_decode_is_named_and_the_rest_go_on,
    a_reflector_lists_then_follows,
    a_reflector_of_incomplete_structs_follows_a_custom_kind,
    an_informer_tells_each_change_once,
    an_informer_is_a_stream,
);

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Wanted {
    replicas: i32,
}

type Slim = Object<Wanted, NotUsed>;

async fn an_incomplete_struct_reads_what_it_names(env: Env) -> Outcome {
    let whole: Api<Deployment> = env.api();
    let full = whole.create(&PostParams::default(), &deployment("web", 0)?).await?;
    let resource = ApiResource::erase::<Deployment>(&());
    let slim: Api<Slim> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let read = slim.get("web").await?;
    check_eq!(read.spec, Wanted { replicas: 0 });
    check_eq!(read.metadata.uid, full.metadata.uid);
    check!(is_of(read.types.as_ref(), "apps/v1", "Deployment"));
    let list = slim.list(&ListParams::default()).await?;
    check_eq!(names::<Slim>(&list.items), ["web"]);
    let labelled = Patch::Merge(json!({"metadata": {"labels": {"slim": "yes"}}}));
    let patched = slim.patch("web", &PatchParams::default(), &labelled).await?;
    check_eq!(patched.labels().get("slim").map(String::as_str), Some("yes"));
    // The patch keeps the fields that the struct does not declare.
    check_eq!(whole.get("web").await?.spec.template, full.spec.template);
    Ok(())
}

async fn a_dynamic_object_has_it_all(env: Env) -> Outcome {
    let resource = ApiResource::erase::<ConfigMap>(&());
    let maps: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let mut object = DynamicObject::new("a", &resource).data(json!({"data": {"v": "1"}, "immutable": false}));
    object.labels_mut().insert("kind".to_owned(), "dynamic".to_owned());
    let made = maps.create(&PostParams::default(), &object).await?;
    check_eq!(made.data, json!({"data": {"v": "1"}, "immutable": false}));
    check!(is_of(made.types.as_ref(), "v1", "ConfigMap"));
    let typed: ConfigMap = made.clone().try_parse()?;
    check_eq!(typed, env.api::<ConfigMap>().get("a").await?);
    let mut changed = made;
    changed.data["data"]["v"] = json!("2");
    let replaced = maps.replace("a", &PostParams::default(), &changed).await?;
    check_eq!(replaced.data["data"]["v"], json!("2"));
    let list = maps.list(&ListParams::default().labels("kind=dynamic")).await?;
    check_eq!(list.items.len(), 1);
    Ok(())
}

async fn metadata_is_a_kind_of_its_own(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let made = maps.create(&PostParams::default(), &labelled("a", "topic", "partial")).await?;
    let partial: Api<PartialObjectMeta<ConfigMap>> = env.api::<ConfigMap>().into_metadata();
    check_eq!(partial.get("a").await?.metadata, made.metadata);
    let list = partial.list(&ListParams::default().labels("topic=partial")).await?;
    check_eq!(names::<PartialObjectMeta<ConfigMap>>(&list.items), ["a"]);
    let wp = WatchParams::default().labels("topic=partial").timeout(Duration::from_secs(60));
    let mut events = partial.watch(&wp, &list.metadata.resource_version.unwrap_or_default()).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let event = timeout(PATIENCE, events.try_next()).await??;
    check!(matches!(&event, Some(WatchEvent::Deleted(meta)) if meta.name_any() == "a"), "{event:?}");
    Ok(())
}

/// Widgets, of which only the red ones decode.
#[derive(Clone, Debug, Deserialize)]
struct Picky {
    #[serde(rename = "colour")]
    _colour: OnlyRed,
}

#[derive(Clone, Debug, Deserialize)]
enum OnlyRed {
    Red,
}

type PickyWidget = Object<Picky, NotUsed>;

async fn a_time_beyond_the_last_timestamp_is_the_last_one(env: Env) -> Outcome {
    const NEVER: &str = "9999-12-31T23:59:59.000000Z";
    let resource = ApiResource::erase::<Lease>(&());
    let raw: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let spec = json!({"holderIdentity": NEVER, "renewTime": NEVER});
    let mut object = DynamicObject::new("never", &resource).data(json!({ "spec": spec }));
    object.annotations_mut().insert("example.com/until".to_owned(), NEVER.to_owned());
    let made = raw.create(&PostParams::default(), &object).await?;
    check_eq!(made.data["spec"]["renewTime"], json!(NEVER));
    let leases: Api<Lease> = env.api();
    let expected = Some(MicroTime(Timestamp::MAX));
    for lease in [
        leases.get("never").await?,
        leases.list(&ListParams::default()).await?.items.remove(0),
        env.client().request(Request::get(format!("{}/never", leases.resource_url())).body(vec![])?).await?,
    ] {
        check_eq!(lease.annotations()["example.com/until"], NEVER);
        let spec = lease.spec.context("the spec is missing")?;
        check_eq!((spec.renew_time, spec.holder_identity.as_deref()), (expected.clone(), Some(NEVER)));
    }
    let mut watch = leases.watch(&WatchParams::default(), "").await?.boxed();
    let event = timeout(PATIENCE, watch.try_next()).await??;
    check!(
        matches!(&event, Some(WatchEvent::Added(lease)) if lease.spec.as_ref().is_some_and(|spec| spec.renew_time == expected)),
        "{event:?}"
    );
    Ok(())
}

async fn one_that_does_not_decode_is_named_and_the_rest_go_on(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let all: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    for (name, colour) in [("a", "Red"), ("b", "Green"), ("c", "Red")] {
        let widget = DynamicObject::new(name, &resource).data(json!({"spec": {"size": 1, "colour": colour}}));
        all.create(&PostParams::default(), &widget).await?;
    }
    let picky: Api<PickyWidget> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let error = refused!(picky.list(&ListParams::default()).await);
    check_eq!(error.undecodable().and_then(|object| object.name.as_deref()), Some("b"));
    let items: Vec<_> = picky.list_stream(&ListParams::default()).await?.collect().await;
    let good: Vec<_> = items.iter().flatten().map(ResourceExt::name_any).collect();
    check_eq!(good, ["a", "c"]);

    let mut reflector = Reflector::new(picky).timeout(Duration::from_secs(1));
    let error = refused!(reflector.poll().await);
    check!(error.to_string().contains(&format!("{}/b", env.namespace())), "{error}");
    let end = Instant::now() + PATIENCE;
    while reflector.poll().await.is_err() || reflector.read().len() < 2 {
        check!(Instant::now() < end, "the reflector has {:?}", names::<PickyWidget>(reflector.read()));
    }
    check_eq!(names::<PickyWidget>(reflector.read()), ["a", "c"]);
    // The object appears as soon as it decodes.
    let red = Patch::Merge(json!({"spec": {"colour": "Red"}}));
    all.patch("b", &PatchParams::default(), &red).await?;
    reflector.poll().await?;
    check_eq!(names::<PickyWidget>(reflector.read()), ["a", "b", "c"]);
    Ok(())
}

async fn a_reflector_lists_then_follows(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &labelled("a", "topic", "reflect")).await?;
    let config = Config::default().labels("topic=reflect");
    let mut reflector = Reflector::with_config(maps.clone(), config).timeout(Duration::from_secs(2));
    check!(reflector.read().is_empty() && reflector.resource_version().is_none());
    let begun = Instant::now();
    reflector.poll().await?;
    let took = begun.elapsed();
    check!((Duration::from_millis(1500)..Duration::from_secs(5)).contains(&took), "a poll took {took:?}");
    check_eq!(names::<ConfigMap>(reflector.read()), ["a"]);
    check!(reflector.resource_version().is_some());
    maps.create(&PostParams::default(), &labelled("b", "topic", "reflect")).await?;
    maps.create(&PostParams::default(), &config_map("other", "1")).await?;
    let merge = Patch::Merge(json!({"data": {"v": "2"}}));
    maps.patch("a", &PatchParams::default(), &merge).await?;
    reflector.poll().await?;
    let state: BTreeMap<_, _> =
        reflector.read().iter().map(|map| (map.name_any(), value(map).to_owned())).collect();
    check_eq!(state, BTreeMap::from([("a", "2"), ("b", "1")].map(|(k, v)| (k.to_owned(), v.to_owned()))));
    maps.delete("a", &DeleteParams::default()).await?;
    reflector.poll().await?;
    let lp = ListParams::default().labels("topic=reflect");
    converges(&reflector.store(), &maps, &lp, PATIENCE).await
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Size {
    size: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Ready {
    ready: bool,
}

async fn a_reflector_of_incomplete_structs_follows_a_custom_kind(env: Env) -> Outcome {
    let resource = install(&env).await?;
    let all: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let widget = |name: &str| DynamicObject::new(name, &resource).data(json!({"spec": {"size": 1}}));
    all.create(&PostParams::default(), &widget("a")).await?;
    let slim: Api<Object<Size, Ready>> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let mut reflector = Reflector::new(slim.clone()).timeout(Duration::from_secs(1));
    reflector.poll().await?;
    check_eq!(reflector.read().len(), 1);
    check_eq!(reflector.read()[0].status, None);
    let ready = Patch::Merge(json!({"status": {"ready": true}}));
    all.patch_status("a", &PatchParams::default(), &ready).await?;
    all.create(&PostParams::default(), &widget("b")).await?;
    let store = reflector.store();
    polling(&mut reflector, converges(&store, &slim, &ListParams::default(), PATIENCE)).await?;
    let a = store.find(|widget| widget.name_any() == "a");
    check_eq!(a.and_then(|widget| widget.status.clone()), Some(Ready { ready: true }));
    Ok(())
}

fn told(event: &WatchEvent<std::sync::Arc<ConfigMap>>) -> Option<String> {
    match event {
        WatchEvent::Added(map) => Some(format!("+{}={}", map.name_any(), value(map))),
        WatchEvent::Modified(map) => Some(format!("~{}={}", map.name_any(), value(map))),
        WatchEvent::Deleted(map) => Some(format!("-{}={}", map.name_any(), value(map))),
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => None,
    }
}

async fn an_informer_tells_each_change_once(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &labelled("a", "topic", "inform")).await?;
    let config = Config::default().labels("topic=inform");
    let mut informer = Informer::with_config(maps.clone(), config).timeout(Duration::from_secs(1));
    check!(informer.is_empty());
    informer.poll().await?;
    maps.create(&PostParams::default(), &labelled("b", "topic", "inform")).await?;
    let merge = Patch::Merge(json!({"data": {"v": "2"}}));
    maps.patch("b", &PatchParams::default(), &merge).await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let end = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        check!(Instant::now() < end, "only {seen:?}");
        informer.poll().await?;
        while let Some(event) = informer.pop() {
            seen.extend(told(&event));
        }
    }
    check_eq!(seen, ["+a=1", "+b=1", "~b=2", "-a=1"]);
    check_eq!(names::<ConfigMap>(informer.store().state()), ["b"]);
    Ok(())
}

async fn an_informer_is_a_stream(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let config = Config::default().labels("topic=stream");
    // The short timeout makes the stream span more than one watch.
    let mut informer = Informer::with_config(maps.clone(), config).timeout(Duration::from_secs(2));
    let mut seen = Vec::new();
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &labelled(name, "topic", "stream")).await?;
        while seen.iter().all(|seen: &String| !seen.contains(name)) {
            let Some(event) = timeout(PATIENCE, informer.try_next()).await?? else { continue };
            seen.extend(told(&event));
        }
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    check_eq!(seen, ["+a=1", "+b=1", "+c=1"]);
    Ok(())
}
