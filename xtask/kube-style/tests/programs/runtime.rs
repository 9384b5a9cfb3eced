//! Programs that use watchers, reflectors, predicates, conditions, finalizers and events.

use futures::{Stream, StreamExt, TryStreamExt, future::ready, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::events::{Event as Occurrence, EventType, Recorder, Reporter};
use kube::runtime::finalizer::{Event as Finalization, finalizer};
use kube::runtime::reflector::{self, Lookup, ObjectRef, Store, store::Writer};
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::runtime::watcher::{self, Event, ExponentialBackoff};
use kube::runtime::{
    PredicateConfig, WatchStreamExt, controller::Action, metadata_watcher, predicates, watcher as watch,
};
use kube::{Client, Resource, ResourceExt};
use kube_sim::Sim;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Starts a simulated cluster, and returns the API for its config maps.
fn config_map_api() -> Api<ConfigMap> {
    Api::default_namespaced(Client::new(Sim::new().service(), "default"))
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn a_watcher_emits_objects() -> anyhow::Result<()> {
    let maps = config_map_api();
    maps.create(&PostParams::default(), &config_map("a")).await?;
    let config =
        watcher::Config { field_selector: Some("metadata.name=a".into()), ..watcher::Config::default() }
            .timeout(30);
    let mut objects = watch(maps.clone(), config).default_backoff().applied_objects().boxed();
    assert_eq!(objects.try_next().await?.map(|map| map.name_any()).as_deref(), Some("a"));
    let mut touched = metadata_watcher(maps, watcher::Config::default()).touched_objects().boxed();
    assert!(touched.try_next().await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_reflector_fills_a_store() -> anyhow::Result<()> {
    let maps = config_map_api();
    maps.create(&PostParams::default(), &config_map("a")).await?;
    let (reader, writer) = reflector::store();
    let changes = watch(maps, watcher::Config::default())
        .modify(|map| map.metadata.managed_fields = None)
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::resource_version, PredicateConfig::default());
    let task = tokio::spawn(changes.for_each(|_| ready(())));
    reader.wait_until_ready().await?;
    let key = ObjectRef::new("a").within("default");
    assert_eq!(reader.get(&key).map(|map: Arc<ConfigMap>| map.name_any()).as_deref(), Some("a"));
    assert!(reader.find(|map| map.name_any() == "a").is_some());
    task.abort();
    Ok(())
}

/// Creates a store that contains `objects`. Tests of Kubernetes operators fill stores without a watcher, as this function
/// does.
fn filled_store<K>(objects: &[K]) -> Store<K>
where
    K: Lookup + Resource<DynamicType = ()> + Clone + 'static,
{
    let mut writer = Writer::default();
    for event in &objects.iter().cloned().map(Event::Apply).collect::<Vec<_>>() {
        writer.apply_watcher_event(event);
    }
    writer.as_reader()
}

#[test]
fn a_store_is_filled_without_a_watcher() {
    let pod = Pod { metadata: config_map("p").metadata, ..Pod::default() };
    let store = filled_store(std::slice::from_ref(&pod));
    assert_eq!(store.state().len(), 1);
    assert_eq!(pod.to_object_ref(()), ObjectRef::from(&pod));
    assert_eq!(Writer::<Pod>::new(()).as_reader().len(), 0);
    assert_eq!(Event::Apply(pod).to_string(), "Apply(p)");
}

/// The names of the pods in the `InitApply` and `Apply` events of a stream. The stream may have any type.
fn pod_names(
    events: impl Stream<Item = watcher::Result<Event<Pod>>>,
) -> impl Stream<Item = watcher::Result<String>> {
    events.applied_objects().map_ok(|pod| pod.name_any())
}

#[tokio::test]
async fn combinators_work_on_any_stream() -> anyhow::Result<()> {
    let pod = Pod { metadata: config_map("p").metadata, ..Pod::default() };
    let events = stream::iter([Ok(Event::Init), Ok(Event::InitApply(pod)), Ok(Event::InitDone)]);
    assert_eq!(pod_names(events).try_collect::<Vec<_>>().await?, ["p"]);
    let fixed = ExponentialBackoff::new(Duration::from_secs(1), Duration::from_secs(1), 1.0, false);
    let mut boxed: Box<dyn Backoff> = Box::new(ResetTimerBackoff::new(fixed, Duration::from_secs(9)));
    assert_eq!(boxed.next(), Some(Duration::from_secs(1)));
    Ok(())
}

#[tokio::test]
async fn a_program_waits_for_a_condition() -> anyhow::Result<()> {
    let maps = config_map_api();
    let exists = conditions::is_deleted("no such uid").not().and(|map: Option<&ConfigMap>| map.is_some());
    let _: &dyn Condition<ConfigMap> = &exists;
    let has_data = |map: Option<&ConfigMap>| map.is_some_and(|map| map.data.is_some());
    let waiting = tokio::spawn(await_condition(maps.clone(), "a", has_data));
    maps.create(&PostParams::default(), &config_map("a")).await?;
    let patch = json!({ "data": { "a": "b" } });
    maps.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    let map = tokio::time::timeout(Duration::from_secs(20), waiting).await???;
    assert!(map.is_some());
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("the cleanup failed")]
struct CleanupError;

#[tokio::test]
async fn a_finalizer_runs_apply_and_cleanup() -> anyhow::Result<()> {
    let maps = config_map_api();
    let map = Arc::new(maps.create(&PostParams::default(), &config_map("a")).await?);
    let reconcile = async |event: Finalization<ConfigMap>| match event {
        Finalization::Apply(_) => Ok::<_, CleanupError>(Action::requeue(Duration::from_secs(300))),
        Finalization::Cleanup(_) => Ok(Action::await_change()),
    };
    finalizer(&maps, "example.com/cleanup", map, reconcile).await?;
    assert_eq!(maps.get("a").await?.finalizers(), ["example.com/cleanup"]);
    maps.delete("a", &kube::api::DeleteParams::default()).await?;
    let map = Arc::new(maps.get("a").await?);
    finalizer(&maps, "example.com/cleanup", map, reconcile).await?;
    assert!(maps.get_opt("a").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_recorder_publishes_events() -> anyhow::Result<()> {
    let maps = config_map_api();
    let map = maps.create(&PostParams::default(), &config_map("a")).await?;
    let reporter = Reporter { controller: "program".into(), instance: None };
    let recorder = Recorder::new(maps.into_client(), reporter);
    let event = Occurrence {
        type_: EventType::Normal,
        reason: "Checked".into(),
        note: Some("all is well".into()),
        action: "Check".into(),
        secondary: None,
    };
    recorder.publish(&event, &map.object_ref(&())).await?;
    Ok(())
}
