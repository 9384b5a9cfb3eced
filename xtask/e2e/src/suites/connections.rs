//! The connections of a client: HTTP/2 with many streams, and HTTP/1.1.

use std::time::Duration;

use futures::TryStreamExt;
use futures::future::{join_all, try_join_all};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{EventStream, ListParams, PostParams, WatchEvent, WatchParams};
use kube_client::config::HttpVersions;
use kube_client::{Api, Client, ResourceExt};
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::config_map;

suite!("connections":
    watches_on_several_connections_receive_their_events,
    a_client_without_http2_can_list_watch_and_write,
    an_old_connection_is_replaced_without_a_failed_request,
);

/// The number of watches. It exceeds the 100 streams that API servers allow on one connection.
const WATCH_COUNT: usize = 150;

/// Waits for the next added object whose name begins with `connections-`. Returns the object's name.
async fn next_name(mut events: EventStream<ConfigMap>) -> Outcome<String> {
    loop {
        match timeout(Duration::from_secs(30), events.try_next()).await?? {
            Some(WatchEvent::Added(map)) if map.name_any().starts_with("connections-") => {
                return Ok(map.name_any());
            }
            Some(_) => {}
            None => check!(false, "the watch has ended"),
        }
    }
}

async fn watches_on_several_connections_receive_their_events(env: Env) -> Outcome {
    let maps: Api<ConfigMap> = env.api();
    let version = maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let params = WatchParams::default().timeout(Duration::from_secs(60));
    let watches = try_join_all((0..WATCH_COUNT).map(|_| maps.watch(&params, &version))).await?;
    // Calls succeed while all watches are open.
    let all = ListParams::default();
    let lists = join_all((0..WATCH_COUNT).map(|_| maps.list(&all))).await;
    check_eq!(lists.iter().filter(|list| list.is_err()).count(), 0);
    maps.create(&PostParams::default(), &config_map("connections-1", "1")).await?;
    let names = try_join_all(watches.into_iter().map(next_name)).await?;
    check!(names.iter().all(|name| name == "connections-1"), "{names:?}");
    Ok(())
}

async fn a_client_without_http2_can_list_watch_and_write(env: Env) -> Outcome {
    let mut config = env.config();
    config.http_versions = HttpVersions::Http1;
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config)?);
    let version = maps.list(&ListParams::default()).await?.metadata.resource_version.unwrap_or_default();
    let params = WatchParams::default().timeout(Duration::from_secs(60));
    let watches = try_join_all((0..5).map(|_| maps.watch(&params, &version))).await?;
    maps.create(&PostParams::default(), &config_map("connections-2", "1")).await?;
    for events in watches {
        check_eq!(next_name(events).await?, "connections-2");
    }
    Ok(())
}

async fn an_old_connection_is_replaced_without_a_failed_request(env: Env) -> Outcome {
    let mut config = env.config();
    config.max_connection_age = Some(Duration::from_millis(20));
    let maps: Api<ConfigMap> = Api::default_namespaced(Client::try_from(config)?);
    let all = ListParams::default();
    for _ in 0..20 {
        let lists = try_join_all((0..10).map(|_| maps.list(&all))).await?;
        check_eq!(lists.len(), 10);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
