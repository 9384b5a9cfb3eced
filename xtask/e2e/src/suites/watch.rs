//! `Api::watch`: the events of a single watch request.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{
    DeleteParams, EventStream, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube_client::{Api, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{config_map, config_map_value, labelled_config_map};

suite!("watch":
    changes_after_a_list_are_emitted_in_order,
    the_initial_list_is_emitted_if_the_resource_version_is_empty_or_zero,
    a_watch_resumes_from_the_last_resource_version,
    an_object_that_is_no_longer_selected_is_emitted_as_deleted,
    a_watch_can_emit_only_metadata,
    a_bookmark_is_sent_before_the_timeout,
    no_bookmark_is_sent_when_bookmarks_are_disabled,
    unserved_kinds_and_invalid_resource_versions_are_rejected,
    a_watch_from_a_future_resource_version_emits_nothing,
);

/// Formats an event: `+a=1` for `Added`, `~a=2` for `Modified`, `-a=2` for `Deleted`, `bookmark` for `Bookmark`, and `!`
/// before the status for `Error`.
fn summary(event: &WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(map) => format!("+{}={}", map.name_any(), config_map_value(map)),
        WatchEvent::Modified(map) => format!("~{}={}", map.name_any(), config_map_value(map)),
        WatchEvent::Deleted(map) => format!("-{}={}", map.name_any(), config_map_value(map)),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => format!("!{status}"),
    }
}

/// The next `count` events, without bookmarks.
async fn next_events<K: DeserializeOwned + Send + 'static>(
    events: &mut EventStream<K>,
    count: usize,
) -> Outcome<Vec<WatchEvent<K>>> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match timeout(Duration::from_secs(20), events.try_next()).await?? {
            Some(WatchEvent::Bookmark(_)) => {}
            Some(event) => seen.push(event),
            None => check!(false, "the watch has ended after {seen:?}"),
        }
    }
    Ok(seen)
}

/// The [`summary`] of each event.
fn summaries(events: &[WatchEvent<ConfigMap>]) -> Vec<String> {
    events.iter().map(summary).collect()
}

/// Parameters that select the config maps of [`topic_map`].
fn topic_params() -> WatchParams {
    WatchParams::default().labels("topic=watch").timeout(Duration::from_secs(60))
}

/// A config map with the label `topic=watch`.
fn topic_map(name: &str) -> ConfigMap {
    labelled_config_map(name, "topic", "watch")
}

/// Sets the key `v` of a config map.
async fn set_value(maps: &Api<ConfigMap>, name: &str, value: &str) -> Outcome<ConfigMap> {
    let merge = Patch::Merge(json!({"data": {"v": value}}));
    Ok(maps.patch(name, &PatchParams::default(), &merge).await?)
}

/// The current resource version of the list of `maps`.
async fn list_version(maps: &Api<ConfigMap>) -> Outcome<String> {
    Ok(maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default())
}

async fn changes_after_a_list_are_emitted_in_order(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    let mut events = maps.watch(&topic_params(), &list_version(&maps).await?).await?;
    maps.create(&PostParams::default(), &topic_map("b")).await?;
    set_value(&maps, "a", "2").await?;
    maps.create(&PostParams::default(), &config_map("unseen", "1")).await?;
    let last = set_value(&maps, "b", "3").await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let seen = next_events(&mut events, 4).await?;
    check_eq!(summaries(&seen), ["+b=1", "~a=2", "~b=3", "-a=2"]);
    check_eq!(seen[2].object(), Some(&last));
    // A deletion has its own resource version.
    let version = |map: &ConfigMap| map.resource_version().unwrap_or_default().parse::<u64>();
    let deleted = seen[3].object().map(version).transpose()?;
    check!(deleted > Some(version(&last)?), "{deleted:?}");
    Ok(())
}

async fn the_initial_list_is_emitted_if_the_resource_version_is_empty_or_zero(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    maps.create(&PostParams::default(), &topic_map("b")).await?;
    for start in ["", "0"] {
        let mut events = maps.watch(&topic_params(), start).await?;
        let mut seen = summaries(&next_events(&mut events, 2).await?);
        seen.sort();
        check_eq!(seen, ["+a=1", "+b=1"]);
    }
    Ok(())
}

