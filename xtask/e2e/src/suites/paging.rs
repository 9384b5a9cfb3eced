//! Paged lists, and lists at a resource version.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{DeleteParams, ListParams, PostParams, VersionMatch};
use kube_client::config::RetryPolicy;
use kube_client::{Api, Client, ResourceExt};
use kube_runtime::watcher::{self, Event, InitialListStrategy};

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};
use crate::support::{labelled_config_map, names};

suite!("paging":
    pages_contain_every_object_once,
    all_pages_have_the_version_of_the_first_page,
    a_list_can_match_a_resource_version,
    a_list_at_a_future_version_is_rejected,
    an_invalid_continue_token_is_rejected,
    a_watcher_requests_pages,
    list_all_streams_the_objects_of_all_pages,
    list_all_continues_after_the_token_expires [History],
    a_table_has_the_columns_of_kubectl,
);

/// Creates seven config maps. Returns the list parameters that select them.
async fn create_seven_maps(maps: &Api<ConfigMap>) -> Outcome<ListParams> {
    for n in 0..7 {
        maps.create(&PostParams::default(), &labelled_config_map(&format!("m{n}"), "topic", "paging"))
            .await?;
    }
    Ok(ListParams::default().labels("topic=paging"))
}

async fn pages_contain_every_object_once(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    create_seven_maps(&maps).await?;
    let mut lp = ListParams::default().fields("metadata.name!=kube-root-ca.crt").limit(3);
    let mut pages = Vec::new();
    let mut versions = Vec::new();
    loop {
        let page = maps.list(&lp).await?;
        pages.push(names::<ConfigMap>(&page.items));
        versions.push(page.metadata.resource_version);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => lp = lp.continue_token(&token),
            None => break,
        }
    }
    check_eq!(pages, [vec!["m0", "m1", "m2"], vec!["m3", "m4", "m5"], vec!["m6"]]);
    check!(versions.iter().all(|version| *version == versions[0]), "{versions:?}");
    // The server sets `remainingItemCount` only for lists without selectors.
    let first = maps.list(&ListParams::default().limit(2)).await?;
    check!(first.metadata.remaining_item_count.is_some_and(|left| left >= 5), "{:?}", first.metadata);
    Ok(())
}

async fn all_pages_have_the_version_of_the_first_page(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let lp = create_seven_maps(&maps).await?.limit(4);
    let first = maps.list(&lp).await?;
    maps.create(&PostParams::default(), &labelled_config_map("m9", "topic", "paging")).await?;
    maps.delete("m5", &DeleteParams::default()).await?;
    let token = first.metadata.continue_.unwrap_or_default();
    let second = maps.list(&lp.clone().continue_token(&token)).await?;
    check_eq!(names::<ConfigMap>(&second.items), ["m4", "m5", "m6"]);
    check_eq!(second.metadata.resource_version, first.metadata.resource_version);
    Ok(())
}

async fn a_list_can_match_a_resource_version(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let lp = create_seven_maps(&maps).await?;
    let version = maps.list(&lp).await?.metadata.resource_version.unwrap_or_default();
    maps.delete("m0", &DeleteParams::default()).await?;
    let exact = maps.list(&lp.clone().at(&version).matching(VersionMatch::Exact)).await?;
    check_eq!(exact.items.len(), 7);
    check_eq!(exact.metadata.resource_version.as_deref(), Some(version.as_str()));
    let later = maps.list(&lp.clone().at(&version).matching(VersionMatch::NotOlderThan)).await?;
    check!((6..=7).contains(&later.items.len()), "{} objects", later.items.len());
    check_eq!(maps.list(&lp).await?.items.len(), 6);
    check!(maps.list(&lp.match_any()).await?.items.len() <= 7);
    Ok(())
}

async fn a_list_at_a_future_version_is_rejected(env: Env) -> Outcome {
    // By default, the client retries a list at a future version, because a lagging server may reach the version later.
    let mut config = env.config();
    config.retry = RetryPolicy::never();
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config)?);
    let now: u64 =
        maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default().parse()?;
    let future =
        ListParams::default().at(&(now + 1_000_000).to_string()).matching(VersionMatch::NotOlderThan);
    let error = refused!(maps.list(&future).await);
    check!(error.is_timeout(), "{error:?}");
    check!(error.status().is_some_and(kube_client::core::Status::is_resource_version_too_large), "{error:?}");
    Ok(())
}

async fn an_invalid_continue_token_is_rejected(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let error = refused!(maps.list(&ListParams::default().limit(1).continue_token("bogus")).await);
    check!(error.status().is_some_and(kube_client::core::Status::is_bad_request), "{error:?}");
    Ok(())
}

async fn a_watcher_requests_pages(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    create_seven_maps(&maps).await?;
    let config = watcher::Config::default()
        .labels("topic=paging")
        .initial_list_strategy(InitialListStrategy::ListWatch)
        .page_size(3);
    let mut stream = watcher::watcher(maps, config).boxed();
    let mut seen = Vec::new();
    check!(matches!(stream.try_next().await?, Some(Event::Init)));
    while let Some(event) = stream.try_next().await? {
        match event {
            Event::InitApply(map) => seen.push(map.name_any()),
            Event::InitDone => break,
            other => check!(false, "unexpected event {other:?} in the initial list"),
        }
    }
    check_eq!(seen, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    Ok(())
}

async fn list_all_streams_the_objects_of_all_pages(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let lp = create_seven_maps(&maps).await?;
    for limit in [1, 3, 7, 100] {
        let all: Vec<ConfigMap> = maps.list_all(&lp.clone().limit(limit)).try_collect().await?;
        check_eq!(names::<ConfigMap>(&all), ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    }
    let none: Vec<ConfigMap> = maps.list_all(&lp.labels("topic=none")).try_collect().await?;
    check!(none.is_empty());
    Ok(())
}

async fn list_all_continues_after_the_token_expires(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let lp = create_seven_maps(&maps).await?;
    let mut all = std::pin::pin!(maps.list_all(&lp.limit(3)));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(all.try_next().await?.map(|map| map.name_any()));
    }
    maps.delete("m5", &DeleteParams::default()).await?;
    maps.create(&PostParams::default(), &labelled_config_map("m7", "topic", "paging")).await?;
    env.expire_history().await?;
    while let Some(map) = all.try_next().await? {
        seen.push(map.name_any());
    }
    check_eq!(seen, ["m0", "m1", "m2", "m3", "m4", "m6", "m7"]);
    Ok(())
}

async fn a_table_has_the_columns_of_kubectl(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let lp = create_seven_maps(&maps).await?.limit(2);
    let table = maps.list_table(&lp).await?;
    let columns: Vec<_> = table.column_definitions.iter().map(|column| column.name.as_str()).collect();
    check_eq!(columns, ["Name", "Data", "Age"]);
    let rows: Vec<Vec<String>> = table.rows.iter().map(|row| row.texts().take(2).collect()).collect();
    check_eq!(rows, [["m0", "1"], ["m1", "1"]]);
    check_eq!(table.rows[0].object.as_ref().map(ResourceExt::name_any), Some("m0".to_owned()));
    check!(table.metadata.continue_.is_some_and(|token| !token.is_empty()));
    Ok(())
}
