//! `Api::watch`: the events of single watch requests.

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
use crate::support::{config_map, labelled, value};

suite!("watch":
    changes_after_a_list_come_in_order,
    without_a_version_the_present_state_comes_first,
    a_watch_resumes_where_another_ended,
    what_leaves_a_selection_is_deleted_from_it,
    metadata_alone_can_be_watched,
    a_watch_ends_at_its_time_after_a_bookmark,
    without_bookmarks_there_are_none,
    a_watch_of_what_is_not_served_is_refused,
    a_watch_from_a_future_version_is_silent,
);

/// As `+a=1`, `~a=2`, `-a=2`.
fn short(event: &WatchEvent<ConfigMap>) -> String {
    match event {
        WatchEvent::Added(map) => format!("+{}={}", map.name_any(), value(map)),
        WatchEvent::Modified(map) => format!("~{}={}", map.name_any(), value(map)),
        WatchEvent::Deleted(map) => format!("-{}={}", map.name_any(), value(map)),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => format!("!{status}"),
    }
}

/// The next events about objects.
async fn next<K: DeserializeOwned + Send + 'static>(
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

fn shorts(events: &[WatchEvent<ConfigMap>]) -> Vec<String> {
    events.iter().map(short).collect()
}

/// The parameters of a watch of the maps that [`ours`] makes.
fn topic() -> WatchParams {
    WatchParams::default().labels("topic=watch").timeout(Duration::from_secs(60))
}

fn ours(name: &str) -> ConfigMap {
    labelled(name, "topic", "watch")
}

async fn set(maps: &Api<ConfigMap>, name: &str, value: &str) -> Outcome<ConfigMap> {
    let merge = Patch::Merge(json!({"data": {"v": value}}));
    Ok(maps.patch(name, &PatchParams::default(), &merge).await?)
}

async fn version(maps: &Api<ConfigMap>) -> Outcome<String> {
    Ok(maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default())
}

async fn changes_after_a_list_come_in_order(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &ours("a")).await?;
    let mut events = maps.watch(&topic(), &version(&maps).await?).await?;
    maps.create(&PostParams::default(), &ours("b")).await?;
    set(&maps, "a", "2").await?;
    maps.create(&PostParams::default(), &config_map("unseen", "1")).await?;
    let last = set(&maps, "b", "3").await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let seen = next(&mut events, 4).await?;
    check_eq!(shorts(&seen), ["+b=1", "~a=2", "~b=3", "-a=2"]);
    check_eq!(seen[2].object(), Some(&last));
    // The `DELETED` event has a new resource version.
    let deleted = seen[3].object().and_then(ResourceExt::resource_version);
    check!(deleted > last.resource_version(), "{deleted:?}");
    Ok(())
}

async fn without_a_version_the_present_state_comes_first(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &ours("a")).await?;
    maps.create(&PostParams::default(), &ours("b")).await?;
    for start in ["", "0"] {
        let mut events = maps.watch(&topic(), start).await?;
        let mut seen = shorts(&next(&mut events, 2).await?);
        seen.sort();
        check_eq!(seen, ["+a=1", "+b=1"]);
    }
    Ok(())
}

async fn a_watch_resumes_where_another_ended(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut events = maps.watch(&topic(), &version(&maps).await?).await?;
    maps.create(&PostParams::default(), &ours("a")).await?;
    let seen = next(&mut events, 1).await?;
    let at = seen[0].object().and_then(ResourceExt::resource_version).unwrap_or_default();
    drop(events);
    set(&maps, "a", "2").await?;
    maps.delete("a", &DeleteParams::default()).await?;
    let mut events = maps.watch(&topic(), &at).await?;
    check_eq!(shorts(&next(&mut events, 2).await?), ["~a=2", "-a=2"]);
    Ok(())
}

async fn what_leaves_a_selection_is_deleted_from_it(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &config_map("a", "1")).await?;
    let mut events = maps.watch(&topic(), &version(&maps).await?).await?;
    let label = |topic: Option<&str>, value: &str| {
        Patch::Merge(json!({"metadata": {"labels": {"topic": topic}}, "data": {"v": value}}))
    };
    let pp = PatchParams::default();
    maps.patch("a", &pp, &label(Some("watch"), "2")).await?;
    maps.patch("a", &pp, &label(Some("watch"), "3")).await?;
    maps.patch("a", &pp, &label(None, "4")).await?;
    let seen = next(&mut events, 3).await?;
    // With its last state that was selected.
    check_eq!(shorts(&seen), ["+a=2", "~a=3", "-a=3"]);
    Ok(())
}

async fn metadata_alone_can_be_watched(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut events = maps.watch_metadata(&topic(), &version(&maps).await?).await?;
    let made = maps.create(&PostParams::default(), &ours("a")).await?;
    let seen = next(&mut events, 1).await?;
    check_eq!(seen[0].object().map(|object| &object.metadata), Some(&made.metadata));
    Ok(())
}

async fn a_watch_ends_at_its_time_after_a_bookmark(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let begun = Instant::now();
    let start = version(&maps).await?;
    let wp = topic().timeout(Duration::from_secs(4));
    let events: Vec<_> = maps.watch(&wp, &start).await?.try_collect().await?;
    let took = begun.elapsed();
    check!((Duration::from_secs(3)..Duration::from_secs(8)).contains(&took), "it took {took:?}");
    let Some(WatchEvent::Bookmark(bookmark)) = events.last() else {
        return Err(anyhow::anyhow!("no bookmark, but {events:?}").into());
    };
    check_eq!(bookmark.types.kind, "ConfigMap");
    check!(!bookmark.ends_initial_events());
    // It is good to go on from.
    let mut events = maps.watch(&topic(), &bookmark.metadata.resource_version).await?;
    maps.create(&PostParams::default(), &ours("a")).await?;
    check_eq!(shorts(&next(&mut events, 1).await?), ["+a=1"]);
    Ok(())
}

async fn without_bookmarks_there_are_none(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let wp = topic().timeout(Duration::from_secs(3)).disable_bookmarks();
    let events: Vec<_> = maps.watch(&wp, &version(&maps).await?).await?.collect().await;
    check!(events.is_empty(), "{events:?}");
    Ok(())
}

async fn a_watch_of_what_is_not_served_is_refused(env: Env) -> Outcome {
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

async fn a_watch_from_a_future_version_is_silent(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let future = version(&maps).await?.parse::<u64>()? + 1_000_000;
    let params = topic().timeout(Duration::from_secs(3));
    let mut events = maps.watch(&params, &future.to_string()).await?;
    maps.create(&PostParams::default(), &ours("a")).await?;
    // Neither the change nor a bookmark before the end.
    let seen = timeout(Duration::from_secs(20), events.try_next()).await??;
    check!(seen.is_none(), "{seen:?}");
    Ok(())
}
