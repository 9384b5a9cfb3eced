//! Watchers and reflectors as streams, and their combinators.

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
use crate::support::{converges, labelled, named, names, value};

suite!("streams":
    a_watcher_tells_the_state_and_then_changes,
    a_watcher_goes_over_the_end_of_its_watches,
    a_store_follows_all_namespaces,
    applied_and_touched_objects,
    a_predicate_lets_only_changes_through,
    what_is_modified_is_stored_so,
    one_object_is_watched_through_its_life,
);

const PATIENCE: Duration = Duration::from_secs(30);

fn ours(name: &str) -> ConfigMap {
    labelled(name, "topic", "streams")
}

fn topic() -> Config {
    Config::default().labels("topic=streams")
}

async fn set(maps: &Api<ConfigMap>, name: &str, value: &str) -> Outcome {
    let merge = Patch::Merge(json!({"data": {"v": value}}));
    maps.patch(name, &PatchParams::default(), &merge).await?;
    Ok(())
}

/// The next item.
async fn next<T>(stream: &mut (impl Stream<Item = watcher::Result<T>> + Unpin)) -> Outcome<T> {
    let item = timeout(PATIENCE, stream.try_next()).await??;
    Ok(item.ok_or_else(|| anyhow::anyhow!("the stream has ended"))?)
}

fn short(event: &Event<ConfigMap>) -> String {
    match event {
        Event::Init => "[".to_owned(),
        Event::InitApply(map) => format!("*{}={}", map.name_any(), value(map)),
        Event::InitDone => "]".to_owned(),
        Event::Apply(map) => format!("+{}={}", map.name_any(), value(map)),
        Event::Delete(map) => format!("-{}={}", map.name_any(), value(map)),
    }
}

async fn a_watcher_tells_the_state_and_then_changes(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &ours("a")).await?;
    let mut stream = watcher(maps.clone(), topic()).boxed();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "]") {
        seen.push(short(&next(&mut stream).await?));
    }
    // A server without WatchList makes the watcher begin twice.
    check!(seen.ends_with(&["[".to_owned(), "*a=1".to_owned(), "]".to_owned()]), "{seen:?}");
    maps.create(&PostParams::default(), &ours("b")).await?;
    set(&maps, "a", "2").await?;
    maps.delete("b", &DeleteParams::default()).await?;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(short(&next(&mut stream).await?));
    }
    check_eq!(seen, ["+b=1", "+a=2", "-b=1"]);
    Ok(())
}

async fn a_watcher_goes_over_the_end_of_its_watches(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut stream = watcher(maps.clone(), topic().timeout(Duration::from_secs(1))).boxed();
    while !matches!(next(&mut stream).await?, Event::InitDone) {}
    for n in 0..4 {
        let changed = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            maps.create(&PostParams::default(), &ours(&format!("m{n}"))).await
        };
        let (event, changed) = futures::join!(next(&mut stream), changed);
        changed?;
        check_eq!(short(&event?), format!("+m{n}=1"));
    }
    Ok(())
}

async fn a_store_follows_all_namespaces(env: Env) -> Outcome {
    let namespaces: Api<Namespace> = Api::all(env.client());
    let other = env.unique("other");
    env.deletes_at_end(&namespaces, &other);
    let namespace = Namespace { metadata: named(&other), ..Namespace::default() };
    namespaces.create(&PostParams::default(), &namespace).await?;
    let label = format!("e2e={}", env.namespace());
    let map = || labelled("same-name", "e2e", env.namespace());
    let everywhere: Api<ConfigMap> = Api::all(env.client());
    let (reader, writer) = store();
    let stream = reflector(writer, watcher(everywhere.clone(), Config::default().labels(&label)));
    let feed = tokio::spawn(stream.for_each(|_| std::future::ready(())));
    timeout(PATIENCE, reader.wait_until_ready()).await??;
    check!(reader.is_empty());
    env.api().create(&PostParams::default(), &map()).await?;
    let there: Api<ConfigMap> = Api::namespaced(env.client(), &other);
    there.create(&PostParams::default(), &map()).await?;
    let lp = ListParams::default().labels(&label);
    converges(&reader, &everywhere, &lp, PATIENCE).await?;
    check_eq!(reader.len(), 2);
    let key = ObjectRef::new("same-name").within(&other);
    check!(reader.get(&key).is_some_and(|map| map.namespace().as_deref() == Some(other.as_str())));
    there.delete("same-name", &DeleteParams::default()).await?;
    converges(&reader, &everywhere, &lp, PATIENCE).await?;
    check!(reader.get(&key).is_none() && !feed.is_finished());
    feed.abort();
    Ok(())
}

async fn applied_and_touched_objects(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &ours("a")).await?;
    let mut applied = watcher(maps.clone(), topic()).applied_objects().boxed();
    let mut touched = watcher(maps.clone(), topic()).touched_objects().boxed();
    check_eq!(next(&mut applied).await?.name_any(), "a");
    check_eq!(next(&mut touched).await?.name_any(), "a");
    maps.delete("a", &DeleteParams::default()).await?;
    maps.create(&PostParams::default(), &ours("b")).await?;
    check_eq!(next(&mut applied).await?.name_any(), "b");
    check_eq!(next(&mut touched).await?.name_any(), "a");
    check_eq!(next(&mut touched).await?.name_any(), "b");
    Ok(())
}

async fn a_predicate_lets_only_changes_through(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &ours("a")).await?;
    let mut relabelled = watcher(maps.clone(), topic())
        .applied_objects()
        .predicate_filter(predicates::labels, PredicateConfig::default())
        .boxed();
    check_eq!(next(&mut relabelled).await?.labels().len(), 1);
    set(&maps, "a", "2").await?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"more": "yes"}}}));
    maps.patch("a", &PatchParams::default(), &label).await?;
    let map = next(&mut relabelled).await?;
    check_eq!((map.labels().len(), value(&map)), (2, "2"));
    Ok(())
}

async fn what_is_modified_is_stored_so(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    maps.create(&PostParams::default(), &ours("a")).await?;
    let (reader, writer) = store();
    let mut stream = watcher(maps.clone(), topic())
        .modify(|map| map.data = None)
        .reflect(writer)
        .touched_objects()
        .boxed();
    let first = next(&mut stream).await?;
    check_eq!((first.name_any(), first.data.clone()), ("a".to_owned(), None));
    maps.create(&PostParams::default(), &ours("b")).await?;
    next(&mut stream).await?;
    check_eq!(names::<ConfigMap>(reader.state()), ["a", "b"]);
    check!(reader.state().iter().all(|map| map.data.is_none()));
    Ok(())
}

async fn one_object_is_watched_through_its_life(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let mut stream = watch_object(maps.clone(), "a").boxed();
    check!(next(&mut stream).await?.is_none());
    maps.create(&PostParams::default(), &ours("b")).await?;
    maps.create(&PostParams::default(), &ours("a")).await?;
    check_eq!(next(&mut stream).await?.as_ref().map(value), Some("1"));
    set(&maps, "a", "2").await?;
    check_eq!(next(&mut stream).await?.as_ref().map(value), Some("2"));
    maps.delete("a", &DeleteParams::default()).await?;
    check!(next(&mut stream).await?.is_none());
    Ok(())
}