async fn a_watch_resumes_from_the_last_resource_version(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut events = maps.watch(&topic_params(), &list_version(&maps).await?).await?;
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    let seen = next_events(&mut events, 1).await?;
    let at = seen[0].object().and_then(ResourceExt::resource_version).unwrap_or_default();
    drop(events);
    set_value(&maps, "a", "2").await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let mut events = maps.watch(&topic_params(), &at).await?;
    check_eq!(summaries(&next_events(&mut events, 2).await?), ["~a=2", "-a=2"]);
    Ok(())
}

async fn an_object_that_is_no_longer_selected_is_emitted_as_deleted(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let mut events = maps.watch(&topic_params(), &list_version(&maps).await?).await?;
    let label = |topic: Option<&str>, value: &str| {
        Patch::Merge(json!({"metadata": {"labels": {"topic": topic}}, "data": {"v": value}}))
    };
    let pp = PatchParams::default();
    maps.patch("a", &pp, &label(Some("watch"), "2")).await?;
    maps.patch("a", &pp, &label(Some("watch"), "3")).await?;
    maps.patch("a", &pp, &label(None, "4")).await?;
    let seen = next_events(&mut events, 3).await?;
    // The `Deleted` event contains the object in its last state with the label.
    check_eq!(summaries(&seen), ["+a=2", "~a=3", "-a=3"]);
    Ok(())
}

async fn a_watch_can_emit_only_metadata(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut events = maps.watch_metadata(&topic_params(), &list_version(&maps).await?).await?;
    let created = maps.create(&PostParams::default(), &topic_map("a")).await?;
    let seen = next_events(&mut events, 1).await?;
    check_eq!(seen[0].object().map(|object| &object.metadata), Some(&created.metadata));
    Ok(())
}

async fn a_bookmark_is_sent_before_the_timeout(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let started = Instant::now();
    let start = list_version(&maps).await?;
    let wp = topic_params().timeout(Duration::from_secs(4));
    let events: Vec<_> = maps.watch(&wp, &start).await?.try_collect().await?;
    let took = started.elapsed();
    check!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&took), "it took {took:?}");
    let Some(WatchEvent::Bookmark(bookmark)) = events.last() else {
        return Err(anyhow::anyhow!("expected a bookmark at the end, got {events:?}").into());
    };
    check_eq!(bookmark.types.kind, "ConfigMap");
    check!(!bookmark.ends_initial_events());
    // A watch resumes from the bookmark's resource version.
    let mut events = maps.watch(&topic_params(), &bookmark.metadata.resource_version).await?;
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    check_eq!(summaries(&next_events(&mut events, 1).await?), ["+a=1"]);
    Ok(())
}

async fn no_bookmark_is_sent_when_bookmarks_are_disabled(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let wp = topic_params().timeout(Duration::from_secs(3)).disable_bookmarks();
    let events: Vec<_> = maps.watch(&wp, &list_version(&maps).await?).await?.collect().await;
    check!(events.is_empty(), "{events:?}");
    Ok(())
}

async fn unserved_kinds_and_invalid_resource_versions_are_rejected(env: Env) -> Outcome {
    use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
    let ghost = ApiResource::from_gvk(&GroupVersionKind::gvk("e2e.invalid", "v1", "Ghost"));
    let ghosts: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &ghost);
    let error = refused!(ghosts.watch(&WatchParams::default(), "0").await);
    check!(error.is_not_found(), "{error:?}");
    let maps: Api<ConfigMap> = env.api();
    let error = refused!(maps.watch(&WatchParams::default(), "bogus").await);
    check!(error.to_string().contains("bogus"), "{error:?}");
    Ok(())
}

async fn a_watch_from_a_future_resource_version_emits_nothing(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let future = list_version(&maps).await?.parse::<u64>()? + 1_000_000;
    let params = topic_params().timeout(Duration::from_secs(3));
    let mut events = maps.watch(&params, &future.to_string()).await?;
    maps.create(&PostParams::default(), &topic_map("a")).await?;
    // The watch times out without emitting the change or a bookmark.
    let seen = timeout(Duration::from_secs(20), events.try_next()).await??;
    check!(seen.is_none(), "{seen:?}");
    Ok(())
}
