//! `watcher`, `reflector` and `watch_object` streams, and the combinators of `WatchStreamExt`.

use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::{Api, ResourceExt};
use kube_runtime::reflector::{ObjectRef, store};
use kube_runtime::watcher::{self, Config, Event, watch_object, watcher};
use kube_runtime::{PredicateConfig, WatchStreamExt, predicates, reflector};
use serde_json::json;
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{config_map_value, labelled_config_map, named_metadata, names, wait_until_converged};

suite!("streams":
    watcher_emits_the_initial_list_before_changes,
    watcher_resumes_when_a_watch_times_out,
    store_holds_objects_of_all_namespaces,
    touched_objects_include_deleted_objects,
    predicate_filter_drops_changes_that_keep_the_labels,
    modify_changes_objects_before_they_are_stored,
    watch_object_emits_creation_change_and_deletion,
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A config map with the label `topic=streams`.
fn topic_map(name: &str) -> ConfigMap {
    labelled_config_map(name, "topic", "streams")
}

/// A configuration that selects the config maps of [`topic_map`].
fn topic_config() -> Config {
    Config::default().labels("topic=streams")
}

/// Sets the key `v` of a config map.
async fn set_value(maps: &Api<ConfigMap>, name: &str, value: &str) -> Outcome {
    let merge = Patch::Merge(json!({"data": {"v": value}}));
    maps.patch(name, &PatchParams::default(), &merge).await?;
    Ok(())
}

/// The next item of the stream. Fails if the item is an error, if the stream has ended, or if [`TIMEOUT`] elapses.
async fn next<T>(stream: &mut (impl Stream<Item = watcher::Result<T>> + Unpin)) -> Outcome<T> {
    let item = timeout(TIMEOUT, stream.try_next()).await??;
    Ok(item.ok_or_else(|| anyhow::anyhow!("the stream has ended"))?)
}

/// Formats an event: `[` and `]` for `Init` and `InitDone`, `*a=1` for `InitApply`, `+a=1` for `Apply`, `-a=1` for
/// `Delete`.
fn summary(event: &Event<ConfigMap>) -> String {
    match event {
        Event::Init => "[".to_owned(),
        Event::InitApply(map) => format!("*{}={}", map.name_any(), config_map_value(map)),
        Event::InitDone => "]".to_owned(),
        Event::Apply(map) => format!("+{}={}", map.name_any(), config_map_value(map)),
        Event::Delete(map) => format!("-{}={}", map.name_any(), config_map_value(map)),
    }
}

async fn watcher_emits_the_initial_list_before_changes(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    let mut stream = watcher(maps.clone(), topic_config()).boxed();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "]") {
        seen.push(summary(&next(&mut stream).await?));
    }
    // If the server does not support WatchList, the watcher emits `Init` twice.
    check!(seen.ends_with(&["[".to_owned(), "*a=1".to_owned(), "]".to_owned()]), "{seen:?}");
    maps.create(&PostParams::default(), &topic_map("b")).await?;
    set_value(&maps, "a", "2").await?;
    maps.delete("b", &DeleteParams::default()).await?;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(summary(&next(&mut stream).await?));
    }
    check_eq!(seen, ["+b=1", "+a=2", "-b=1"]);
    Ok(())
}

async fn watcher_resumes_when_a_watch_times_out(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut stream = watcher(maps.clone(), topic_config().timeout(Duration::from_secs(1))).boxed();
    while !matches!(next(&mut stream).await?, Event::InitDone) {}
    for n in 0..4 {
        let changed = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            maps.create(&PostParams::default(), &topic_map(&format!("m{n}"))).await
        };
        let (event, changed) = futures::join!(next(&mut stream), changed);
        changed?;
        check_eq!(summary(&event?), format!("+m{n}=1"));
    }
    Ok(())
}

