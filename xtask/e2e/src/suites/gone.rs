//! Expired resource versions (410 Gone) after a compaction, and the relist of caches.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{DeleteParams, ListParams, PostParams, VersionMatch, WatchEvent, WatchParams};
use kube_client::{Api, ResourceExt};
use kube_runtime::watcher::Config;
use kube_runtime::{Informer, Reflector};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{converges, eventually, labelled, names, polling};

suite!("gone":
    old_tokens_versions_and_watches_get_410 [History],
    a_reflector_lists_anew_and_drops_what_vanished [History],
    an_informer_tells_what_happened_meanwhile [History],
);

fn ours(name: &str) -> ConfigMap {
    labelled(name, "topic", "gone")
}

/// Creates several objects, so that earlier resource versions are well behind the current one.
async fn make(maps: &Api<ConfigMap>, names: &[&str]) -> Outcome {
    for name in names {
        maps.create(&PostParams::default(), &ours(name)).await?;
    }
    Ok(())
}

async fn old_tokens_versions_and_watches_get_410(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    make(&maps, &["a", "b", "c"]).await?;
    let page = maps.list(&ListParams::default().labels("topic=gone").limit(1)).await?;
    let token = page.metadata.continue_.unwrap_or_default();
    let version = page.metadata.resource_version.unwrap_or_default();
    check!(!token.is_empty() && !version.is_empty());
    make(&maps, &["d", "e", "f"]).await?;
    env.forget_history().await?;

    let error = refused!(maps.list(&ListParams::default().limit(1).continue_token(&token)).await);
    check!(error.is_gone() && error.is_expired(), "{error:?}");
    let exact = ListParams::default().at(&version).matching(VersionMatch::Exact);
    let error = refused!(maps.list(&exact).await);
    check!(error.is_gone(), "{error:?}");
    // The server may refuse the watch, or send the error as an event.
    let told = match maps.watch(&WatchParams::default(), &version).await {
        Err(error) => error.is_gone(),
        Ok(mut events) => match events.try_next().await? {
            Some(WatchEvent::Error(status)) => status.is_gone(),
            other => return Err(anyhow::anyhow!("the watch goes on with {other:?}").into()),
        },
    };
    check!(told);
    check_eq!(maps.list(&ListParams::default().labels("topic=gone")).await?.items.len(), 6);
    Ok(())
}

async fn a_reflector_lists_anew_and_drops_what_vanished(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    make(&maps, &["a", "b"]).await?;
    let config = Config::default().labels("topic=gone");
    let mut reflector = Reflector::with_config(maps.clone(), config).timeout(Duration::from_secs(1));
    reflector.poll().await?;
    check_eq!(names::<ConfigMap>(reflector.read()), ["a", "b"]);
    // While nobody polls.
    maps.delete("a", &DeleteParams::default()).await?;
    make(&maps, &["c", "d"]).await?;
    env.forget_history().await?;
    check_eq!(names::<ConfigMap>(reflector.read()), ["a", "b"]);
    let store = reflector.store();
    let lp = ListParams::default().labels("topic=gone");
    polling(&mut reflector, converges(&store, &maps, &lp, Duration::from_secs(60))).await?;
    check_eq!(names::<ConfigMap>(store.state()), ["b", "c", "d"]);
    Ok(())
}

async fn an_informer_tells_what_happened_meanwhile(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    make(&maps, &["a", "b", "c"]).await?;
    let config = Config::default().labels("topic=gone");
    let mut informer = Informer::with_config(maps.clone(), config).timeout(Duration::from_secs(1));
    informer.poll().await?;
    let mut told = Vec::new();
    drain(&mut informer, &mut told);
    told.sort();
    check_eq!(told, ["added a", "added b", "added c"]);
    maps.delete("a", &DeleteParams::default()).await?;
    let mut b = maps.get("b").await?;
    b.data.get_or_insert_default().insert("v".to_owned(), "2".to_owned());
    maps.replace("b", &PostParams::default(), &b).await?;
    make(&maps, &["d"]).await?;
    env.forget_history().await?;
    let mut told = Vec::new();
    eventually("the informer has told all", Duration::from_secs(60), async || {
        informer.poll().await?;
        drain(&mut informer, &mut told);
        Ok((told.len() >= 3).then_some(()))
    })
    .await?;
    told.sort();
    // No event for `c`, which is unchanged.
    check_eq!(told, ["added d", "deleted a", "modified b"]);
    Ok(())
}

fn drain(informer: &mut Informer<ConfigMap>, told: &mut Vec<String>) {
    while let Some(event) = informer.pop() {
        told.push(match event {
            WatchEvent::Added(map) => format!("added {}", map.name_any()),
            WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
            WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
            // What it had lost is told as an error, or not at all.
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => continue,
        });
    }
}
