//! Requests with resource versions that have expired (410 Gone), and the relists of `Reflector` and `Informer`.

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
use crate::support::{eventually, labelled_config_map, names, poll_reflector_until, wait_until_converged};

suite!("expired_versions":
    requests_with_expired_tokens_or_versions_get_410 [History],
    a_reflector_relists_and_removes_deleted_objects [History],
    an_informer_emits_missed_changes_after_a_relist [History],
);

/// A config map with the label `topic=gone`.
fn topic_map(name: &str) -> ConfigMap {
    labelled_config_map(name, "topic", "gone")
}

/// Creates config maps. Each creation increases the resource version, so that earlier versions can expire.
async fn create_maps(maps: &Api<ConfigMap>, names: &[&str]) -> Outcome {
    for name in names {
        maps.create(&PostParams::default(), &topic_map(name)).await?;
    }
    Ok(())
}

async fn requests_with_expired_tokens_or_versions_get_410(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    create_maps(&maps, &["a", "b", "c"]).await?;
    let page = maps.list(&ListParams::default().labels("topic=gone").limit(1)).await?;
    let token = page.metadata.continue_.unwrap_or_default();
    let version = page.metadata.resource_version.unwrap_or_default();
    check!(!token.is_empty() && !version.is_empty());
    create_maps(&maps, &["d", "e", "f"]).await?;
    env.expire_history().await?;

    let error = refused!(maps.list(&ListParams::default().limit(1).continue_token(&token)).await);
    check!(error.is_gone() && error.is_expired(), "{error:?}");
    let exact = ListParams::default().at(&version).matching(VersionMatch::Exact);
    let error = refused!(maps.list(&exact).await);
    check!(error.is_gone(), "{error:?}");
    // The server may reject the watch, or send the error as an event.
    let is_gone = match maps.watch(&WatchParams::default(), &version).await {
        Err(error) => error.is_gone(),
        Ok(mut events) => match events.try_next().await? {
            Some(WatchEvent::Error(status)) => status.is_gone(),
            other => return Err(anyhow::anyhow!("the watch emits {other:?}, expected an error").into()),
        },
    };
    check!(is_gone);
    check_eq!(maps.list(&ListParams::default().labels("topic=gone")).await?.items.len(), 6);
    Ok(())
}

async fn a_reflector_relists_and_removes_deleted_objects(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    create_maps(&maps, &["a", "b"]).await?;
    let config = Config::default().labels("topic=gone");
    let mut reflector = Reflector::with_config(maps.clone(), config).timeout(Duration::from_secs(1));
    reflector.poll().await?;
    check_eq!(names::<ConfigMap>(reflector.read()), ["a", "b"]);
    // The reflector is not polled during these changes.
    maps.delete("a", &DeleteParams::default()).await?;
    create_maps(&maps, &["c", "d"]).await?;
    env.expire_history().await?;
    check_eq!(names::<ConfigMap>(reflector.read()), ["a", "b"]);
    let store = reflector.store();
    let lp = ListParams::default().labels("topic=gone");
    poll_reflector_until(&mut reflector, wait_until_converged(&store, &maps, &lp, Duration::from_secs(60)))
        .await?;
    check_eq!(names::<ConfigMap>(store.state()), ["b", "c", "d"]);
    Ok(())
}

async fn an_informer_emits_missed_changes_after_a_relist(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    create_maps(&maps, &["a", "b", "c"]).await?;
    let config = Config::default().labels("topic=gone");
    let mut informer = Informer::with_config(maps.clone(), config).timeout(Duration::from_secs(1));
    informer.poll().await?;
    let mut events = Vec::new();
    drain_events(&mut informer, &mut events);
    events.sort();
    check_eq!(events, ["added a", "added b", "added c"]);
    maps.delete("a", &DeleteParams::default()).await?;
    let mut b = maps.get("b").await?;
    b.data.get_or_insert_default().insert("v".to_owned(), "2".to_owned());
    maps.replace("b", &PostParams::default(), &b).await?;
    create_maps(&maps, &["d"]).await?;
    env.expire_history().await?;
    let mut events = Vec::new();
    eventually("the informer has emitted three events", Duration::from_secs(60), async || {
        informer.poll().await?;
        drain_events(&mut informer, &mut events);
        Ok((events.len() >= 3).then_some(()))
    })
    .await?;
    events.sort();
    // The informer emits no event for `c`, which has not changed.
    check_eq!(events, ["added d", "deleted a", "modified b"]);
    Ok(())
}

/// Moves the informer's queued events to `events`, as text.
fn drain_events(informer: &mut Informer<ConfigMap>, events: &mut Vec<String>) {
    while let Some(event) = informer.pop() {
        events.push(match event {
            WatchEvent::Added(map) => format!("added {}", map.name_any()),
            WatchEvent::Modified(map) => format!("modified {}", map.name_any()),
            WatchEvent::Deleted(map) => format!("deleted {}", map.name_any()),
            // The server may end the watch with an ERROR event with the code 410. The informer queues this
            // event.
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => continue,
        });
    }
}