async fn store_holds_objects_of_all_namespaces(env: Env) -> Outcome {
    let namespaces: Api<Namespace> = Api::all(env.client());
    let other = env.unique_name("other");
    env.delete_at_end(&namespaces, &other);
    let namespace = Namespace { metadata: named_metadata(&other), ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await?;
    let label = format!("e2e={}", env.namespace());
    let map = || labelled_config_map("same-name", "e2e", env.namespace());
    let all: Api<ConfigMap> = Api::all(env.client());
    let (reader, writer) = store();
    let stream = reflector(writer, watcher(all.clone(), Config::default().labels(&label)));
    let watch_task = tokio::spawn(stream.for_each(|_| std::future::ready(())));
    timeout(TIMEOUT, reader.wait_until_ready()).await??;
    check!(reader.is_empty());
    env.api().create(&PostParams::default(), &map()).await?;
    let other_maps: Api<ConfigMap> = Api::namespaced(env.client(), &other);
    other_maps.create(&PostParams::default(), &map()).await?;
    let lp = ListParams::default().labels(&label);
    wait_until_converged(&reader, &all, &lp, TIMEOUT).await?;
    check_eq!(reader.len(), 2);
    let key = ObjectRef::new("same-name").within(&other);
    check!(reader.get(&key).is_some_and(|map| map.namespace().as_deref() == Some(other.as_str())));
    other_maps.delete("same-name", &DeleteParams::default()).await?;
    wait_until_converged(&reader, &all, &lp, TIMEOUT).await?;
    check!(reader.get(&key).is_none() && !watch_task.is_finished());
    watch_task.abort();
    Ok(())
}

async fn touched_objects_include_deleted_objects(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    let mut applied = watcher(maps.clone(), topic_config()).applied_objects().boxed();
    let mut touched = watcher(maps.clone(), topic_config()).touched_objects().boxed();
    check_eq!(next(&mut applied).await?.name_any(), "a");
    check_eq!(next(&mut touched).await?.name_any(), "a");
    maps.delete("a", &DeleteParams::default()).await?;
    maps.create(&PostParams::default(), &topic_map("b")).await?;
    check_eq!(next(&mut applied).await?.name_any(), "b");
    check_eq!(next(&mut touched).await?.name_any(), "a");
    check_eq!(next(&mut touched).await?.name_any(), "b");
    Ok(())
}

async fn predicate_filter_drops_changes_that_keep_the_labels(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    let mut relabelled = watcher(maps.clone(), topic_config())
        .applied_objects()
        .predicate_filter(predicates::labels, PredicateConfig::default())
        .boxed();
    check_eq!(next(&mut relabelled).await?.labels().len(), 1);
    set_value(&maps, "a", "2").await?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"more": "yes"}}}));
    maps.patch("a", &PatchParams::default(), &label).await?;
    let map = next(&mut relabelled).await?;
    check_eq!((map.labels().len(), config_map_value(&map)), (2, "2"));
    Ok(())
}

async fn modify_changes_objects_before_they_are_stored(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    let (reader, writer) = store();
    let mut stream = watcher(maps.clone(), topic_config())
        .modify(|map| map.data = None)
        .reflect(writer)
        .touched_objects()
        .boxed();
    let first = next(&mut stream).await?;
    check_eq!((first.name_any(), first.data.clone()), ("a".to_owned(), None));
    maps.create(&PostParams::default(), &topic_map("b")).await?;
    next(&mut stream).await?;
    check_eq!(names::<ConfigMap>(reader.state()), ["a", "b"]);
    check!(reader.state().iter().all(|map| map.data.is_none()));
    Ok(())
}

async fn watch_object_emits_creation_change_and_deletion(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut stream = watch_object(maps.clone(), "a").boxed();
    check!(next(&mut stream).await?.is_none());
    maps.create(&PostParams::default(), &topic_map("b")).await?;
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    check_eq!(next(&mut stream).await?.as_ref().map(config_map_value), Some("1"));
    set_value(&maps, "a", "2").await?;
    check_eq!(next(&mut stream).await?.as_ref().map(config_map_value), Some("2"));
    maps.delete("a", &DeleteParams::default()).await?;
    check!(next(&mut stream).await?.is_none());
    Ok(())
}
