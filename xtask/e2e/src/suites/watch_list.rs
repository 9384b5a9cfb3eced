//! Watches that begin with the initial list (WatchList, KEP-3157).

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, future::ready};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube_client::{Api, ResourceExt};
use kube_runtime::watcher::{self, Event, InitialListStrategy, watcher};
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::labelled_config_map;

suite!("watch_list":
    initial_events_end_with_a_bookmark [WatchList],
    an_empty_initial_list_is_only_a_bookmark [WatchList],
    both_initial_list_strategies_return_the_same_objects,
    a_future_resource_version_causes_an_error_event [WatchList],
);

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Creates the config maps `a`, `b` and `c`.
async fn create_three_maps(maps: &Api<ConfigMap>) -> Outcome {
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &labelled_config_map(name, "topic", "watch-list")).await?;
    }
    Ok(())
}

/// Parameters of a watch for the config maps of [`create_three_maps`]. The watch begins with the initial list.
fn watch_list_params() -> WatchParams {
    WatchParams::default().labels("topic=watch-list").timeout(Duration::from_secs(60)).initial_events()
}

async fn initial_events_end_with_a_bookmark(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    create_three_maps(&maps).await?;
    let list = maps.list(&ListParams::default().labels("topic=watch-list")).await?;
    let mut events = maps.watch(&watch_list_params(), "").await?;
    let mut objects = Vec::new();
    let version = loop {
        match timeout(TIMEOUT, events.try_next()).await?? {
            Some(WatchEvent::Added(map)) => objects.push(map),
            Some(WatchEvent::Bookmark(bookmark)) if bookmark.ends_initial_events() => {
                break bookmark.metadata.resource_version;
            }
            other => check!(false, "{other:?}"),
        }
    };
    objects.sort_by_key(ResourceExt::name_any);
    check_eq!(objects, list.items);
    let listed: u64 = list.metadata.resource_version.unwrap_or_default().parse()?;
    check!(version.parse::<u64>()? >= listed, "{version} is older than {listed}");
    maps.create(&PostParams::default(), &labelled_config_map("d", "topic", "watch-list")).await?;
    // The server may send further bookmarks at any time.
    let mut changes = events.try_filter(|event| ready(!matches!(event, WatchEvent::Bookmark(_))));
    let next = timeout(TIMEOUT, changes.try_next()).await??;
    check!(matches!(&next, Some(WatchEvent::Added(map)) if map.name_any() == "d"), "{next:?}");
    Ok(())
}

async fn an_empty_initial_list_is_only_a_bookmark(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut events = maps.watch(&watch_list_params(), "").await?;
    let first = timeout(TIMEOUT, events.try_next()).await??;
    check!(matches!(&first, Some(WatchEvent::Bookmark(mark)) if mark.ends_initial_events()), "{first:?}");
    Ok(())
}

async fn both_initial_list_strategies_return_the_same_objects(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    create_three_maps(&maps).await?;
    let mut lists = Vec::new();
    for strategy in [InitialListStrategy::ListWatch, InitialListStrategy::StreamingList] {
        let config = watcher::Config::default().labels("topic=watch-list").initial_list_strategy(strategy);
        let mut stream = watcher(maps.clone(), config).boxed();
        let mut list = Vec::new();
        loop {
            match timeout(TIMEOUT, stream.try_next()).await?? {
                // If the server rejects WatchList, the watcher falls back to a list and emits `Init` again.
                Some(Event::Init) => list.clear(),
                Some(Event::InitApply(map)) => list.push(map),
                Some(Event::InitDone) => break,
                other => check!(false, "{other:?}"),
            }
        }
        list.sort_by_key(ResourceExt::name_any);
        lists.push(list);
    }
    check_eq!(lists[0].len(), 3);
    check_eq!(lists[0], lists[1]);
    Ok(())
}

async fn a_future_resource_version_causes_an_error_event(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let version = maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let future = (version.parse::<u64>()? + 1_000_000).to_string();
    let mut events = maps.watch(&watch_list_params(), &future).await?;
    let first = timeout(TIMEOUT, events.try_next()).await??;
    let Some(WatchEvent::Error(status)) = first else {
        return Err(anyhow::anyhow!("the first event is {first:?}, expected an error").into());
    };
    check_eq!((status.code, status.reason.as_str()), (504, "Timeout"));
    Ok(())
}
